"""Keys: who is calling. A secret is seen once, at its issue; what is kept is its sha256.

A secret has 256 random bits, so a fast hash is as good as a slow one (OWASP, *Cryptographic Storage*).
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from uuid import UUID, uuid4

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from ovfarm.errors import NotFound, Unauthorized
from ovfarm.teams import AddKey, IssuedKey, KeyView, Role
from storage.columns import db_now
from storage.tables import ApiKey, Team
from storage.teams import named

_DAY_S = 86400.0


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: a team, in a role."""

    team: UUID
    role: Role


def issue_key(session: Session, asked: AddKey) -> IssuedKey:
    """Make a key for a team; raises NotFound. Its secret cannot be had again."""
    team_id = named(session, asked.team)
    prefix, secret = secrets.token_hex(4), secrets.token_urlsafe(32)
    session.execute(
        insert(ApiKey).values(
            id=uuid4(),
            team_id=team_id,
            prefix=prefix,
            secret_hash=_hash(secret),
            role=asked.role,
            created_at=db_now(),
            expires_at=None if asked.days is None else db_now(asked.days * _DAY_S),
        )
    )
    (view,) = (key for key in keys(session) if key.prefix == prefix)
    return IssuedKey(key=view, secret=f"ovf_{prefix}_{secret}")


def revoke_key(session: Session, prefix: str) -> None:
    """Make a key worthless at once; raises NotFound."""
    revoked = session.execute(
        update(ApiKey)
        .where(ApiKey.prefix == prefix, ApiKey.revoked_at.is_(None))
        .values(revoked_at=db_now())
        .returning(ApiKey.id)
    )
    if revoked.first() is None:
        raise NotFound(f"there is no valid key {prefix!r}", hint="list them: ovfarm admin keys ls")


def keys(session: Session) -> tuple[KeyView, ...]:
    """Return all keys, oldest first, without their secrets."""
    rows = session.execute(
        select(ApiKey, Team.name).join(Team, Team.id == ApiKey.team_id).order_by(ApiKey.created_at)
    )
    return tuple(
        KeyView(
            prefix=key.prefix,
            team=team,
            role=key.role,
            created_at=key.created_at,
            expires_at=key.expires_at,
            revoked_at=key.revoked_at,
        )
        for key, team in rows
    )


def caller(session: Session, key: str) -> Caller:
    """Return whose key this is; raises Unauthorized, with the same words whatever is wrong with it."""
    refused = Unauthorized("this key is not valid", hint="ask an operator for one: ovfarm admin keys add")
    kind, _, rest = key.partition("_")
    prefix, _, secret = rest.partition("_")
    alive = ApiKey.revoked_at.is_(None) & (ApiKey.expires_at.is_(None) | (ApiKey.expires_at > db_now()))
    found = session.execute(select(ApiKey).where(ApiKey.prefix == prefix, alive)).scalar_one_or_none()
    if kind != "ovf" or found is None or not hmac.compare_digest(found.secret_hash, _hash(secret)):
        raise refused
    return Caller(team=found.team_id, role=found.role)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
