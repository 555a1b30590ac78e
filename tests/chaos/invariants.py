"""What must hold after everything has gone wrong: computed from the rows, the log and the store.

The numbers are those of the design's list of invariants (I1 to I15); ``docs/promises.md`` has them.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from ovfarm.errors import Unavailable
from ovfarm.keys import document_digest
from ovfarm.states import JOB_ENDED, JobState, StepState
from storage.blobs import Blobs
from storage.garbage import named
from storage.tables import Artifact, Attempt, BlobRow, Event, Job, Share, Step, StepEdge, Submission
from tests.e2e.stack import ENDS

# Two times of one transaction are read by two statements of it.
_BLINK = timedelta(milliseconds=5)


@dataclass(slots=True)
class Found:
    """The breaches by what a user would call them."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    backwards: list[str] = field(default_factory=list)

    @property
    def all(self) -> list[str]:
        return [*self.lost, *self.doubled, *self.orphans, *self.backwards]


@dataclass(frozen=True, slots=True)
class Accepted:
    """What the clients remember: the job of each submit's name, as it was answered, and who cancelled."""

    jobs: Mapping[str, UUID]
    cancelled: frozenset[UUID] = frozenset()


def check(session: Session, blobs: Blobs, accepted: Accepted) -> Found:
    """Return all breaches; to be called when every job has ended and the collector has run."""
    found = Found()
    jobs = {job.id: job for job in session.execute(select(Job)).scalars()}
    steps = {step.id: step for step in session.execute(select(Step)).scalars()}
    events = list(session.execute(select(Event).order_by(Event.id)).scalars())
    attempts = list(session.execute(select(Attempt)).scalars())
    found.lost += [*_unended(jobs, accepted), *_bytes(session, blobs)]
    found.doubled += [*_submits(session, jobs, accepted), *_successes(steps, events), *_leases(attempts)]
    found.doubled += [*_measurements(attempts), *_charges(session, attempts)]
    found.orphans += _unreferenced(session, blobs)
    found.backwards += [
        *_log(events),
        *_rows(steps, events),
        *_parents(session, events),
        *_reasons(jobs, steps),
    ]
    found.backwards += _attempts(steps, attempts)
    return found


def _unended(jobs: Mapping[UUID, Job], accepted: Accepted) -> Iterator[str]:
    """I1, I2: what was accepted is there and has ended, and well unless somebody cancelled it."""
    for name, job_id in accepted.jobs.items():
        job = jobs.get(job_id)
        if job is None:
            yield f"submit {name} was answered with {job_id}, which is gone"
        elif job.state not in JOB_ENDED:
            yield f"job {job_id} is {job.state}"
        elif job.state is JobState.FAILED:
            yield f"job {job_id} failed: {job.failure and job.failure.message}"
        elif job.state is JobState.CANCELLED and job_id not in accepted.cancelled:
            yield f"job {job_id} was cancelled by nobody"


def _bytes(session: Session, blobs: Blobs) -> Iterator[str]:
    """I6: every file of every artifact is in the store with its size, and its bytes are its digest's."""
    manifests = session.execute(select(Artifact.manifest)).scalars()
    entries = {entry.digest: entry for manifest in manifests for entry in manifest.files.values()}
    with TemporaryDirectory() as folder:
        for digest, entry in entries.items():
            try:
                blobs.fetch(digest, Path(folder, digest))
            except Unavailable as spoilt:
                yield spoilt.message
                continue
            if Path(folder, digest).stat().st_size != entry.size:
                yield f"{digest} has another size"


def _submits(session: Session, jobs: Mapping[UUID, Job], accepted: Accepted) -> Iterator[str]:
    """I1: a named submit has one job, the one that was answered, and no job is nobody's."""
    named_jobs = dict(session.execute(select(Submission.key, Submission.job_id)).all())
    for name, job_id in accepted.jobs.items():
        if named_jobs.get(name) != job_id:
            yield f"submit {name} was answered with {job_id} and is {named_jobs.get(name)}"
    for job_id in set(jobs) - set(named_jobs.values()):
        yield f"job {job_id} was submitted without a name"
    for row in session.execute(select(Submission)).scalars():
        if row.body_digest != document_digest(jobs[row.job_id].spec):
            yield f"submit {row.key} led to the job of another body"


def _successes(steps: Mapping[UUID, Step], events: list[Event]) -> Iterator[str]:
    """I3: at most one success of a step, by the claim that its row names."""
    seen: set[UUID | None] = set()
    for event in events:
        if event.event == "succeed" and event.step_id:
            if event.step_id in seen:
                yield f"step {event.step_id} succeeded twice"
            seen.add(event.step_id)
            if steps[event.step_id].claim_id != event.claim_id:
                yield f"step {event.step_id} succeeded by another claim than its own"


