"""Teams and their keys, as operators see them, and the orders that an operator gives about them."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from ovfarm.shapes import Document, JobId, Name


class Role(StrEnum):
    """What a key may do: a member works with its team's jobs, an operator also steers the pool."""

    MEMBER = "member"
    OPERATOR = "operator"


class TeamView(Document):
    """A team: its part of the pool (weight), its bounds, and what it has used, in device-seconds."""

    name: str
    weight: float
    max_running: int | None = None
    max_queued: int | None = None
    budget_s: float | None = None
    used_s: float
    created_at: AwareDatetime


class KeyView(Document):
    """A key without its secret, which nobody keeps."""

    prefix: str
    team: str
    role: Role
    created_at: AwareDatetime
    expires_at: AwareDatetime | None = None
    revoked_at: AwareDatetime | None = None


class IssuedKey(Document):
    """A new key; ``secret`` is the whole of it, shown this once."""

    key: KeyView
    secret: str


class QuarantineView(Document):
    """Work of a team that is refused because it killed whatever ran it."""

    team: str
    fingerprint: str
    job: JobId
    reason: str
    created_at: AwareDatetime


class AddTeam(Document):
    """Make a team."""

    order: Literal["add_team"] = "add_team"
    team: Name
    weight: float = Field(default=1.0, gt=0, le=1e6)
    max_running: int | None = Field(default=None, ge=0)
    max_queued: int | None = Field(default=None, ge=0)
    budget_s: float | None = Field(default=None, ge=0)


class SetTeam(Document):
    """Change a team: what is given is set, -1 takes a bound away; ``reset_used`` starts a new budget."""

    order: Literal["set_team"] = "set_team"
    team: Name
    weight: float | None = Field(default=None, gt=0, le=1e6)
    max_running: int | None = Field(default=None, ge=-1)
    max_queued: int | None = Field(default=None, ge=-1)
    budget_s: float | None = Field(default=None, ge=-1)
    reset_used: bool = False


class ListTeams(Document):
    """List all teams."""

    order: Literal["list_teams"] = "list_teams"


class AddKey(Document):
    """Issue a key for a team, for good or for some days."""

    order: Literal["add_key"] = "add_key"
    team: Name
    role: Role = Role.MEMBER
    days: float | None = Field(default=None, gt=0, le=3650)


class RevokeKey(Document):
    """Make a key worthless at once."""

    order: Literal["revoke_key"] = "revoke_key"
    prefix: str


class ListKeys(Document):
    """List all keys."""

    order: Literal["list_keys"] = "list_keys"


class ListQuarantine(Document):
    """List what is refused."""

    order: Literal["list_quarantine"] = "list_quarantine"


class LiftQuarantine(Document):
    """Let refused work in again, by the start of its fingerprint."""

    order: Literal["lift_quarantine"] = "lift_quarantine"
    fingerprint: str = Field(pattern=r"^[0-9a-f]{8,64}$")


class CollectGarbage(Document):
    """Find, and with ``apply`` delete, what nothing needs any more.

    A blob is spared for ``grace_s`` seconds after its last use; results of jobs that ended longer
    than ``older_than_s`` seconds ago are let go first, unless that is None.
    """

    order: Literal["collect_garbage"] = "collect_garbage"
    apply: bool = False
    grace_s: float = Field(default=86400.0, ge=0)
    older_than_s: float | None = Field(default=None, ge=0)


class Collected(Document):
    """What a collection found; with ``applied`` false nothing was deleted."""

    applied: bool
    results: int
    blobs: int
    strays: int
    uploads: int
    freed_bytes: int


Order = Annotated[
    AddTeam
    | SetTeam
    | ListTeams
    | AddKey
    | RevokeKey
    | ListKeys
    | ListQuarantine
    | LiftQuarantine
    | CollectGarbage,
    Field(discriminator="order"),
]
