"""Every line that the page about recipes gives for a recipe is run as it stands."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from ovfarm.presets import PRESETS
from storage.schema import migrate
from tests.e2e.stack import ROOT, TOOLS, Stack

PAGE = (ROOT / "docs" / "recipes.md").read_text()
_LAYERS = ((128, 128), (128, 128), (128, 4))


def lines() -> list[str]:
    section = PAGE.partition("\n## When to use which\n")[2].partition("\n## ")[0]
    return re.findall(r"^\./farm (optimize .+)$", section, re.MULTILINE)


def files(folder: Path) -> None:
    """Write the model and the samples that the lines speak of: each row is plainly of one class."""
    dice = np.random.default_rng(0)
    weights = [(dice.normal(size=shape) / shape[0] ** 0.5).astype(np.float32) for shape in _LAYERS]
    nodes, given = [], "x"
    for number in range(len(weights)):
        nodes += [helper.make_node("MatMul", [given, f"w{number}"], [f"m{number}"])]
        given = f"m{number}"
        if number + 1 < len(weights):
            nodes += [helper.make_node("Relu", [given], [f"r{number}"])]
            given = f"r{number}"
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 128])],
        [helper.make_tensor_value_info(given, TensorProto.FLOAT, ["rows", 4])],
        [numpy_helper.from_array(array, f"w{number}") for number, array in enumerate(weights)],
    )
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), folder / "model.onnx")
    x = dice.normal(size=(2000, 128)).astype(np.float32)
    scores = x
    for array in weights[:-1]:
        scores = np.maximum(scores @ array, 0)
    ordered = np.sort(scores @ weights[-1], axis=1)
    plain = np.argsort(ordered[:, -2] - ordered[:, -1])[:200]
    np.savez(folder / "samples.npz", x=x[plain], labels=(scores @ weights[-1]).argmax(axis=1)[plain])


def test_every_recipe_has_a_line() -> None:
    named = [re.search(r"--recipe (\S+)", line) for line in lines()]
    assert [found.group(1) for found in named if found] == [*PRESETS]


@pytest.mark.timeout(150)
def test_the_lines_do_what_they_say(tmp_path: Path) -> None:
    files(tmp_path)
    url = f"sqlite:///{tmp_path / 'farm.sqlite'}"
    migrate(url)
    with Stack(tmp_path, url, environment=TOOLS) as stack:
        stack.worker("node")
        for line in lines():
            command = [sys.executable, "-m", "ovfarm.cli", *shlex.split(line)]
            quick = ["--set", "benchmark.time_budget_s=0.3"]
            done = subprocess.run(
                [*command, *quick],
                env={**os.environ, "OVFARM_URL": stack.url, "COLUMNS": "160"},
                cwd=tmp_path,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, (line, done.stdout, done.stderr)
            assert "verdict" in done.stdout, line
