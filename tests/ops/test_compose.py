"""The compose file against the Compose Specification's own schema, and against what the farm knows."""

import copy
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from ovfarm.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "docker-compose.yml"
Services = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return dict(yaml.safe_load(COMPOSE.read_text()))


def checked(path: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_compose_file_follows_the_specification() -> None:
    done = checked(COMPOSE)
    assert done.returncode == 0, done.stdout


def misspelt(services: Services) -> None:
    services["worker-gpu"]["device"] = services["worker-gpu"].pop("devices")


def no_time(services: Services) -> None:
    services["api"]["healthcheck"]["interval"] = ["10s"]


@pytest.mark.parametrize("spoil", [misspelt, no_time])
def test_a_spoilt_one_is_rejected(
    compose: dict[str, Any], tmp_path: Path, spoil: Callable[[Services], None]
) -> None:
    spoilt = copy.deepcopy(compose)
    spoil(spoilt["services"])
    path = tmp_path / "docker-compose.yml"
    path.write_text(yaml.safe_dump(spoilt))
    assert checked(path).returncode == 1


def test_it_starts_all_parts_and_every_setting_exists(compose: dict[str, Any]) -> None:
    services: Services = compose["services"]
    assert {"postgres", "redis", "store", "migrate", "api"} <= set(services)
    known = {f"OVFARM_{name.upper()}" for name in Settings.model_fields}
    for name, service in services.items():
        ours = {key for key in service.get("environment", {}) if key.startswith("OVFARM_")}
        assert ours <= known, name
        assert "healthcheck" in service or service.get("restart") == "no" or name == "bucket", name
    for device in ("cpu", "gpu", "npu"):
        worker = services[f"worker-{device}"]
        assert worker["profiles"] == [device]
        assert worker["environment"]["OVFARM_DEVICE"] == device
        assert int(worker["stop_grace_period"].removesuffix("s")) > Settings().drain_s
        assert (device == "cpu") == ("devices" not in worker)


def test_no_secret_stands_in_it() -> None:
    for line in COMPOSE.read_text().splitlines():
        if re.search(r"(PASSWORD|SECRET[A-Z_]*):\s", line):
            assert "${" in line, line


def test_the_image_is_built_from_what_the_checkout_has() -> None:
    dockerfile = (ROOT / "ops" / "Dockerfile").read_text()
    targets = set(re.findall(r" AS (\w+)", dockerfile))
    assert {"api", "worker"} <= targets
    for source in re.findall(r"^COPY (\S+) ", dockerfile, re.MULTILINE):
        assert (ROOT / source).exists()
