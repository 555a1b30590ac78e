"""The checker sees each breach that it looks for: seeded one by one into a sound farm's rows."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.orm import Session

from ovfarm.recipes import Probe
from ovfarm.results import FileEntry, Manifest, StepResult
from storage import jobs, outcomes
from storage.blobs import Blobs, digest_file
from storage.columns import db_now
from storage.holdings import sizes, touch
from storage.tables import Artifact, Attempt, Event, Job, Share, Step, Submission
from tests.chaos.invariants import Accepted, check
from tests.storage.farm import Farm, probes


@dataclass(slots=True)
class Sound:
    """Two jobs that went well, with a file each in a real store."""

    farm: Farm
    blobs: Blobs
    accepted: Accepted

    def breaches(self) -> dict[str, int]:
        with self.farm.database.read() as session:
            found = check(session, self.blobs, self.accepted)
        return {name: len(getattr(found, name)) for name in ("lost", "doubled", "orphans", "backwards")}


@pytest.fixture
def sound(database_url: str, tmp_path: Path) -> Iterator[Sound]:
    farm, blobs = Farm(database_url), Blobs((tmp_path / "store").as_uri())
    accepted = {}
    for name in ("a", "b"):
        with farm.database.write() as session:
            spec = probes(Probe(name="one", token=name), Probe(name="two", token=name))
            accepted[name] = jobs.submit(session, farm.team, spec, key=name).id
    for number in range(4):
        claim = farm.must_claim()
        path = tmp_path / f"{number}"
        path.write_text(str(number))
        digest, size = digest_file(path)
        manifest = Manifest(files={"f": FileEntry(digest=digest, size=size)})
        blobs.put(path, digest)
        with farm.database.write() as session:
            touch(session, sizes(manifest))
            outcomes.succeed(session, claim, "k", outcomes.Product(StepResult(), manifest, "d" * 64))
    yield Sound(farm, blobs, Accepted(accepted))
    farm.database.close()


def test_a_sound_farm_has_no_breach(sound: Sound) -> None:
    assert sum(sound.breaches().values()) == 0


def lose_a_job(session: Session) -> None:
    session.execute(update(Job).where(Job.seq == 1).values(state="running"))


def fail_a_job(session: Session) -> None:
    session.execute(update(Job).where(Job.seq == 1).values(state="failed"))


def swap_a_name(session: Session) -> None:
    ids = dict(session.execute(select(Submission.key, Submission.job_id)).all())
    session.execute(update(Submission).where(Submission.key == "a").values(job_id=ids["b"]))


def succeed_twice(session: Session) -> None:
    session.execute(text("DROP INDEX one_success"))
    of_a_step = select(Event).where(Event.event == "succeed", Event.step_id.is_not(None))
    event = session.execute(of_a_step).scalars().first()
    assert event is not None
    values = {c.name: getattr(event, c.name) for c in Event.__table__.columns if c.name != "id"}
    session.execute(insert(Event).values({**values, "seq": 99}))


def overlap(session: Session) -> None:
    attempt = session.execute(select(Attempt)).scalars().first()
    assert attempt is not None
    values = {c.name: getattr(attempt, c.name) for c in Attempt.__table__.columns}
    earlier = attempt.started_at - timedelta(seconds=1)
    session.execute(insert(Attempt).values({**values, "claim_id": uuid4(), "started_at": earlier}))


def disturb_a_benchmark(session: Session) -> None:
    first, second = session.execute(select(Attempt).limit(2)).scalars()
    session.execute(
        update(Attempt)
        .where(Attempt.claim_id == second.claim_id)
        .values(exclusive=True, started_at=first.started_at, finished_at=db_now(60))
    )


def charge_too_much(session: Session) -> None:
    session.execute(update(Share).values(used_s=Share.used_s + 10))


def forget_a_file(session: Session) -> None:
    session.execute(update(Step).values(artifact_id=None))
    session.execute(delete(Artifact).where(Artifact.seq == 1))


def invent_a_file(session: Session) -> None:
    nowhere = Manifest(files={"f": FileEntry(digest="e" * 64, size=1)})
    session.execute(update(Artifact).where(Artifact.seq == 1).values(manifest=nowhere))


def leave_a_gap(session: Session) -> None:
    session.execute(delete(Event).where(Event.id == 2))


def act_after_the_end(session: Session) -> None:
    event = session.execute(select(Event).where(Event.event == "claim")).scalars().first()
    assert event is not None
    values = {c.name: getattr(event, c.name) for c in Event.__table__.columns if c.name != "id"}
    session.execute(insert(Event).values({**values, "seq": 99}))


def overwrite_a_row(session: Session) -> None:
    session.execute(update(Step).where(Step.seq == 1).values(state="cancelled"))


def steal_a_success(session: Session) -> None:
    session.execute(update(Step).where(Step.seq == 1).values(claim_id=uuid4()))


def leave_an_attempt_open(session: Session) -> None:
    session.execute(update(Attempt).where(Attempt.number == 1).values(outcome=None))


def count_at_the_end(session: Session) -> None:
    session.execute(update(Step).values(attempt=0))


SEEDED: dict[Callable[[Session], None], str] = {
    lose_a_job: "lost", fail_a_job: "lost", invent_a_file: "lost", swap_a_name: "doubled",
    succeed_twice: "doubled", overlap: "doubled", disturb_a_benchmark: "doubled", charge_too_much: "doubled",
    forget_a_file: "orphans",
    leave_a_gap: "backwards", act_after_the_end: "backwards", overwrite_a_row: "backwards",
    steal_a_success: "doubled", leave_an_attempt_open: "backwards", count_at_the_end: "backwards",
}  # fmt: skip


@pytest.mark.parametrize("seed", SEEDED, ids=lambda seed: seed.__name__)
def test_a_seeded_breach_is_found(sound: Sound, seed: Callable[[Session], None]) -> None:
    with sound.farm.database.write() as session:
        seed(session)
    assert sound.breaches()[SEEDED[seed]] > 0
