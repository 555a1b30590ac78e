"""Patches as people see them: what each is for, and the command that applies it."""

import shlex
from uuid import UUID

import yaml
from pydantic import JsonValue

from ovfarm.cli.outcome import say
from ovfarm.errors import InvalidInput
from ovfarm.failures import Failure
from ovfarm.jobs import JobResult
from ovfarm.patches import Patch
from ovfarm.shapes import public_id, shown

# The tool's own words are shown up to here; a message that has so many of them has them all.
_LONGEST, _TOLD = 300, 100


def command(job: UUID, patch: Patch) -> str:
    """Return the line that runs a job again with a patch; every word of it is quoted for a shell."""
    words = ["ovfarm", "jobs", "retry", public_id("job", job)]
    if patch.recipe:
        words += ["--recipe", patch.recipe]
    for path, value in patch.overrides.items():
        words += ["--set", f"{path}={text(value)}"]
    for name, limit in patch.limits.items():
        words += ["--limit", f"{name}={limit:g}"]
    return shlex.join(words)


def text(value: JsonValue) -> str:
    """Return a value on one line, such that ``setting`` reads it back."""
    dumped = yaml.safe_dump(value, default_flow_style=True, width=float("inf"), sort_keys=False)
    return dumped.removesuffix("\n").removesuffix("\n...")


def settings(given: tuple[str, ...], option: str = "--set") -> dict[str, JsonValue]:
    """Return what ``NAME=VALUE`` sets; a value is YAML. Raises InvalidInput."""
    values: dict[str, JsonValue] = {}
    for one in given:
        path, equals, value = one.partition("=")
        if not equals:
            expected = "STEP.PARAMETER=VALUE" if option == "--set" else "NAME=VALUE"
            raise InvalidInput(f"{option} {one}: expected {expected}")
        try:
            values[path] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise InvalidInput(f"{option} {one}: the value is not YAML") from None
    return values


def tell_failure(job: UUID, failure: Failure) -> None:
    """Say what went wrong, what to do, and each change that may help."""
    say(f"✗ {shown(failure.message)}")
    if words := _said(failure):
        say(f"  it was said: {words}")
    if failure.hint:
        say(f"  {shown(failure.hint)}")
    _tell(job, failure.patches)


def _said(failure: Failure) -> str:
    """Return the last words of the tool that refused, unless the message has them already."""
    lines = [" ".join(line.split()) for line in (failure.evidence or "").splitlines()]
    last = next((line for line in reversed(lines) if any(letter.isalpha() for letter in line)), "")
    known = last[:_TOLD] in failure.message
    return "" if known else shown(last if len(last) <= _LONGEST else f"{last[:_LONGEST]} …")


def tell_notes(result: JobResult) -> None:
    """Say of each note what may help."""
    for step in result.steps:
        for note in step.notes:
            if note.patches:
                say(f"! {step.name}: {shown(note.hint or note.message)}")
                _tell(result.id, note.patches)


def _tell(job: UUID, patches: tuple[Patch, ...]) -> None:
    for patch in patches:
        say(f"  # {patch.why}\n  {command(job, patch)}")
