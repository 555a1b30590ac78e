"""Datasets through a real farm: image folders from the command line, and keys that know how data is read."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ovfarm.cli import tables
from ovfarm.errors import InvalidInput
from ovfarm.jobs import DataRef, JobData, JobPage, JobSpec, JobView
from ovfarm.recipes import Convert, Evaluate, Recipe
from ovfarm.states import JobState
from tests.e2e.stack import TOOLS, Stack
from tests.steps.conftest import network
from tests.steps.files import Arrays
from tests.steps.test_images import brightest, classes


def optimized(stack: Stack, *arguments: str) -> JobView:
    """Run the command line as a person would, and return the job that came of it."""
    done = subprocess.run(
        [sys.executable, "-m", "ovfarm.cli", "optimize", *arguments],
        env={**os.environ, "OVFARM_URL": stack.client.transport.url},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr + done.stdout + stack.log()
    page: JobPage = stack.client.jobs(limit=1)
    return stack.client.job(page.items[0].id)


@pytest.mark.scale  # on SQLite the demo and the lines of the pages do the same
def test_a_folder_of_images_judges_and_calibrates(tmp_path: Path, database_url: str) -> None:
    model, rows = brightest(tmp_path / "model"), classes(tmp_path / "rows", 12)
    (rows / "classes.txt").write_text("red\ngreen\nblue\n")
    (rows / ".DS_Store").write_bytes(b"\0")
    with Stack(tmp_path / "farm", database_url, environment=TOOLS) as stack:
        stack.worker("node")
        options = ["--data", str(rows), "--image", "scale=255", "--set", "benchmark.time_budget_s=1"]
        view = optimized(stack, str(model / "model.xml"), *options)
        assert view.state is JobState.SUCCEEDED
        quantized = tables.variants(stack.client.result(view.id))[-1]
        assert quantized.accuracy is not None
        assert quantized.accuracy.value == 1.0
        assert view.spec.data.evaluation is not None
        assert view.spec.data.evaluation.image is not None
        again = optimized(stack, str(model / "model.xml"), *options)
        assert all(step.cached for step in again.steps)


@pytest.mark.scale
def test_another_mapping_is_other_work(tmp_path: Path, database_url: str) -> None:
    import openvino as ov

    ov.save_model(network(), tmp_path / "m.xml", compress_to_fp16=False)
    x = np.random.default_rng(0).normal(size=(20, 16)).astype(np.float32)
    (tmp_path / "rows").mkdir()
    arrays: Arrays = {"a": x, "b": -x, "class": np.arange(20) % 4}
    for name, array in arrays.items():
        np.save(tmp_path / "rows" / f"{name}.npy", array)
    with Stack(tmp_path / "farm", database_url, environment=TOOLS) as stack:
        stack.worker("node")
        files = {name: tmp_path / name for name in ("m.xml", "m.bin")}
        model = stack.client.register_model("m", files).id
        rows = stack.client.register_dataset("rows", tmp_path / "rows").id

        def cached(column: str) -> bool:
            ref = DataRef(dataset=rows, mapping={"x": column}, labels="class")
            recipe = Recipe(name="judge", steps=(Convert(), Evaluate()))
            job = stack.client.submit(JobSpec(model=model, data=JobData(evaluation=ref), recipe=recipe))
            done = stack.client.wait(job.id, timeout_s=90)
            assert done.state is JobState.SUCCEEDED, done.failure
            return done.steps[-1].cached

        assert [cached(column) for column in ("a", "b", "a")] == [False, False, True]


def test_a_folder_that_cannot_be_kept_is_refused_before_it_is_sent(tmp_path: Path, database_url: str) -> None:
    folder = tmp_path / "rows"
    folder.mkdir()
    with Stack(tmp_path / "farm", database_url, environment=TOOLS) as stack:
        with pytest.raises(InvalidInput, match="is an empty folder"):
            stack.client.register_dataset("rows", folder)
        (folder / "a b.png").write_bytes(b"x")
        with pytest.raises(InvalidInput, match=r"'a b.png' cannot be kept"):
            stack.client.register_dataset("rows", folder)
        (folder / "a b.png").unlink()
        for number in range(10_001):
            (folder / f"{number}.png").touch()
        with pytest.raises(InvalidInput, match="has 10001 files; a dataset has at most 10000"):
            stack.client.register_dataset("rows", folder)
