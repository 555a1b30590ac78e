"""Each mistake that a user can make: what is given and asked, how it fails, and what helps."""

import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import openvino as ov

from ovfarm.failures import FailureCode as C
from ovfarm.jobs import JobSpec
from tests.hostile import graphs
from tests.steps.conftest import network
from tests.steps.makers import (
    X,
    averaged,
    branching,
    dataset,
    doubled,
    files,
    fixed_reshape,
    linear,
    not_a_number,
    saved,
    wired,
)
from tests.steps.runs import Given
from tests.steps.test_convert import external, onnx_model
from tests.steps.test_methods import attention

CONVERT: Mapping[str, object] = {"kind": "convert"}
EVALUATE: Mapping[str, object] = {"kind": "evaluate"}
Make = Callable[[Path], Given]


@dataclass(frozen=True)
class Case:
    """What is given and asked, how it fails, and which of the patches are shown and help."""

    code: C
    words: str
    make: Make
    steps: Sequence[Mapping[str, object]] | str
    helps: tuple[str, ...] = ()
    overrides: Mapping[str, object] | None = None

    def spec(self, user: Given) -> JobSpec:
        recipe = self.steps if isinstance(self.steps, str) else list(self.steps)
        return user.spec(recipe, overrides=self.overrides or {})


def given(content: Callable[[], ov.Model], **data: Mapping[str, object]) -> Make:
    """Return what writes a model, and datasets by role."""

    def make(tmp: Path) -> Given:
        written = {role: dataset(tmp / role, **arrays) for role, arrays in data.items()}
        return Given(tmp, saved(tmp / "m", content()), **written)

    return make


def upload(**content: bytes) -> Make:
    return lambda tmp: Given(tmp, files(tmp / "m", **content))


def quantized(tmp: Path) -> Given:
    """Return a model that is quantized already."""
    floating = given(network, calibration={})(tmp)
    made = floating.made(floating.spec([CONVERT, quantize()]), "quantize")
    return Given(tmp, made, **floating.data)


def archive() -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as written:
        written.writestr("a", "b")
    return buffer.getvalue()


def compress(**fields: object) -> dict[str, object]:
    return {"kind": "compress", "mode": "int4_sym", "all_layers": True, **fields}


def quantize(**fields: object) -> dict[str, object]:
    return {"kind": "quantize", "subset_size": 50, **fields}


