import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import numpy as np
import openvino as ov
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from ovfarm.cli import files as files_named
from ovfarm.cli.outcome import Exit
from ovfarm.cli.patches import command, settings
from ovfarm.cli.supervise import free_port
from ovfarm.errors import InvalidInput
from ovfarm.patches import Patch
from ovfarm.recipes import Recipe
from storage.schema import migrate
from tests.e2e.stack import TOOLS, Stack
from tests.steps.conftest import network

Done = subprocess.CompletedProcess[str]


class Cli:
    """The command line, run as a person would: ``cli("jobs", "ls")``."""

    def __init__(self, url: str) -> None:
        self.url = url

    def __call__(self, *arguments: str, code: Exit = Exit.OK) -> Done:
        done = subprocess.run(
            [sys.executable, "-m", "ovfarm.cli", *arguments],
            env={**os.environ, "OVFARM_URL": self.url, "COLUMNS": "160"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stderr + done.stdout
        assert "Traceback" not in done.stderr
        return done


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    home = tmp_path_factory.mktemp("farm")
    migrate(f"sqlite:///{home / 'farm.sqlite'}")
    with Stack(home, f"sqlite:///{home / 'farm.sqlite'}", environment=TOOLS) as stack:
        stack.worker("node")
        yield Cli(stack.client.transport.url)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    ov.save_model(network(), folder / "small.xml", compress_to_fp16=False)
    x = np.random.default_rng(0).normal(size=(100, 16)).astype(np.float32)
    np.savez(folder / "rows.npz", x=x, labels=np.arange(100) % 4)
    return folder


def test_optimize_is_the_whole_job_in_one_line(cli: Cli, files: Path, tmp_path: Path) -> None:
    options = ["--data", str(files / "rows.npz"), "--set", "benchmark.time_budget_s=1"]
    into = ["--download", str(tmp_path / "package")]
    done = cli("optimize", str(files / "small.xml"), *options, *into)
    assert "quantize" in done.stdout
    assert "verdict" in done.stdout
    assert "✓ benchmark" in done.stderr
    ov.Core().read_model(tmp_path / "package" / "model.xml")
    shown = cli("models", "show", "small.xml").stdout
    assert "[?,16]" in shown
    assert "small.bin" in shown
    ports = json.loads(cli("models", "show", "small.xml", "--json").stdout)["ports"]
    assert [(p["direction"], p["shape"], p["element_type"]) for p in ports] == [
        ("input", "[?,16]", "f32"),
        ("output", "[?,4]", "f32"),
    ]
    cli("models", "show", "nothing", code=Exit.NOT_FOUND)
    again = cli("optimize", str(files / "small.xml"), *options, "--json")
    result = json.loads(again.stdout)
    assert all(step["cached"] for step in result["steps"])
    assert "benchmark: cached" in again.stderr


def test_jobs_are_listed_shown_waited_for_and_downloaded(cli: Cli, files: Path, tmp_path: Path) -> None:
    submitted = cli("optimize", str(files / "small.xml"), "--recipe", "int8-weights", "--no-watch")
    job = submitted.stdout.strip()
    cli("jobs", "wait", job, "--timeout", "60")
    assert job in cli("jobs", "ls").stdout
    assert "package" in cli("jobs", "show", job).stdout
    shown = json.loads(cli("jobs", "show", job, "--json").stdout)
    assert shown["state"] == "succeeded"
    cli("jobs", "download", job, str(tmp_path))
    assert (tmp_path / "manifest.json").exists()
    cli("jobs", "cancel", job, code=Exit.REFUSED)


def test_a_recipe_may_be_a_file(cli: Cli, files: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("steps:\n  - kind: convert\n    weights: fp16\n  - kind: package\n")
    done = cli("optimize", str(files / "small.xml"), "--recipe", str(recipe), "--json")
    assert json.loads(done.stdout)["steps"][0]["element_types"] == {"f16": 1280}


def test_listings(cli: Cli) -> None:
    assert "int8-weights" in cli("recipes", "ls").stdout
    assert json.loads(cli("recipes", "show", "int8", "--json").stdout)["parameters"]
    assert "quantize" in cli("recipes", "show", "int8").stdout
    shown = json.loads(cli("recipes", "show", "int8", "--target", "npu", "--json").stdout)["recipe"]
    assert [step["require_static"] for step in shown["steps"] if step["kind"] == "convert"] == [True]
    assert "npu" in cli("recipes", "show", "int8", "--target", "vpu", code=Exit.USAGE).stderr
    nodes = json.loads(cli("nodes", "ls", "--json").stdout)
    assert nodes[0]["offer"]["device"] == "cpu"
    assert "online" in cli("nodes", "ls").stdout
    cli("models", "ls")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["jobs", "show", "job_" + "0" * 32], Exit.NOT_FOUND, "ovfarm jobs ls"),
        (["jobs", "show", "nonsense"], Exit.USAGE, "32 hexadecimal"),
        (["optimize", "/no/such.onnx"], Exit.USAGE, "there is no file"),
        (["optimize", "mod_" + "0" * 32, "--recipe", "int9"], Exit.USAGE, "there are: fp16"),
        (["optimize", "mod_" + "0" * 32, "--recipe", "int4"], Exit.USAGE, "no model"),
        (["optimize", "mod_" + "0" * 32, "--target", "VPU"], Exit.USAGE, "npu"),
        (["optimize", "mod_" + "0" * 32, "--set", "x"], Exit.USAGE, "STEP.PARAMETER=VALUE"),
        (["frobnicate"], Exit.USAGE, ""),
        (["jobs", "ls", "--frob"], Exit.USAGE, ""),
    ],
)
def test_mistakes_have_a_code_and_a_next_step(cli: Cli, arguments: list[str], code: Exit, words: str) -> None:
    done = cli(*arguments, code=code)
    assert words in done.stderr + done.stdout


