"""Sends every case through one farm and compares both packages that come back with the original."""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import openvino as ov

from ovfarm.errors import OvfarmError
from ovfarm.jobs import JobSpec, JobView
from ovfarm.recipes import Compress, Convert, Evaluate, Package, Recipe
from ovfarm.states import JobState
from storage.schema import migrate
from tests.coverage.answers import Apart, Case, check_compressed, check_converted
from tests.coverage.architectures import ARCHITECTURES, Architecture, build
from tests.coverage.formats import FORMATS, Format
from tests.coverage.originals import asked
from tests.e2e.stack import Stack

RECIPE = Recipe(
    name="coverage",
    steps=(
        Convert(),
        Package(name="package-converted", model="convert"),
        Compress(mode="int8_asym", model="convert"),
        Evaluate(reference="convert"),
        Package(name="package-compressed", model="compress"),
    ),
)
_LONGEST_S = 600
Maker = Architecture | Format
MAKERS: tuple[Maker, ...] = (*ARCHITECTURES, *FORMATS)


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one case went: ``reason`` is empty when it passed."""

    name: str
    kind: str
    reason: str = ""


@contextmanager
def farm(slots: int = 1) -> Iterator[Stack]:
    """Run an API and a node that has the Hugging Face toolkit warm."""
    with tempfile.TemporaryDirectory() as name:
        url = f"sqlite:///{name}/farm.sqlite"
        migrate(url)
        warm = {"OVFARM_PRELOAD": "huggingface", "OVFARM_SLOTS": str(slots)}
        with Stack(Path(name) / "farm", url, environment=warm) as stack:
            stack.worker("exporter")
            yield stack


def case_of(maker: Maker, folder: Path) -> Case:
    """Make a model and ask it."""
    folder.mkdir()
    if isinstance(maker, Format):
        return maker.make(maker.name, folder)
    build(maker, folder)
    return Case(maker.name, maker.family, folder, *asked(maker, folder))


def covered(makers: Iterable[Maker], tell: Callable[[Verdict], object]) -> list[Verdict]:
    """Return a verdict for each; the farm works on the first while the next are made."""
    verdicts: list[Verdict] = []
    with tempfile.TemporaryDirectory() as name, farm() as stack:
        sent = [_sent(stack, maker, Path(name) / maker.name) for maker in makers]
        for case, job in sent:
            if isinstance(case, Case) and job:
                reason = _reason(lambda c=case, j=job: _compare(stack, c, j))  # type: ignore[misc] # a defaulted lambda
                verdicts.append(Verdict(case.name, case.kind, reason))
            elif isinstance(case, Verdict):
                verdicts.append(case)
            tell(verdicts[-1])
    return verdicts


def _sent(stack: Stack, maker: Maker, folder: Path) -> tuple[Case | Verdict, JobView | None]:
    try:
        case = case_of(maker, folder)
        files = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
        model = stack.client.register_model(case.name, files)
        return case, stack.client.submit(JobSpec(model=model.id, recipe=RECIPE))
    except Exception as error:  # noqa: BLE001 - whatever it is, this case is not covered, and the next may be
        return Verdict(maker.name, _kind(maker), f"{type(error).__name__}: {error}"), None


def _kind(maker: Maker) -> str:
    return maker.family if isinstance(maker, Architecture) else "format"


def _reason(work: Callable[[], None]) -> str:
    """Return why a comparison failed, or nothing."""
    try:
        work()
    except (Apart, OvfarmError, TimeoutError) as wrong:
        return str(wrong)
    except Exception as error:  # noqa: BLE001 - the same
        return f"{type(error).__name__}: {error}"
    return ""


def _compare(stack: Stack, case: Case, job: JobView) -> None:
    done = stack.client.wait(job.id, timeout_s=_LONGEST_S)
    if done.state is not JobState.SUCCEEDED:
        failures = [f"{s.name}: {s.failure.code}: {s.failure.message}" for s in done.steps if s.failure]
        raise Apart("; ".join(failures) or f"the job has {done.state}: {done.reason}")
    made = {found.step: found for found in stack.client.artifacts(done.id)}
    packages = {}
    for step in ("package-converted", "package-compressed"):
        folder = case.folder.with_name(f"{case.name}-{step}")
        packages[step] = _home(stack.client.download(made[step], folder))
    check_converted(case.ask(packages["package-converted"]), case.original)
    _check_eight_bits(packages["package-compressed"])
    check_compressed(case.ask(packages["package-compressed"]), case.original)


def _home(files: list[Path]) -> Path:
    """Return the folder of a package, which its manifest lies in."""
    (home,) = {file.parent for file in files if file.name == "manifest.json"}
    return home


def _check_eight_bits(package: Path) -> None:
    """Raise Apart for a network that was not compressed: tokenizers are none."""
    core = ov.Core()
    for file in package.rglob("*.xml"):
        if "tokenizer" not in file.name:
            kinds = {o.get_output_element_type(0).get_type_name() for o in core.read_model(file).get_ops()}
            if "u8" not in kinds:
                raise Apart(f"compressed: {file.name} has no weights of 8 bits")
