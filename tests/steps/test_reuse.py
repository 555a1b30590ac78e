"""What is answered from the cache: the keys of steps over real models that mean the same to most of them."""

from pathlib import Path
from uuid import uuid4

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from ovfarm.hardware import Device, Need
from ovfarm.jobs import Cache, Part
from ovfarm.keys import step_key
from ovfarm.recipes import (
    Benchmark,
    Choose,
    Compress,
    Convert,
    Evaluate,
    IgnoredScope,
    Package,
    Quantize,
    StepParams,
)
from storage.claims import Claim
from storage.inputs import Input
from tests.core.test_keys import OFFER
from tests.steps.conftest import Benches
from workers.kit import canonical, ir
from workers.outputs import collect, describe
from workers.request import key_inputs
from workers.steps import compress, convert


def given(role: str, folder: Path) -> Input:
    manifest = describe(collect(folder, 1 << 30))
    assert manifest is not None
    return Input(role=role, manifest=manifest, canonical_digest=canonical.digest(folder), part=Part.ALL)


def key(params: StepParams, **folders: Path) -> str:
    claim = Claim(
        **{name: uuid4() for name in ("id", "step_id", "job_id", "team_id")},
        name=params.name,
        attempt=1,
        max_attempts=1,
        params=params,
        lineage=(),
        timeout_s=60,
        memory_gib=None,
        cache=Cache.USE,
        need=Need(device=Device.CPU),
    )
    ins = [given(role, folder) for role, folder in folders.items()]
    return step_key(params, key_inputs(claim, ins), OFFER)


def layers(*names: str) -> ov.Model:
    """Return two layers of these names, x [?,16] in and y [?,16] out."""
    dice = np.random.default_rng(0)
    found = x = ops.parameter([-1, 16], ov.Type.f32, name="x")
    x.output(0).get_tensor().set_names({"x"})
    for name in names:
        weights = ops.constant(dice.normal(size=(16, 16)).astype(np.float32))
        found = ops.matmul(ops.relu(found), weights, False, False)
        found.set_friendly_name(name)
    found.output(0).get_tensor().set_names({"y"})
    return ov.Model([ops.result(found)], [x], "layers")


@pytest.fixture
def twins(tmp_path: Path, bench: Benches) -> tuple[Path, Path]:
    """Return the conversions of one model, and of that with the names of its layers swapped."""
    made = []
    for first, second in (("fc1", "fc2"), ("fc2", "fc1")):
        folder = tmp_path / first
        folder.mkdir()
        ov.save_model(layers(first, second), folder / "model.xml", compress_to_fp16=False)
        converted = bench(model=folder)
        convert.run(Convert(), converted)
        made.append(converted.outputs)
    return made[0], made[1]


NAMES, PATTERNS = IgnoredScope(names=("fc1",)), IgnoredScope(patterns=("fc1",))


@pytest.mark.parametrize(
    "params",
    [
        Quantize(ignored_scope=NAMES), Quantize(ignored_scope=PATTERNS), Compress(ignored_scope=NAMES),
        Compress(ignored_scope=PATTERNS), Compress(mode="auto"),
        Compress(mode="int4_sym", scale_estimation=True, keep_statistics=True),
        Compress(mode="int4_sym", scale_estimation=True, statistics="first"),
    ],
    ids=lambda params: params.kind,
)  # fmt: skip
def test_work_that_goes_by_names_is_not_taken_from_a_model_with_others(
    params: StepParams, twins: tuple[Path, Path]
) -> None:
    assert canonical.digest(twins[0]) == canonical.digest(twins[1])
    assert key(params, model=twins[0]) != key(params, model=twins[1])
    assert key(params, model=twins[0]) == key(params, model=twins[0])


@pytest.mark.parametrize(
    "params",
    [
        Quantize(), Compress(), Quantize(ignored_scope=IgnoredScope(types=("Relu",))), Benchmark(),
        Evaluate(), Package(),
    ],
    ids=lambda params: params.kind,
)  # fmt: skip
def test_all_other_work_is_shared(params: StepParams, twins: tuple[Path, Path]) -> None:
    assert key(params, model=twins[0]) == key(params, model=twins[1])


def test_the_names_matter_to_what_is_made(twins: tuple[Path, Path], bench: Benches) -> None:
    made = [bench(model=twin) for twin in twins]
    digests = [compress.run(Compress(ignored_scope=NAMES), one).canonical_digest for one in made]
    assert digests[0] != digests[1]


def test_statistics_count_with_every_byte(twins: tuple[Path, Path]) -> None:
    params = Compress(mode="int4_sym", scale_estimation=True, statistics="first")
    first, second = (key(params, model=twins[0], statistics=twin) for twin in twins)
    assert first != second


def test_a_choice_knows_what_was_asked_for(model: Path, bench: Benches, tmp_path: Path) -> None:
    """Of convolutions NNCF makes INT8 when it is asked for INT4; a choice does not take that."""
    folder = tmp_path / "convolution"
    folder.mkdir()
    x = ops.parameter([1, 3, 8, 8], ov.Type.f32, name="x")
    x.output(0).get_tensor().set_names({"x"})
    kernel = np.random.default_rng(0).normal(size=(8, 3, 3, 3)).astype(np.float32)
    y = ops.convolution(x, ops.constant(kernel), [1, 1], [1, 1], [1, 1], [1, 1])
    y.output(0).get_tensor().set_names({"y"})
    ov.save_model(ov.Model([ops.result(y)], [x], "m"), folder / "model.xml", compress_to_fp16=False)
    modes = {}
    for asked in (Compress(mode="int4_asym", group_size=-1), Compress(mode="int8_asym")):
        made = bench(model=folder)
        compress.run(asked, made)
        modes[asked.mode] = made.outputs
    assert canonical.digest(modes["int4_asym"]) == canonical.digest(modes["int8_asym"])
    assert (
        ir.read(modes["int4_asym"]).get_rt_info(["nncf", "weight_compression", "mode"]).value == "int4_asym"
    )
    keys = {key(Choose(of=("gate",)), **{"model-0": made, "reference": model}) for made in modes.values()}
    assert len(keys) == 2