def _leases(attempts: list[Attempt]) -> Iterator[str]:
    """I4: the attempts of a step are apart in the database's time."""
    by_step: dict[UUID, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        by_step[attempt.step_id].append(attempt)
    for step_id, of_step in by_step.items():
        of_step.sort(key=lambda attempt: attempt.started_at)
        for before, after in pairwise(of_step):
            if before.finished_at is None or before.finished_at > after.started_at + _BLINK:
                yield f"step {step_id}: attempts {before.number} and {after.number} overlap"


def _measurements(attempts: list[Attempt]) -> Iterator[str]:
    """I13: while a benchmark runs, nothing else runs on its host."""
    for alone in attempts:
        if not alone.exclusive:
            continue
        for other in attempts:
            if other is not alone and other.host == alone.host and _overlap(alone, other):
                yield f"benchmark attempt {alone.claim_id} was not alone: {other.claim_id}"


def _overlap(one: Attempt, other: Attempt) -> bool:
    never = datetime.max.replace(tzinfo=UTC)
    end_one, end_other = one.finished_at or never, other.finished_at or never
    return one.started_at + _BLINK < end_other and other.started_at + _BLINK < end_one


def _charges(session: Session, attempts: list[Attempt]) -> Iterator[str]:
    """I9: what the teams have used is the sum of what the attempts took, each once."""
    took = sum((a.finished_at - a.started_at).total_seconds() for a in attempts if a.finished_at)
    used = session.execute(select(func.coalesce(func.sum(Share.used_s), 0.0))).scalar_one()
    if abs(used - took) > 0.01 * took + 0.05 * len(attempts):
        yield f"{used:.1f} device-seconds were charged, {took:.1f} were used"


def _unreferenced(session: Session, blobs: Blobs) -> Iterator[str]:
    """I7: after a collection without grace the store holds what somebody names, and its book says so."""
    stored = {digest for digest, _, _ in blobs.listing()}
    known = set(session.execute(select(BlobRow.digest)).scalars())
    used = named(session)
    yield from (f"blob {digest} is nobody's" for digest in stored - used)
    yield from (f"the row of blob {digest} is nobody's" for digest in known - stored)


def _log(events: list[Event]) -> Iterator[str]:
    """I2, I10: the log of a job has no gaps and ends with its end; a step's ends with its own."""
    numbers: dict[UUID, int] = defaultdict(int)
    ended: set[UUID | None] = set()
    for event in events:
        numbers[event.job_id] += 1
        if event.seq != numbers[event.job_id]:
            yield f"job {event.job_id}: event {event.seq} is not the {numbers[event.job_id]}th"
        if event.job_id in ended:
            yield f"job {event.job_id}: {event.event} after its end"
        if event.step_id and event.step_id in ended:
            yield f"step {event.step_id}: {event.event} after its end"
        if event.event in ENDS:
            ended.add(event.step_id or event.job_id)


def _rows(steps: Mapping[UUID, Step], events: list[Event]) -> Iterator[str]:
    """I2, I8: a row is what its log says."""
    last = {event.step_id: event for event in events if event.step_id}
    for step in steps.values():
        end = last.get(step.id)
        if end is not None and end.state != step.state.value:
            yield f"step {step.id} is {step.state}, its log says {end.state}"


def _parents(session: Session, events: list[Event]) -> Iterator[str]:
    """I11: a step is claimed after everything that it reads has succeeded."""
    at = {(event.step_id, event.event): event.id for event in events}
    rows = session.execute(
        select(StepEdge.step_id, StepEdge.source_id).where(StepEdge.source_id.is_not(None))
    )
    first_claim: dict[UUID | None, int] = {}
    for event in events:
        if event.event == "claim":
            first_claim.setdefault(event.step_id, event.id)
    for step_id, source_id in rows:
        claimed, made = first_claim.get(step_id), at.get((source_id, "succeed"))
        if claimed is not None and (made is None or made > claimed):
            yield f"step {step_id} was claimed before {source_id} had succeeded"


def _attempts(steps: Mapping[UUID, Step], attempts: list[Attempt]) -> Iterator[str]:
    """I4, I5: attempts are counted when they are made, and never more than allowed; none is left open."""
    for attempt in attempts:
        if attempt.outcome is None:
            yield f"attempt {attempt.claim_id} never ended"
        if not 1 <= attempt.number <= steps[attempt.step_id].max_attempts:
            yield f"attempt {attempt.claim_id} has the number {attempt.number}"
    charged: dict[UUID, int] = defaultdict(int)
    for attempt in attempts:
        if attempt.outcome in {"succeeded", "retried", "failed"}:
            charged[attempt.step_id] += 1
    for step_id, count in charged.items():
        if count > steps[step_id].attempt:
            yield f"step {step_id} counts {steps[step_id].attempt} attempts, {count} were charged"


def _reasons(jobs: Mapping[UUID, Job], steps: Mapping[UUID, Step]) -> Iterator[str]:
    """I15: what failed says why, and what to do."""
    failed: list[Job | Step] = [job for job in jobs.values() if job.state is JobState.FAILED]
    failed += [step for step in steps.values() if step.state is StepState.FAILED]
    for row in failed:
        if row.failure is None or not row.failure.message:
            yield f"{row.id} failed without a reason"
