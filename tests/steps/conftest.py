"""Small real models, built on the spot, and folders to run steps in."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from workers.protocol import Bench

Benches = Callable[..., Bench]


@pytest.fixture
def bench(tmp_path: Path) -> Benches:
    """Return a maker of benches: folders by role, and a list of what was reported."""
    count = iter(range(100))

    def make(**inputs: Path) -> Bench:
        outputs = tmp_path / f"out{next(count)}"
        outputs.mkdir()
        return Bench(
            inputs=inputs,
            outputs=outputs,
            report=lambda *_: None,
            parts={"calibration": "all", "evaluation": "all"},
        )

    return make


def network(*, hidden: int = 64, seed: int = 0) -> ov.Model:
    """Return a small two-layer network: x [?,16] in, y [?,4] out."""
    dice = np.random.default_rng(seed)

    def weights(*shape: int) -> ov.Node:
        return ops.constant((dice.normal(size=shape) / shape[0] ** 0.5).astype(np.float32))

    x = ops.parameter([-1, 16], ov.Type.f32, name="x")
    x.output(0).get_tensor().set_names({"x"})
    first = ops.relu(ops.matmul(x, weights(16, hidden), False, False))
    last = ops.matmul(first, weights(hidden, 4), False, False)
    last.output(0).get_tensor().set_names({"y"})
    return ov.Model([ops.result(last)], [x], "small")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Return the folder of a small IR."""
    folder = tmp_path / "model"
    folder.mkdir()
    ov.save_model(network(), folder / "model.xml", compress_to_fp16=False)
    return folder


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Return the folder of a dataset whose labels are what the small model says."""
    folder = tmp_path / "rows"
    folder.mkdir()
    x = np.random.default_rng(1).normal(size=(200, 16)).astype(np.float32)
    labels = ov.compile_model(network(), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(x)[0].argmax(axis=1)
    np.savez(folder / "rows.npz", x=x, labels=labels)
    return folder