def test_a_farm_that_is_away_is_unreachable() -> None:
    away = Cli(f"http://127.0.0.1:{free_port()}")
    assert "./farm up" in away("jobs", "ls", code=Exit.UNREACHABLE).stderr


def test_waiting_may_time_out_and_a_failed_job_fails(cli: Cli, files: Path, tmp_path: Path) -> None:
    slow = tmp_path / "slow.yaml"
    slow.write_text("steps:\n  - kind: probe\n    action: sleep\n    seconds: 30\n")
    job = cli("optimize", str(files / "small.xml"), "--recipe", str(slow), "--no-watch").stdout.strip()
    cli("jobs", "wait", job, "--timeout", "0.5", code=Exit.TIMED_OUT)
    assert "cancel" in cli("jobs", "cancel", job).stdout
    cli("jobs", "wait", job, "--timeout", "20", code=Exit.FAILED)
    failing = tmp_path / "failing.yaml"
    failing.write_text("steps:\n  - kind: probe\n    action: fail\n")
    done = cli("optimize", str(files / "small.xml"), "--recipe", str(failing), code=Exit.FAILED)
    assert "told to fail" in done.stderr


def test_a_failed_job_shows_what_was_measured(cli: Cli, files: Path, tmp_path: Path) -> None:
    """Labels that misfit end the evaluation; the benchmark has its numbers all the same."""
    with np.load(files / "rows.npz") as rows:
        np.savez(tmp_path / "misfit.npz", x=rows["x"], labels=rows["labels"] + 4)
    data = ["--data", str(tmp_path / "misfit.npz"), "--set", "benchmark.time_budget_s=1"]
    done = cli("optimize", str(files / "small.xml"), *data, code=Exit.FAILED)
    assert "is no class" in done.stderr
    quantize = next(line for line in done.stdout.splitlines() if line.startswith("quantize"))
    assert " i8 " in quantize
    assert "±" in quantize
    job = done.stderr.split(" submitted", 1)[0].split()[-1]
    assert quantize in cli("jobs", "show", job).stdout


def test_without_labels_the_table_shows_how_alike_the_outputs_are(
    cli: Cli, files: Path, tmp_path: Path
) -> None:
    with np.load(files / "rows.npz") as rows:
        np.savez(tmp_path / "plain.npz", x=rows["x"])
    data = ["--data", str(tmp_path / "plain.npz"), "--recipe", "int8", "--set", "benchmark.time_budget_s=1"]
    done = cli("optimize", str(files / "small.xml"), *data)
    assert re.search(r"agrees \d+\.\d\d% ±\d+\.\d, distance 0\.\d{4} \(50\)", done.stdout)


