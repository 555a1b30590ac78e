"""Pins against what is known of them, and a watch on where the exporters would load a stranger's code."""

import ast
import re
import subprocess
import sys
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ("core", "hf", "dev")
# The first release in which a known hole is mended; what is not locked is not used.
MENDED = {
    "onnx": ("1.21", "CVE-2025-51480, CVE-2026-27489, -28500, -34445 to -34447: files elsewhere"),
    "torch": ("2.10", "CVE-2025-32434, CVE-2026-24747: code and damaged memory from checkpoints"),
    "transformers": ("5.3.0", "CVE-2026-4372, CVE-2026-5241: code from a config"),
    "optimum-intel": ("2.2.0", "its issue 1510: code from openvino_config.json"),
    "python-multipart": ("0.0.27", "CVE-2026-42561: a form that takes the processor"),
    "starlette": ("0.49.1", "CVE-2025-62727: a Range header that takes the processor"),
    "h11": ("0.16.0", "CVE-2025-43859: smuggled requests"),
    "jinja2": ("3.1.6", "CVE-2025-27516: a way out of the sandbox of templates"),
    "requests": ("2.32.4", "CVE-2024-47081: credentials to another host"),
    "urllib3": ("2.6.0", "CVE-2025-66418, CVE-2025-66471: bombs in answers"),
    "celery": ("5.2.2", "CVE-2021-23727: commands from a result"),
    "protobuf": ("5.29.5", "CVE-2025-4565: recursion without end"),
    "setuptools": ("78.1.1", "CVE-2025-47273: a path outside"),
    "pillow": ("11.3.0", "CVE-2025-48379: a buffer overrun"),
}  # fmt: skip
# Where the pinned exporters pass trust_remote_code=True themselves: the intake refuses the models that get
# there (``api.intake.configs``). A new place has to be looked at before it is added.
KNOWN = {
    "optimum/intel/openvino/modeling_funasr.py": 1,
    "optimum/intel/openvino/modeling_visual_language.py": 2,
    "optimum/exporters/openvino/model_configs.py": 2,
}
WATCHED = ("transformers", "optimum-intel", "optimum")


def locked() -> Iterator[tuple[str, str]]:
    for lock in LOCKS:
        for line in (ROOT / "requirements" / f"{lock}.lock").read_text().splitlines():
            if match := re.match(r"^([A-Za-z0-9._-]+)==([^ ;]+)", line):
                yield match[1].lower(), match[2]


def test_no_pin_is_older_than_the_mend_of_a_known_hole() -> None:
    pins = list(locked())
    assert len(pins) > 100
    old = [
        f"{name} {pin}: {MENDED[name]}"
        for name, pin in pins
        if name in MENDED and Version(pin) < Version(MENDED[name][0])
    ]
    assert old == []


def trusting(source: str) -> int:
    """Return in how many places code is trusted without asking: by keyword, or in a dictionary."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of others' code; it is read, not run
        tree = ast.parse(source)
    return sum(_trusts(node) for node in ast.walk(tree))


def _trusts(node: ast.AST) -> bool:
    if isinstance(node, ast.keyword):
        return node.arg == "trust_remote_code" and getattr(node.value, "value", False) is True
    if isinstance(node, ast.Dict):
        pairs = zip(node.keys, node.values, strict=True)
        return any(
            getattr(k, "value", "") == "trust_remote_code" and getattr(v, "value", False) is True
            for k, v in pairs
        )
    return False


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return the pinned wheels themselves: what is watched need not be installed."""
    folder = tmp_path_factory.mktemp("wheels")
    pins = dict(locked())
    wanted = [f"{name}=={pins[name]}" for name in WATCHED]
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--dest",
        str(folder),
        *wanted,
    ]
    subprocess.run(command, check=True, capture_output=True)
    return sorted(folder.glob("*.whl"))


def test_no_new_place_trusts_remote_code(wheels: list[Path]) -> None:
    assert len(wheels) == len(WATCHED)
    found: Counter[str] = Counter()
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if name.endswith(".py") and b"trust_remote_code" in (source := archive.read(name)):
                    found[name] += trusting(source.decode())
    assert {name: count for name, count in found.items() if count} == KNOWN


@pytest.mark.parametrize(
    "line",
    [
        "f(trust_remote_code=True)",
        "f(**{'trust_remote_code': True})",
        "D = {'a': 1, 'trust_remote_code': True}",
    ],
)
def test_the_watch_sees_a_new_place(line: str) -> None:
    assert trusting(line) == 1
    assert trusting(line.replace("True", "flag")) == 0
