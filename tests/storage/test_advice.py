"""Advice as people read it: bound when a job is looked at, whoever wrote the failure."""

from ovfarm.failures import Failure, FailureClass, FailureCode
from ovfarm.hints import HINTS
from ovfarm.jobs import Limits
from ovfarm.patches import Patch
from ovfarm.recipes import Probe
from ovfarm.results import FileEntry, Manifest, Note, NoteCode, StepResult
from ovfarm.states import StepState
from storage import outcomes, queries
from storage.outcomes import Product
from storage.sweep import Overdue, take_back
from tests.storage.farm import Farm, probes


def test_a_failure_is_shown_with_words_and_patches_and_the_job_shows_it_too(farm: Farm) -> None:
    own = Patch(why="another node may have more", limits={"max_attempts": 7})
    late = Failure(
        failure_class=FailureClass.LIMIT, code=FailureCode.TIMEOUT, message="too long", patches=(own,)
    )
    job = farm.submit(probes(limits=Limits(step_timeout_s=60)))
    with farm.database.write() as session:
        outcomes.fail(session, farm.must_claim(), late)
    view = farm.view(job)
    (step,) = view.steps
    assert step.failure == view.failure
    assert view.failure is not None
    assert view.failure.hint == HINTS[FailureCode.TIMEOUT].words
    assert [patch.limits for patch in view.failure.patches] == [
        {"max_attempts": 7},
        {"step_timeout_s": 120.0},
    ]


def test_what_the_farm_itself_says_of_a_step_has_words_too(farm: Farm) -> None:
    job = farm.submit(probes(Probe(), Probe(name="later"), limits=Limits(max_attempts=1)))
    claim = farm.must_claim()
    farm.expire(claim)
    with farm.database.write() as session:
        take_back(session, Overdue(claim.step_id, claim.job_id))
    failed = {step.name: step.failure for step in farm.view(job).steps if step.state is StepState.FAILED}
    assert failed
    for failure in failed.values():
        assert failure is not None
        assert failure.hint == HINTS[failure.code].words
        assert {"max_attempts": 2} in [patch.limits for patch in failure.patches]


def test_a_note_is_shown_with_words(farm: Farm) -> None:
    job = farm.submit()
    noted = StepResult(notes=(Note(code=NoteCode.EMULATED, message="m"),))
    with farm.database.write() as session:
        outcomes.succeed(session, farm.must_claim(), "k", Product(noted, None, "0" * 64))
    with farm.database.read() as session:
        (step,) = queries.result(session, farm.team, job.id).steps
    assert step.notes[0].hint == HINTS[NoteCode.EMULATED].words


def test_what_is_kept_beside_a_model_is_none_of_its_size(farm: Farm) -> None:
    job = farm.submit()
    sizes = {"model.xml": 10, "model.bin": 90, "statistics/metadata.json": 1000}
    files = {name: FileEntry(digest=f"{size:064d}", size=size) for name, size in sizes.items()}
    with farm.database.write() as session:
        made = Product(StepResult(), Manifest(files=files), "0" * 64)
        outcomes.succeed(session, farm.must_claim(), "k", made)
    with farm.database.read() as session:
        (step,) = queries.result(session, farm.team, job.id).steps
    assert step.artifact_bytes == 100