def test_what_the_tool_said_is_shown(cli: Cli, files: Path) -> None:
    asked = [
        "--set",
        "convert.preprocessing.x.layout=NHWC",
        "--set",
        "convert.preprocessing.x.model_layout=NCHW",
    ]
    done = cli("optimize", str(files / "small.xml"), "--recipe", "int8-weights", *asked, code=Exit.FAILED)
    assert "it was said: " in done.stderr


def test_the_line_that_is_advised_can_be_pasted(cli: Cli, files: Path) -> None:
    failed = cli(
        "optimize", str(files / "small.xml"), "--recipe", "int4", "--set", "compress.group_size=48",
        "--set", "compress.all_layers=true", "--set", "benchmark.time_budget_s=1", code=Exit.FAILED,
    )  # fmt: skip
    lines = [shlex.split(line) for line in failed.stderr.splitlines() if "ovfarm jobs retry" in line]
    first = next(line for line in lines if "compress.group_size=16" in line)
    done = cli(*first[1:], "--limit", "max_attempts=2", "--json")
    assert {step["name"] for step in json.loads(done.stdout)["steps"]} >= {"compress", "package"}
    shown = cli("jobs", "show", first[3])
    assert shlex.join(first) in shown.stderr


def test_a_job_is_tried_again_as_it_was_or_with_another_recipe(cli: Cli, files: Path) -> None:
    job = cli("optimize", str(files / "small.xml"), "--recipe", "int8-weights", "--no-watch").stdout.strip()
    again = json.loads(cli("jobs", "retry", job, "--no-watch", "--json").stdout)
    assert again["id"] != job
    assert again["recipe"] == "int8-weights"
    other = cli("jobs", "retry", job, "--recipe", "int4", "--cache", "off", "--no-watch", "--json").stdout
    assert (json.loads(other)["recipe"], json.loads(other)["spec"]["cache"]) == ("int4", "off")
    for wrong, words in (("compress.depth=1", "not a parameter"), ("depth", "expected STEP.PARAMETER")):
        assert words in cli("jobs", "retry", job, "--set", wrong, code=Exit.USAGE).stderr
    assert "memory_gib" in cli("jobs", "retry", job, "--limit", "memory_gib=0", code=Exit.USAGE).stderr
    assert "NAME=VALUE" in cli("jobs", "retry", job, "--limit", "memory_gib", code=Exit.USAGE).stderr


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(),
        st.lists,
    )
)
def test_a_value_that_is_shown_is_read_back(value: JsonValue) -> None:
    (line,) = [command(UUID(int=1), Patch(why="w", overrides={"a.b": value}))]
    words = shlex.split(line)
    assert settings((words[words.index("--set") + 1],)) == {"a.b": value}


def test_an_old_recipe_is_translated_without_a_farm(tmp_path: Path) -> None:
    away = Cli("http://127.0.0.1:1")
    old, new = tmp_path / "old.json", tmp_path / "new.yaml"
    old.write_text('{"compression": {"algorithm": "quantization", "preset": "performance"}}')
    done = away("recipes", "translate", str(old))
    assert "calibration data" in done.stderr
    new.write_text(done.stdout)
    raw = yaml.safe_load(done.stdout)
    assert [step["kind"] for step in raw["steps"]][2] == "quantize"
    assert Recipe.model_validate({"name": "new", **raw}).steps[2].preset == "performance"  # type: ignore[union-attr] # a Quantize
    away("recipes", "translate", str(tmp_path / "none"), code=Exit.USAGE)
    old.write_text("hello")
    assert "compression" in away("recipes", "translate", str(old), code=Exit.USAGE).stderr


@pytest.mark.parametrize("text", ["", "- kind: convert", "hello"])
def test_a_file_that_holds_no_recipe_is_said_to_be_none(text: str, tmp_path: Path) -> None:
    file = tmp_path / "new.yaml"
    file.write_text(text)
    with pytest.raises(InvalidInput, match=r"new\.yaml is no recipe: it has no section 'steps'"):
        files_named.recipe(str(file))


def test_help_needs_no_farm() -> None:
    assert "optimize" in Cli("http://127.0.0.1:1")("--help").stdout