TOKENS = {"x": np.random.default_rng(1).normal(size=(16, 8, 64)).astype(np.float32)}
DATA: dict[str, object] = {}
CASES = (
    Case(C.MODEL_UNREADABLE, "damaged", upload(m_onnx=b"garbage" * 100), [CONVERT]),
    Case(C.MODEL_FORMAT_REFUSED, "one model file", upload(a_onnx=b"1", b_onnx=b"2"), [CONVERT]),
    Case(C.MODEL_FORMAT_REFUSED, "ZIP archive", upload(m_onnx=archive()), [CONVERT]),
    Case(C.MODEL_TOO_COMPLEX, "nested more than", upload(m_onnx=graphs.nested(20)), [CONVERT]),
    Case(C.WEIGHTS_MISSING, "missing or too short", upload(m_onnx=external("w.bin")), [CONVERT]),
    Case(C.WEIGHTS_MISSING, "no m.bin beside it", upload(m_xml=b"<net/>"), [CONVERT]),
    Case(
        C.EXTERNAL_DATA_OUTSIDE, "outside its own folder", upload(m_onnx=external("/etc/passwd")), [CONVERT]
    ),
    Case(
        C.UNSUPPORTED_OPERATION,
        "Frobnicate",
        upload(m_onnx=onnx_model("Frobnicate", "my.domain").SerializeToString()),
        [CONVERT],
    ),
    Case(
        C.MODEL_UNUSABLE,
        "single number",
        given(lambda: wired(lambda x: x, [])),
        [CONVERT, EVALUATE],
    ),
    Case(
        C.INFERENCE_FAILED,
        "cannot compute on the rows",
        given(lambda: wired(fixed_reshape), evaluation=DATA),
        [CONVERT, EVALUATE],
        ("convert.shapes",),
    ),
    Case(
        C.INFERENCE_FAILED,
        "cannot compute on the rows",
        given(lambda: wired(fixed_reshape), evaluation=DATA),
        [CONVERT, {"kind": "benchmark", "batch": 8}],
        ("benchmark.batch",),
    ),
    Case(
        C.OUTPUT_SHAPE,
        r"\[1, 4\] for 32 rows",
        given(lambda: wired(averaged), evaluation=DATA),
        [CONVERT, EVALUATE],
        ("convert.shapes",),
    ),
    Case(
        C.DYNAMIC_SHAPE,
        "random rows have no size",
        given(lambda: wired(linear, [-1, -1, 16])),
        [CONVERT, EVALUATE],
        ("convert.shapes",),
    ),
    Case(
        C.DYNAMIC_SHAPE,
        "fixed at 2",
        given(lambda: wired(linear, [2, 16])),
        [CONVERT, {"kind": "benchmark", "batch": 8}],
        ("benchmark.batch",),
    ),
    Case(
        C.MODEL_MISMATCH,
        "the reference's",
        given(lambda: wired(doubled, [-1, -1, -1, -1]), evaluation={"x": np.ones((8, 4, 4, 3), np.float32)}),
        [
            CONVERT,
            {
                "kind": "convert",
                "name": "b",
                "preprocessing": {"x": {"layout": "NHWC", "model_layout": "NCHW"}},
            },
            EVALUATE,
        ],
        ("convert.preprocessing",),
    ),
    Case(
        C.OUTPUT_NOT_FINITE,
        "NaN or infinite",
        given(lambda: wired(not_a_number), evaluation=DATA),
        [CONVERT, EVALUATE],
    ),
    Case(
        C.DATASET_SHAPE,
        r"\(5, 15\)",
        given(network, calibration={"x": np.zeros((5, 15))}),
        [CONVERT, quantize()],
    ),
    Case(
        C.DATASET_SHAPE,
        r"takes \[\?,3,4,4\], the data is \(8, 4, 4, 3\)",
        given(lambda: wired(doubled, [-1, 3, 4, 4]), evaluation={"x": np.ones((8, 4, 4, 3), np.float32)}),
        [CONVERT, EVALUATE],
        ("convert.preprocessing",),
    ),
    Case(
        C.DATASET_EMPTY,
        "no rows",
        given(network, calibration={"x": np.zeros((0, 16))}),
        [CONVERT, quantize()],
    ),
    Case(
        C.DATASET_NOT_FINITE,
        "NaN or infinite in row 0",
        given(network, calibration={"x": np.full((5, 16), np.nan)}),
        [CONVERT, quantize()],
    ),
    Case(
        C.DATASET_UNREADABLE,
        "plain arrays",
        given(network, calibration={"x": np.array([{}, {}])}),
        [CONVERT, quantize()],
    ),
    Case(
        C.LABELS_MISSING,
        "needs labels",
        given(network, calibration=DATA, evaluation={"x": X}),
        "int8-accurate",
        ("quantize.accuracy",),
    ),
    Case(C.LABELS_MISSING, "no labels and no reference", given(network, evaluation={"x": X}), [EVALUATE]),
    Case(
        C.LABELS_MISFIT,
        "no class: the model has 4",
        given(network, evaluation={"x": X, "labels": np.full(64, 4)}),
        [CONVERT, EVALUATE],
    ),
    Case(
        C.GROUP_SIZE,
        "group_size 64 does not divide",
        given(lambda: network(hidden=96)),
        [CONVERT, compress(group_size=64), EVALUATE],
        ("compress.group_size", "compress.group_size_fallback", "recipe"),
    ),
    Case(
        C.IGNORED_SCOPE,
        r"does not have: names \['no such node'\]",
        given(network, calibration=DATA),
        [CONVERT, quantize(ignored_scope={"names": ["no such node"]})],
        ("quantize.ignored_scope",),
    ),
    Case(
        C.PARAMETER_REFUSED,
        "cannot take these shapes",
        given(network),
        [{"kind": "convert", "shapes": {"x": [1, 15]}}],
        ("convert.shapes",),
    ),
    Case(
        C.PARAMETER_REFUSED,
        "cannot compute with these quantizers",
        given(network, calibration=DATA),
        [CONVERT, quantize(advanced={"activations_quantization_params": {"per_channel": True}})],
        ("quantize.advanced",),
    ),
    Case(
        C.PARAMETER_REFUSED,
        "a model with an If operation",
        given(lambda: wired(branching), calibration={"x": X}),
        [CONVERT, quantize(fast_bias_correction=False)],
        ("quantize.fast_bias_correction",),
    ),
    Case(C.ALREADY_QUANTIZED, "quantized already", quantized, [CONVERT, quantize()], ("recipe",)),
    Case(C.ALREADY_QUANTIZED, "compressed or quantized", quantized, [CONVERT, compress()], ("recipe",)),
    Case(
        C.NOTHING_QUANTIZED,
        "nothing was quantized",
        given(network, calibration=DATA),
        [CONVERT, quantize(ignored_scope={"types": ["MatMul"]})],
        ("quantize.ignored_scope", "recipe"),
    ),
    Case(
        C.NOTHING_QUANTIZED,
        "none of the 1280 weights",
        given(network),
        [CONVERT, compress(ignored_scope={"types": ["MatMul"]}, group_size=16)],
        ("compress.ignored_scope", "recipe"),
    ),
    Case(
        C.ACCURACY_DROP,
        "more than max_drop 0.001",
        given(network, calibration=DATA, evaluation=DATA),
        "int8-accurate",
        ("quantize.accuracy.max_drop", "recipe"),
        {"quantize.accuracy.max_drop": 0.001, "quantize.accuracy.max_num_iterations": 1},
    ),
    Case(
        C.ACCURACY_DROP,
        "only with every layer given back",
        given(network, calibration=DATA, evaluation=DATA),
        "int8-accurate",
        ("quantize.accuracy.max_drop", "recipe"),
        {"quantize.accuracy.max_drop": 0.0},
    ),
    Case(
        C.TOOL_REFUSED,
        "NNCF cannot do this",
        given(attention, calibration=TOKENS),
        [CONVERT, compress(group_size=32, subset_size=8, gptq=True)],
        ("compress.gptq", "recipe"),
    ),
)
