"""A PyTorch program from its upload to its package, on a node that may load it; without one it waits."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from ovfarm.errors import Refused
from ovfarm.jobs import DataRef, JobData, JobSpec
from ovfarm.recipes import Convert, Evaluate, Package, Quantize, Recipe
from ovfarm.states import JobState
from tests.e2e.stack import Stack, violations
from tests.steps.torch_networks import saved
from tests.workers.hostile_programs import FORGE, in_samples

ALLOWED = {"OVFARM_TORCH_PROGRAMS": "true"}
SHAPED = Convert(shapes={"x": ("?", 1, 16, 16)})
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.mark.scale  # on SQLite the demo and the lines of the pages do the same
def test_a_program_waits_for_a_node_that_loads_it_and_is_quantized(tmp_path: Path, database_url: str) -> None:
    saved("convolution", "traced", tmp_path / "model.pt")
    rows = np.random.default_rng(0).normal(size=(64, 1, 16, 16)).astype(np.float32)
    np.savez(tmp_path / "rows.npz", x=rows)
    steps = (SHAPED, Quantize(subset_size=64), Evaluate(reference="convert"), Package())
    with Stack(tmp_path / "farm", database_url, environment=ALLOWED) as stack:
        stack.worker("weak", OVFARM_SANDBOX="landlock")
        model = stack.client.register_model("m", {"model.pt": tmp_path / "model.pt"})
        data = DataRef(dataset=stack.client.register_dataset("d", tmp_path / "rows.npz").id)
        spec = JobSpec(
            model=model.id,
            data=JobData(calibration=data, evaluation=data, allow_same=True),
            recipe=Recipe(name="p", steps=steps),
        )
        job = stack.client.submit(spec)
        waits = stack.client.job(job.id).steps[0].reason or ""
        assert "no node offers cpu/torch_programs=true (OVFARM_TORCH_PROGRAMS=true" in waits
        stack.worker("strong", OVFARM_SANDBOX="full")
        ended = stack.client.wait(job.id, timeout_s=90)
        assert ended.state is JobState.SUCCEEDED, (ended.failure, stack.log())
        assert ended.steps[0].node_name == "strong"
    assert violations(database_url) == []


def test_what_a_program_says_of_its_digest_is_not_taken(tmp_path: Path, database_url: str) -> None:
    lie = hashlib.sha256(b"another model").hexdigest()
    (tmp_path / "model.pt2").write_bytes(in_samples(tmp_path, FORGE.format(digest=lie)))
    with Stack(tmp_path / "farm", database_url, environment=ALLOWED) as stack:
        stack.worker("strong")
        model = stack.client.register_model("m", {"model.pt2": tmp_path / "model.pt2"})
        job = stack.client.submit(JobSpec(model=model.id, recipe=Recipe(name="p", steps=(SHAPED,))))
        assert stack.client.wait(job.id, timeout_s=90).state is JobState.SUCCEEDED, stack.log()
        (made,) = stack.client.artifacts(job.id)
        assert list(made.manifest.files) == ["model.bin"], "the forgery went through"
        assert made.canonical_digest != lie


def test_only_convert_opens_a_program(tmp_path: Path, database_url: str) -> None:
    saved("convolution", "exported", tmp_path / "model.pt2")
    with Stack(tmp_path / "farm", database_url, environment=ALLOWED) as stack:
        model = stack.client.register_model("m", {"model.pt2": tmp_path / "model.pt2"})
        with pytest.raises(Refused, match="only convert does that") as refused:
            stack.client.submit(JobSpec(model=model.id, recipe=Recipe(name="p", steps=(Package(),))))
        assert refused.value.code == "convert_missing"
