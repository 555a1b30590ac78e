"""What may help one job: hints and patches of the table and of its steps, bound to its own steps.

A patch is shown only when it changes something and the planner takes the job with it.
"""

from collections.abc import Collection, Iterator, Mapping
from functools import cached_property

from pydantic import JsonValue, ValidationError

from ovfarm import gates
from ovfarm.errors import InvalidInput
from ovfarm.failures import Failure, FailureCode
from ovfarm.hints import HINTS, Remedy
from ovfarm.jobs import JobSpec
from ovfarm.patches import Patch
from ovfarm.plan import PlannedStep, plan
from ovfarm.recipes import Kind, Recipe
from ovfarm.resolution import resolve
from ovfarm.results import Note, NoteCode
from ovfarm.shapes import Document

_MOST = 8
_LONGEST = 4000
_NOWHERE = object()
# How many rows a step measures activations on.
_ROWS = "subset_size"


def patched(spec: JobSpec, patch: Patch) -> JobSpec:
    """Return the job with a patch applied; raises ValidationError for values that no job may have.

    Another recipe takes the overrides of the old one away.
    """
    kept = {} if patch.recipe else spec.overrides
    # What is set last wins, also over an override of a part of it.
    kept = {path: value for path, value in kept.items() if not _within(path, patch.overrides)}
    raw = spec.model_dump(mode="json")
    raw["recipe"] = patch.recipe or raw["recipe"]
    raw["overrides"] = kept | patch.overrides
    raw["limits"] |= patch.limits
    return JobSpec.model_validate(raw)


def _within(path: str, wholes: dict[str, JsonValue]) -> bool:
    return any(path == whole or path.startswith(f"{whole}.") for whole in wholes)


class Advice:
    """What may help the steps of one job; ``recipe`` is the one that it runs, overrides set.

    ``spent`` are the steps that took all rows of their data: more of them is no advice.
    """

    def __init__(self, spec: JobSpec, recipe: Recipe, spent: Collection[str] = ()) -> None:
        self._spec = spec
        self._recipe = recipe
        self._spent = spent

    @cached_property
    def _steps(self) -> dict[str, PlannedStep]:
        """The job's steps by their names; none when this release would not plan it any more."""
        try:
            return {step.name: step for step in plan(_running(self._spec, self._recipe))}
        except InvalidInput:
            return {}

    def on_failure(self, failure: Failure, step: str) -> Failure:
        """Return a step's failure with words and patches; its own come first."""
        hint, patches = failure.hint or HINTS[failure.code].words, self._patches(failure, step)
        return failure.model_copy(update={"hint": hint, "patches": patches})

    def on_note(self, note: Note, step: str) -> Note:
        """Return a step's note with words and patches; its own come first."""
        hint, patches = note.hint or HINTS[note.code].words, self._patches(note, step)
        return note.model_copy(update={"hint": hint, "patches": patches})

    def _patches(self, about: Failure | Note, step: str) -> tuple[Patch, ...]:
        planned = self._steps.get(step)
        shown: list[Patch] = []
        offered = (*about.patches, *_remedies(about.code)) if planned else ()
        for patch in offered:
            bound = self._bound(patch, planned) if planned else None
            known = {other.touched for other in shown}
            if bound and bound.touched not in known and self._accepted(bound):
                shown.append(bound)
        return tuple(shown[:_MOST])

    def _bound(self, patch: Patch, step: PlannedStep) -> Patch | None:
        """Return a patch with names of steps in place of kinds, or None when it has nothing to change."""
        overrides: dict[str, JsonValue] = {}
        limits: dict[str, float] = {str(name): limit for name, limit in patch.limits.items()}
        for path, value in patch.overrides.items():
            overrides |= {f"{name}.{rest}": value for name, rest in self._places(path, step)}
        if isinstance(patch, Remedy):
            if not self._fits(patch, step):
                return None
            overrides |= self._numbers(patch, step)
            limits |= _limits(self._spec, step, patch)
        if len(overrides) + len(limits) < len(patch.touched) - bool(patch.recipe):
            return None
        return _valid({"why": patch.why, "overrides": overrides, "recipe": patch.recipe, "limits": limits})

    def _fits(self, remedy: Remedy, step: PlannedStep) -> bool:
        """Tell whether the parameters are so that a remedy can do something."""
        return all(
            self._now(name, parameter) in values
            for path, values in remedy.where.items()
            for name, parameter in self._places(path, step)
        )

    def _numbers(self, remedy: Remedy, step: PlannedStep) -> dict[str, JsonValue]:
        """Return the overrides that a remedy works out from what the job has now."""
        found: dict[str, JsonValue] = {}
        for path in (*remedy.times, *remedy.at_most):
            for name, parameter in self._places(path, step):
                if name in self._spent and parameter == _ROWS and remedy.times.get(path, 0) > 1:
                    continue
                now = self._now(name, parameter)
                most = remedy.at_most.get(path)
                number = _times(now, remedy.times[path]) if most is None else _lowered(now, most)
                found |= {} if number is None else {f"{name}.{parameter}": number}
        return found

    def _now(self, name: str, parameter: str) -> object:
        found: object = next(step for step in self._recipe.steps if step.name == name)
        for part in parameter.split("."):
            found = getattr(found, part) if isinstance(found, Document) else _NOWHERE
        return found

    def _places(self, path: str, step: PlannedStep) -> Iterator[tuple[str, str]]:
        """Yield the recipe's names of the steps that ``KIND.PARAMETER`` means, each with the parameter.

        That is the step itself if it is of that kind, else those of that kind that it works on.
        """
        kind, _, parameter = path.partition(".")
        mine = [step] if step.params.kind == kind else self._above(step, kind)
        for name in dict.fromkeys(each.params.name for each in mine if each.params.kind == kind):
            yield name, parameter

    def _above(self, step: PlannedStep, kind: str) -> list[PlannedStep]:
        sources = [
            self._steps[e.step] for role, e in step.edges.items() if e.step and _works(step, role, kind)
        ]
        return [*sources, *(above for source in sources for above in self._above(source, kind))]

    def _accepted(self, patch: Patch) -> bool:
        """Tell whether the job with the patch would be taken, and would be another job."""
        if patch.recipe == self._recipe.name or len(patch.model_dump_json()) > _LONGEST:
            return False
        try:
            changed = patched(self._spec, patch)
            plan(changed)
        except (InvalidInput, ValidationError):
            return False
        return resolve(changed) != self._recipe or changed.limits != self._spec.limits


