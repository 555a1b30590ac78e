"""PyTorch files at the command line: run where the operator allows them, else the way out is printed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ovfarm.cli.outcome import Exit
from storage.schema import migrate
from tests.cli.test_cli import Cli
from tests.e2e.stack import Stack
from tests.steps.torch_networks import saved

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.mark.parametrize("name", ["model.pt", "model.pt2"])
def test_a_program_is_refused_with_the_way_out(name: str, tmp_path: Path, database_url: str) -> None:
    saved("convolution", "exported" if name == "model.pt2" else "scripted", tmp_path / name)
    with Stack(tmp_path / "farm", database_url) as stack:
        said = Cli(stack.url)("optimize", str(tmp_path / name), code=Exit.USAGE).stderr
    for words in (
        name,
        "runs code when it is loaded",
        "convert_local",
        "torch.onnx.export",
        "OVFARM_TORCH_PROGRAMS",
    ):
        assert words in said.replace("\n", " "), said


@pytest.mark.parametrize(
    ("network", "way", "settings"),
    [
        ("convolution", "exported", ()),
        ("convolution", "traced", ('convert.shapes={"x": ["?", 1, 16, 16]}',)),
        (
            "embedding",
            "scripted",
            (
                'convert.shapes={"ids": ["?", 5], "mask": ["?", 5]}',
                'convert.preprocessing={"ids": {"element_type": "i64"}}',
            ),
        ),
    ],
)
def test_a_program_is_optimized_where_it_is_allowed(
    network: str, way: str, settings: tuple[str, ...], allowed: Cli, tmp_path: Path
) -> None:
    saved(network, way, tmp_path / "model.pt")
    given = [word for setting in (*settings, "benchmark.time_budget_s=1") for word in ("--set", setting)]
    model, out = str(tmp_path / "model.pt"), str(tmp_path / "out")
    allowed("optimize", model, "--recipe", "int8-weights", *given, "--download", out)
    assert list((tmp_path / "out").rglob("model.xml"))


@pytest.fixture(scope="module")
def allowed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    home = tmp_path_factory.mktemp("farm")
    url = f"sqlite:///{home / 'farm.sqlite'}"
    migrate(url)
    with Stack(home, url, environment={"OVFARM_TORCH_PROGRAMS": "true"}) as stack:
        stack.worker("node")
        yield Cli(stack.url)
