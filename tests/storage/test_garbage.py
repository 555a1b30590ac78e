"""The collector deletes what nothing needs, and nothing else, whoever is at work meanwhile."""

import random
import threading
from pathlib import Path

import pytest
from sqlalchemy import select, update

from ovfarm.recipes import Probe
from ovfarm.results import FileEntry, Manifest, StepResult
from ovfarm.teams import Collected, CollectGarbage
from storage import cache, outcomes
from storage.blobs import Blobs, digest_file
from storage.cache import Way
from storage.columns import db_now
from storage.garbage import collect, named
from storage.holdings import hold, sizes, touch, use
from storage.tables import BlobRow, Job, Step
from tests.storage.farm import Farm, probes

NOW = CollectGarbage(apply=True, grace_s=0, older_than_s=0)


class Keep:
    """A farm with a store, and files in both."""

    def __init__(self, farm: Farm, folder: Path) -> None:
        self.farm, self.folder = farm, folder
        self.blobs = Blobs((folder / "store").as_uri())

    def stored(self, text: str) -> Manifest:
        path = self.folder / f"given-{threading.get_ident()}"
        path.write_text(text)
        digest, size = digest_file(path)
        manifest = Manifest(files={"f": FileEntry(digest=digest, size=size)})
        with self.farm.database.write() as session:
            touch(session, sizes(manifest))
        self.blobs.put(path, digest)
        return manifest

    def job(self, text: str, key: str) -> None:
        """Run a job whose one step makes a file."""
        self.farm.submit(probes())
        claim = self.farm.must_claim()
        with self.farm.database.write() as session:
            way = cache.reuse_or_lead(session, claim, key, reuse=True)
        if way is not Way.LEAD:
            return
        made = outcomes.Product(StepResult(), self.stored(text), "d" * 64)
        with self.farm.database.write() as session:
            outcomes.succeed(session, claim, key, made)
            cache.remember(session, claim, key, made.result)

    def collect(self, order: CollectGarbage) -> Collected:
        return collect(self.farm.database, self.blobs, self.folder / "home", order)

    def age(self, seconds: float) -> None:
        with self.farm.database.write() as session:
            session.execute(update(BlobRow).values(touched_at=db_now(-seconds)))
            session.execute(update(Job).values(finished_at=db_now(-seconds)))

    def missing(self) -> list[str]:
        """Return what somebody names and the store has not."""
        with self.farm.database.read() as session:
            return [digest for digest in named(session) if self.blobs.size(digest) is None]


@pytest.fixture
def keep(farm: Farm, tmp_path: Path) -> Keep:
    return Keep(farm, tmp_path)


def test_a_dry_run_counts_and_deletes_nothing(keep: Keep) -> None:
    (entry,) = keep.stored("nobody's").files.values()
    keep.age(10)
    found = keep.collect(CollectGarbage(grace_s=5))
    assert (found.applied, found.blobs, found.freed_bytes) == (False, 1, 8)
    assert keep.blobs.size(entry.digest) == 8
    assert keep.collect(CollectGarbage(apply=True, grace_s=5)).blobs == 1
    assert keep.blobs.size(entry.digest) is None


def test_what_is_young_or_named_stays(keep: Keep) -> None:
    (young,) = keep.stored("young").files.values()
    assert keep.collect(CollectGarbage(apply=True, grace_s=60)).blobs == 0
    assert keep.blobs.size(young.digest) is not None
    keep.job("result", "k" * 64)
    keep.age(100)
    assert keep.collect(CollectGarbage(apply=True, grace_s=60)).blobs == 1
    assert keep.missing() == []


def test_results_of_long_ended_jobs_go_and_their_bytes_after_the_grace(keep: Keep) -> None:
    keep.job("result", "k" * 64)
    assert keep.collect(CollectGarbage(apply=True, grace_s=60, older_than_s=3600)).results == 0
    with keep.farm.database.write() as session:
        session.connection().exec_driver_sql("UPDATE artifacts SET created_at = '2020-01-01 00:00:00'")
    keep.age(7200)
    first = keep.collect(CollectGarbage(apply=True, grace_s=60, older_than_s=3600))
    assert (first.results, first.blobs) == (1, 0), "whoever downloads it has the grace period"
    keep.age(7200)
    assert keep.collect(CollectGarbage(apply=True, grace_s=60, older_than_s=3600)).blobs == 1
    keep.job("result", "k" * 64)
    assert keep.missing() == [], "what was let go is made anew"


def test_an_unfinished_job_keeps_the_results_that_it_reuses(keep: Keep) -> None:
    keep.job("result", "k" * 64)
    keep.farm.submit(probes(Probe(name="a"), Probe(name="b")))
    claim = keep.farm.must_claim()
    with keep.farm.database.write() as session:
        assert cache.reuse_or_lead(session, claim, "k" * 64, reuse=True) is Way.REUSED
    assert keep.collect(NOW).results == 0
    assert keep.missing() == []


def test_objects_without_a_row_and_cut_uploads_go_too(keep: Keep) -> None:
    path = keep.folder / "x"
    path.write_text("stray")
    digest, _ = digest_file(path)
    keep.blobs.put(path, digest)
    (keep.folder / "home" / "incoming").mkdir(parents=True)
    (keep.folder / "home" / "incoming" / "a.part").write_text("cut")
    (keep.folder / "home" / "incoming" / "b.part").mkdir()
    (keep.folder / "home" / "incoming" / "b.part" / "archive").write_text("cut while it was unpacked")
    assert keep.collect(CollectGarbage(apply=True, grace_s=3600)).strays == 0
    found = keep.collect(NOW)
    assert (found.strays, found.uploads) == (1, 2)
    assert list((keep.folder / "home" / "incoming").iterdir()) == []
    assert keep.blobs.size(digest) is None


def test_bytes_that_are_gone_are_no_longer_held(keep: Keep) -> None:
    (entry,) = keep.stored("mine").files.values()
    with keep.farm.database.write() as session:
        hold(session, keep.farm.team, entry.digest, entry.size)
        assert use(session, keep.farm.team, entry.digest) == 4
    keep.age(1)
    keep.collect(NOW)
    with keep.farm.database.write() as session:
        assert use(session, keep.farm.team, entry.digest) is None


def test_a_busy_collector_never_takes_what_jobs_use(keep: Keep) -> None:
    """Writers make and reuse a handful of results while a collector runs with a grace of a second."""
    stop = threading.Event()
    failures: list[BaseException] = []

    def gather() -> None:
        try:
            while not stop.is_set():
                keep.collect(CollectGarbage(apply=True, grace_s=1.0, older_than_s=0))
        except BaseException as error:  # noqa: BLE001 - told to the test
            failures.append(error)

    collector = threading.Thread(target=gather)
    collector.start()
    dice = random.Random(7)  # noqa: S311 - a choice of names
    try:
        for _ in range(60):
            number = dice.randrange(6)
            keep.job(f"text {number}", f"{number}" * 64)
            assert keep.missing() == []
    finally:
        stop.set()
        collector.join()
    assert failures == []
    with keep.farm.session() as session:
        assert session.execute(select(Step.state)).scalars().all()
