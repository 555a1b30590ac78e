"""Whole recipes on small models: every step by its own function, in the order of the plan."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from tempfile import mkdtemp
from uuid import UUID

from pydantic import TypeAdapter

from ovfarm.advice import Advice
from ovfarm.failures import Failure
from ovfarm.jobs import DataRef, JobData, JobSpec
from ovfarm.plan import Edge, PlannedStep, plan
from ovfarm.recipes import Benchmark, StepParams
from ovfarm.resolution import resolve
from ovfarm.results import Note, NoteCode, StepResult
from workers.protocol import Bench, StepFailed

MODEL, CALIBRATION, EVALUATION = UUID(int=1), UUID(int=2), UUID(int=3)
_LINEAGE: TypeAdapter[tuple[StepParams, ...]] = TypeAdapter(tuple[StepParams, ...])


class Given:
    """What a user has: the folders of a model and of datasets by role, and a place for what is made."""

    def __init__(self, tmp_path: Path, model: Path, **data: Path) -> None:
        self.tmp_path = tmp_path
        self.model = model
        self.data = data
        self.folders: dict[str, Path] = {}

    def spec(self, recipe: object, **fields: object) -> JobSpec:
        """Return a job on these files; ``recipe`` is a preset's name or a list of steps."""
        steps = {"name": "mine", "steps": recipe} if isinstance(recipe, list) else recipe
        ids = {"calibration": CALIBRATION, "evaluation": EVALUATION}
        data = JobData.model_validate({role: DataRef(dataset=ids[role]) for role in self.data})
        return JobSpec.model_validate({"model": MODEL, "recipe": steps, "data": data, **fields})

    def run(self, spec: JobSpec) -> Failure | dict[str, StepResult]:
        """Run a job; returns its failure as a user sees it, or what each step found out, notes included."""
        results: dict[str, StepResult] = {}
        made = self.folders = {}
        for step in plan(spec):
            made[step.name] = Path(mkdtemp(dir=self.tmp_path))
            bench = Bench(
                inputs=dict(self._inputs(step, made)),
                outputs=made[step.name],
                report=lambda *_: None,
                parts=dict.fromkeys(self.data, "all"),
            )
            try:
                results[step.name] = import_module(f"workers.steps.{step.params.kind}").run(
                    _short(step.params), bench
                )
            except StepFailed as refused:
                return Advice(spec, resolve(spec)).on_failure(refused.failure, step.name)
        return results

    def made(self, spec: JobSpec, name: str) -> Path:
        """Run a job that succeeds; returns the folder of what one of its steps made."""
        ended = self.run(spec)
        assert not isinstance(ended, Failure), ended
        return self.folders[name]

    def notes(self, spec: JobSpec) -> dict[str, Note]:
        """Run a job that succeeds; returns its notes by code, as a user sees them."""
        ended = self.run(spec)
        assert not isinstance(ended, Failure), ended
        few = {note.code: name for name, result in ended.items() for note in result.notes}
        spent = [name for code, name in few.items() if code is NoteCode.LITTLE_CALIBRATION_DATA]
        advice = Advice(spec, resolve(spec), spent)
        return {
            note.code: advice.on_note(note, step) for step, result in ended.items() for note in result.notes
        }

    def _inputs(self, step: PlannedStep, made: Mapping[str, Path]) -> Iterator[tuple[str, Path]]:
        for role, edge in step.edges.items():
            yield role, self._source(role, edge, made)
        if step.lineage:
            folder = Path(mkdtemp(dir=self.tmp_path))
            (folder / "recipe.json").write_bytes(_LINEAGE.dump_json(step.lineage))
            yield "recipe", folder

    def _source(self, role: str, edge: Edge, made: Mapping[str, Path]) -> Path:
        if edge.step:
            return made[edge.step]
        return self.model if role == "model" else self.data[role]


def _short(params: StepParams) -> StepParams:
    """Measure for a moment only: what a benchmark finds is not what is looked at here."""
    return params.model_copy(update={"time_budget_s": 0.2}) if isinstance(params, Benchmark) else params
