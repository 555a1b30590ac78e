"""What a node has not: packages, devices, calm. Each is brought about and named."""

import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import openvino as ov
import pytest
from openvino import opset13 as ops

from ovfarm.failures import Failure, FailureClass, FailureCode
from ovfarm.hints import HINTS
from ovfarm.recipes import Benchmark, Convert, Evaluate
from ovfarm.results import NoteCode
from tests.coverage.architectures import BY_NAME, build
from tests.steps.conftest import Benches
from tests.steps.makers import files, saved
from workers.protocol import StepFailed
from workers.steps import benchmark, convert, evaluate

# Without a package, as on a node of ``./farm setup`` alone: what is None in sys.modules cannot be imported.
_WITHOUT = """
import sys
from pathlib import Path
sys.modules[{package!r}] = None
{imports}
from workers.protocol import Bench, StepFailed
try:
    {call}
except StepFailed as refused:
    print(refused.failure.model_dump_json())
"""
_EXPORT = (
    "from ovfarm.recipes import Convert; from workers.steps import convert",
    "convert.run(Convert(task='auto'), Bench({{'model': Path({folder!r})}}, Path(), lambda *_: None, {{}}))",
)
_TOKENIZE = (
    "from workers.kit.data.tokens import Tokenizer",
    "Tokenizer(Path({folder!r}), 8, None)",
)


@pytest.mark.parametrize(
    ("package", "does", "code"),
    [
        ("optimum.intel.openvino", _EXPORT, FailureCode.TOOLKIT_MISSING),
        ("openvino_tokenizers", _TOKENIZE, FailureCode.TOOLCHAIN),
    ],
)
def test_a_package_that_is_not_there_is_the_operators(
    package: str, does: tuple[str, str], code: FailureCode, tmp_path: Path
) -> None:
    source = files(tmp_path / "m", config_json=b"{}")
    (source / "openvino_tokenizer.xml").write_bytes(b"<net/>")
    imports, call = does
    program = _WITHOUT.format(package=package, imports=imports, call=call.format(folder=str(source)))
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    failure = Failure.model_validate_json(ended.stdout.splitlines()[-1])
    assert (failure.code, failure.failure_class) == (code, FailureClass.INFRA)
    assert failure.failure_class in HINTS[code].classes
    assert "./farm setup --hf" in str(failure.hint)


def test_a_device_that_is_not_there_is_named(model: Path, rows: Path, bench: Benches) -> None:
    made = replace(bench(model=model, reference=model, evaluation=rows), openvino_device="XPU")
    with pytest.raises(StepFailed, match="this node has no XPU; it has CPU") as caught:
        evaluate.run(Evaluate(), made)
    assert caught.value.failure.code is FailureCode.DEVICE_MISSING
    assert caught.value.failure.failure_class in HINTS[FailureCode.DEVICE_MISSING].classes


def test_a_device_that_cannot_compile_is_named(model: Path, rows: Path, bench: Benches) -> None:
    """A second CPU, which OpenVINO lists under no number."""
    made = replace(bench(model=model, reference=model, evaluation=rows), openvino_device="CPU.1")
    with pytest.raises(StepFailed, match=r"CPU\.1 could not compile the model") as caught:
        evaluate.run(Evaluate(), made)
    assert caught.value.failure.code is FailureCode.DEVICE_FAILED
    assert caught.value.failure.failure_class in HINTS[FailureCode.DEVICE_FAILED].classes


def test_a_tokenizer_that_is_none_is_said(tmp_path: Path, bench: Benches) -> None:
    source = build(BY_NAME["llama"], tmp_path / "llama")
    for file in source.glob("*token*"):
        file.unlink()
    (source / "tokenizer.json").write_text("{}")
    notes = {note.code: note for note in convert.run(Convert(task="auto"), bench(model=source)).notes}
    assert "could not become OpenVINO IR" in notes[NoteCode.TOKENIZER_NOT_CONVERTED].message


def remembering() -> ov.Model:
    """Return a model that adds up what it is given: it reads and writes a state."""
    x = ops.parameter([1, 4], ov.Type.f32, name="x")
    x.output(0).get_tensor().set_names({"x"})
    start = ops.constant([[0.0] * 4], dtype=ov.Type.f32)
    total = ops.add(x, ops.read_value(start, "total"))
    kept = ops.assign(total, "total")
    return ov.Model([ops.result(total)], [kept], [x])


def test_a_model_that_remembers_is_timed_from_its_empty_state(tmp_path: Path, bench: Benches) -> None:
    folder = saved(tmp_path / "m", remembering())
    ended = benchmark.run(Benchmark(time_budget_s=0.2), bench(model=folder, reference=folder))
    assert NoteCode.EMPTY_STATE in {note.code for note in ended.notes}


def test_a_budget_that_is_over_is_said(model: Path, bench: Benches) -> None:
    short = Benchmark(time_budget_s=0.01, half_width=1e-9)
    notes = {n.code: n for n in benchmark.run(short, bench(model=model, reference=model)).notes}
    assert "after 0.01 s" in notes[NoteCode.BUDGET_OVER].message


def spin() -> None:
    os.nice(19)
    parent = os.getppid()
    while os.getppid() == parent:
        pass


@contextmanager
def crowd(size: int) -> Iterator[None]:
    """Keep as many processes running, each as modest as can be."""
    context = multiprocessing.get_context("spawn")
    running = [context.Process(target=spin, daemon=True) for _ in range(size)]
    for one in running:
        one.start()
    try:
        yield
    finally:
        for one in running:
            one.kill()
            one.join()


def test_a_busy_host_is_said(model: Path, bench: Benches) -> None:
    """The kernel's load of a minute rises fast when many want to run."""
    made = replace(bench(model=model, reference=model), threads=1)
    deadline = time.monotonic() + 60
    with crowd(16):
        while os.getloadavg()[0] < 3.5 and time.monotonic() < deadline:
            time.sleep(0.5)
    if os.getloadavg()[0] < 3:
        pytest.skip("this kernel counts no load")
    notes = {note.code: note for note in benchmark.run(Benchmark(time_budget_s=0.2), made).notes}
    assert "busy with other things" in notes[NoteCode.BUSY_HOST].message
