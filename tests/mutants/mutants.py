"""The bugs, as replacements of text that must occur once, and the tests that are to fail on each."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Edit:
    """``old``, which occurs once in ``file``, becomes ``new``."""

    file: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Mutant:
    """A bug: what is changed, and the tests that should kill it."""

    name: str
    edits: tuple[Edit, ...]
    killers: tuple[str, ...]


MACHINE = "tests/storage/test_state_machine.py"
LIFECYCLE = "tests/storage/test_lifecycle.py"
SHARING = "tests/storage/test_sharing.py"
LEASE = "tests/workers/test_lease.py"
OUTCOMES, CLAIMS, ATTEMPT = "storage/outcomes.py", "storage/claims.py", "workers/attempt.py"

MUTANTS = (
    Mutant(
        "no-claim-guard", (Edit(OUTCOMES, "        Step.claim_id == claim.id,\n", ""),), (LIFECYCLE, MACHINE)
    ),
    Mutant(
        "no-lease-check",
        (Edit(OUTCOMES, "        Step.lease_until > db_now(),\n", ""),),
        (LIFECYCLE, MACHINE),
    ),
    Mutant(
        "local-clock",
        (
            Edit(
                CLAIMS,
                "            lease_until=db_now(lease_s),\n",
                "            lease_until=__import__('datetime').datetime.now(__import__('datetime').UTC)"
                " + __import__('datetime').timedelta(seconds=lease_s),\n",
            ),
        ),
        (MACHINE,),
    ),
    Mutant(
        "ring-before-commit",
        (
            Edit(
                "storage/database.py",
                "            yield session\n        for queue in session.info.get(_RINGS, ()):\n"
                "            self.ring(queue)\n",
                "            yield session\n            for queue in session.info.get(_RINGS, ()):\n"
                "                self.ring(queue)\n",
            ),
        ),
        (SHARING,),
    ),
    Mutant(
        "commit-before-upload",
        (
            Edit(
                ATTEMPT,
                "            upload(files, manifest, self._place.blobs)\n",
                "            self._later = lambda: upload(files, manifest, self._place.blobs)\n",
            ),
            Edit(
                ATTEMPT,
                "                self._finish(end)\n",
                "                self._finish(end)\n"
                "                getattr(self, '_later', lambda: None)()\n",
            ),
        ),
        (LEASE,),
    ),
    Mutant(
        "no-clock-lock",
        (
            Edit(
                CLAIMS,
                "        .with_for_update(of=DeviceClock)\n",
                "",
            ),
        ),
        (SHARING,),
    ),
    Mutant(
        "attempt-counted-at-the-end",
        (
            Edit(CLAIMS, "            attempt=Step.attempt + 1,\n", ""),
            Edit(
                OUTCOMES,
                "        ready_at=db_now(delay_s),\n",
                "        ready_at=db_now(delay_s),\n        attempt=Step.attempt + 1,\n",
            ),
        ),
        ("tests/storage/test_pool.py",),
    ),
    Mutant(
        "torn-write",
        (Edit("storage/blobs.py", 'part = into.with_name(f"{into.name}.part")', "part = into"),),
        (LEASE,),
    ),
    Mutant(
        "collection-without-grace",
        (
            Edit(
                "storage/garbage.py",
                "select(BlobRow.digest, BlobRow.size).where(BlobRow.touched_at < db_now(-asked.grace_s))",
                "select(BlobRow.digest, BlobRow.size)",
            ),
            Edit(
                "storage/garbage.py",
                ".where(BlobRow.digest == digest, BlobRow.touched_at < db_now(-grace_s))",
                ".where(BlobRow.digest == digest)",
            ),
        ),
        ("tests/storage/test_garbage.py",),
    ),
    Mutant(
        "unguarded-cancel",
        (
            Edit(
                "storage/steps.py",
                "select(Step.id).where(Step.job_id == job_id, Step.state.in_(waiting))",
                "select(Step.id).where(Step.job_id == job_id)",
            ),
            Edit(
                "storage/steps.py",
                ".where(Step.id == step_id, Step.state.in_(waiting))",
                ".where(Step.id == step_id)",
            ),
        ),
        (LIFECYCLE, MACHINE),
    ),
    Mutant(
        "key-without-body",
        (
            Edit(
                "storage/submissions.py",
                "if known.body_digest != document_digest(spec):",
                "if known.body_digest == 'never':",
            ),
        ),
        ("tests/storage/test_teams.py",),
    ),
    Mutant(
        "heartbeat-on-the-work-thread",
        (
            Edit("workers/lease.py", "        self._thread.start()\n", ""),
            Edit(
                "workers/lease.py",
                "        self._closing.set()\n        self._thread.join()\n",
                "        self._closing.set()\n",
            ),
            Edit(
                "workers/lease.py",
                "        now = self._monotonic()\n        with self._lock:\n            if progress",
                "        self._tick()\n        now = self._monotonic()\n"
                "        with self._lock:\n            if progress",
            ),
        ),
        (LEASE,),
    ),
)
