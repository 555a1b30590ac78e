"""``ovfarm admin``: what an operator does now and then, at the machine that has the farm's settings."""

import subprocess
import sys
from typing import Annotated, TypeVar

from cyclopts import App, Parameter
from pydantic import TypeAdapter, ValidationError
from rich.console import Console

from ovfarm import teams as orders
from ovfarm.cli import tables
from ovfarm.cli.outcome import put, say
from ovfarm.errors import InvalidInput, OvfarmError
from ovfarm.fields import mistake
from ovfarm.shapes import public_id

T = TypeVar("T")
Json = Annotated[bool, Parameter(negative=(), help="print JSON on stdout")]

app = App(name="admin", help="What an operator does now and then, with the farm's own settings.")
teams = App(name="teams", help="Teams, their weights and bounds.")
keys = App(name="keys", help="The teams' keys.")
quarantine = App(name="quarantine", help="Work that is refused because it killed whatever ran it.")
for part in (teams, keys, quarantine):
    app.command(part)


@app.command
def migrate() -> int:
    """Bring the database to this release's schema."""
    return subprocess.run([sys.executable, "-m", "api", "migrate"], check=False).returncode


def _order(order: type[T], **fields: object) -> T:
    try:
        return order(**fields)
    except ValidationError as invalid:
        raise InvalidInput(mistake(invalid)) from None


def _obeyed(order: orders.Order) -> str:
    """Have the farm's own process obey, because only that one knows the database."""
    command = [sys.executable, "-m", "api", "operate"]
    done = subprocess.run(command, input=order.model_dump_json(), capture_output=True, text=True, check=False)
    if done.returncode:
        message, *hint = done.stderr.strip().splitlines() or ["the farm's process died"]
        raise OvfarmError(message, hint="\n  ".join(hint) or None)
    return done.stdout.strip()


def _show_teams(answer: str, *, json: bool) -> None:
    if json:
        put(answer)
        return
    rows = [
        (t.name, f"{t.weight:g}", *map(_bound, (t.max_running, t.max_queued, t.budget_s)), f"{t.used_s:.0f}")
        for t in TypeAdapter(tuple[orders.TeamView, ...]).validate_json(answer)
    ]  # fmt: skip
    tables.listing(("team", "weight", "running", "queued", "budget s", "used s"), rows, Console())


def _bound(value: float | None) -> str:
    return "–" if value is None else f"{value:g}"


@teams.command(name="ls")
def teams_ls(*, json: Json = False) -> None:
    """List the teams with their bounds and the device-seconds that each has used."""
    _show_teams(_obeyed(orders.ListTeams()), json=json)


@teams.command(name="add")
def teams_add(
    team: str,
    *,
    weight: float = 1.0,
    max_running: int | None = None,
    max_queued: int | None = None,
    budget: float | None = None,
    json: Json = False,
) -> None:
    """Make a team.

    Parameters
    ----------
    weight
        Its part of the pool: 3 gets three times what 1 gets.
    max_running
        How many of its steps may run at once on a class of devices.
    max_queued
        How many of its steps may wait.
    budget
        The device-seconds that it may use.
    """
    bounds = {"max_running": max_running, "max_queued": max_queued, "budget_s": budget}
    _show_teams(_obeyed(_order(orders.AddTeam, team=team, weight=weight, **bounds)), json=json)


@teams.command(name="set")
def teams_set(
    team: str,
    *,
    weight: float | None = None,
    max_running: int | None = None,
    max_queued: int | None = None,
    budget: float | None = None,
    reset_used: Annotated[bool, Parameter(negative=())] = False,
    json: Json = False,
) -> None:
    """Change a team; -1 takes a bound away.

    Parameters
    ----------
    reset_used
        Count what it has used from zero again.
    """
    bounds = {"max_running": max_running, "max_queued": max_queued, "budget_s": budget}
    order = _order(orders.SetTeam, team=team, weight=weight, reset_used=reset_used, **bounds)
    _show_teams(_obeyed(order), json=json)


@keys.command(name="add")
def keys_add(
    team: str, *, role: orders.Role = orders.Role.MEMBER, days: float | None = None, json: Json = False
) -> None:
    """Issue a key. It is shown this once.

    Parameters
    ----------
    role
        A member works with its team's jobs; an operator also drains nodes and reads metrics.
    days
        How long it is valid; for good unless given.
    """
    answer = _obeyed(_order(orders.AddKey, team=team, role=role, days=days))
    if json:
        put(answer)
        return
    issued = orders.IssuedKey.model_validate_json(answer)
    say(f"a key for {issued.key.team} as {issued.key.role}; it is not shown again:")
    put(issued.secret)


@keys.command(name="revoke")
def keys_revoke(prefix: str, *, json: Json = False) -> None:
    """Make a key worthless at once: PREFIX is what stands between its underscores."""
    _show_keys(_obeyed(orders.RevokeKey(prefix=prefix)), json=json)


@keys.command(name="ls")
def keys_ls(*, json: Json = False) -> None:
    """List the keys."""
    _show_keys(_obeyed(orders.ListKeys()), json=json)


def _show_keys(answer: str, *, json: bool) -> None:
    if json:
        put(answer)
        return
    found = TypeAdapter(tuple[orders.KeyView, ...]).validate_json(answer)
    rows = [
        (k.prefix, k.team, k.role.value, f"{k.created_at:%F}", f"{k.expires_at:%F}" if k.expires_at else "–",
         "revoked" if k.revoked_at else "")
        for k in found
    ]  # fmt: skip
    tables.listing(("key", "team", "role", "created", "expires", ""), rows, Console())


@quarantine.command(name="ls")
def quarantine_ls(*, json: Json = False) -> None:
    """List the work that is refused."""
    _show_quarantine(_obeyed(orders.ListQuarantine()), json=json)


@quarantine.command(name="lift")
def quarantine_lift(fingerprint: str, *, json: Json = False) -> None:
    """Let work in again whose fingerprint starts so (8 digits or more)."""
    _show_quarantine(_obeyed(_order(orders.LiftQuarantine, fingerprint=fingerprint)), json=json)


def _show_quarantine(answer: str, *, json: bool) -> None:
    if json:
        put(answer)
        return
    found = TypeAdapter(tuple[orders.QuarantineView, ...]).validate_json(answer)
    rows = [(q.fingerprint[:12], q.team, public_id("job", q.job), q.reason) for q in found]
    tables.listing(("fingerprint", "team", "job", "reason"), rows, Console())


@app.command
def gc(
    *,
    apply: Annotated[bool, Parameter(negative=())] = False,
    grace: float = 86400.0,
    older_than: float | None = None,
    json: Json = False,
) -> None:
    """Find what nothing needs any more; delete it with --apply.

    Parameters
    ----------
    grace
        Seconds for which bytes are spared after their last use. An upload must not take longer.
    older_than
        Let the results of jobs go that ended so many seconds ago; none unless given.
    """
    order = _order(orders.CollectGarbage, apply=apply, grace_s=grace, older_than_s=older_than)
    answer = _obeyed(order)
    if json:
        put(answer)
        return
    found = orders.Collected.model_validate_json(answer)
    done = "deleted" if found.applied else "would delete (--apply does)"
    put(
        f"{done}: {found.results} results, {found.blobs} blobs ({found.freed_bytes / 1e6:.1f} MB), "
        f"{found.strays} strays, {found.uploads} cut uploads"
    )