def _works(step: PlannedStep, role: str, kind: str) -> bool:
    """Tell whether changes of what is read under a role can help a step.

    The gates that it waited for made nothing of what it reads, unless it is a choice. What it is compared
    with counts for how models are converted: a closer reference would not be a better model.
    """
    if role == "reference":
        return kind == Kind.CONVERT
    return step.params.kind is Kind.CHOOSE or not gates.is_gate(role)


def _running(spec: JobSpec, recipe: Recipe) -> JobSpec:
    return spec.model_copy(update={"recipe": recipe, "overrides": {}})


def _remedies(code: FailureCode | NoteCode) -> tuple[Remedy, ...]:
    return HINTS[code].patches


def _valid(raw: Mapping[str, object]) -> Patch | None:
    try:
        return Patch.model_validate(raw)
    except ValidationError:
        return None


def _times(now: object, factor: float) -> int | float | None:
    """Return a number multiplied: whole numbers stay whole and above 0; None for what is no such number."""
    if isinstance(now, bool) or not isinstance(now, int | float) or now <= 0:
        return None
    return max(1, round(now * factor)) if isinstance(now, int) else now * factor


def _lowered(now: object, most: float) -> int | float | None:
    """Return a bound for a number that is larger, or for what has none yet (None, 0 and -1)."""
    if now is None:
        return most
    return most if isinstance(now, int | float) and not 0 < now <= most else None


def _limits(spec: JobSpec, step: PlannedStep, remedy: Remedy) -> dict[str, float]:
    """Return the limits that a remedy multiplies; memory from what the step was given, if that is known."""
    found: dict[str, float] = {}
    for path, factor in remedy.times.items():
        head, _, name = path.partition(".")
        if head == "limits":
            now = getattr(spec.limits, name)
            if name == "memory_gib":
                now = max(now or 0, step.need.memory_gib or 0)
            number = _times(now, factor)
            found |= {} if number is None else {name: number}
    return found
