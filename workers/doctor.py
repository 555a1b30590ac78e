"""``python -m workers.doctor``: looks at everything that a farm stands on, one JSON line a finding."""

import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from ovfarm.errors import OvfarmError
from ovfarm.hardware import SandboxLevel
from ovfarm.settings import Settings, read
from storage.blobs import Blobs
from storage.schema import at_head
from workers.app import celery_app
from workers.confinement import PACKAGES
from workers.escapes import WAYS
from workers.isolate import Zygote
from workers.node import inventory
from workers.sandbox import chosen
from workers.trial import escapes

_FIXED_SQLITE = (3, 51, 3)
_LEAST_FREE = 5 << 30
_STRONGER = "install bubblewrap (Debian: apt-get install bubblewrap) on Linux 5.13 or newer"
_DEVICES = """\
import openvino
core = openvino.Core()
versions = core.get_versions("CPU")["CPU"]
print(versions.build_number, "|", ", ".join(core.available_devices))
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: ``state`` is ok, warning or wrong; ``mend`` what to do about it."""

    name: str
    state: str
    text: str
    mend: str = ""


def look(settings: Settings) -> Iterator[Finding]:
    """Yield all findings, the cheap ones first."""
    yield Finding("python", "ok", f"{platform.python_version()} at {sys.executable}")
    yield _locks()
    yield _disk(settings)
    yield _sqlite(settings)
    yield _guarded("database", lambda: _database(settings))
    yield _guarded("store", lambda: _store(settings))
    yield _guarded("broker", lambda: _broker(settings))
    yield _openvino()
    yield _guarded("node", lambda: _node(settings))
    yield _torch()


def _guarded(name: str, check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except OvfarmError as error:
        return Finding(name, "wrong", error.message, error.hint or "")
    except OSError as error:
        return Finding(name, "wrong", str(error), "check the address and that the service runs")


def _locks() -> Finding:
    stamp = Path(sys.prefix) / ".farm-locks.json"
    installed = json.loads(stamp.read_text()) if stamp.exists() else {}
    stale = [
        name
        for name, digest in installed.items()
        if hashlib.sha256((PACKAGES / "requirements" / f"{name}.lock").read_bytes()).hexdigest() != digest
    ]
    if stale or not installed:
        return Finding(
            "locks", "warning", f"not as locked: {', '.join(stale) or 'nothing'}", "run: ./farm setup"
        )
    return Finding("locks", "ok", f"installed: {', '.join(sorted(installed))}")


def _disk(settings: Settings) -> Finding:
    folder = next(path for path in (settings.home, *settings.home.parents) if path.exists())
    free = shutil.disk_usage(folder).free
    text = f"{free / 2**30:.0f} GiB free for {settings.home}"
    if free < _LEAST_FREE:
        return Finding("disk", "warning", text, "free some, or set OVFARM_HOME to another disk")
    return Finding("disk", "ok", text)


def _sqlite(settings: Settings) -> Finding:
    text = f"SQLite {sqlite3.sqlite_version}"
    if settings.database.startswith("sqlite") and sqlite3.sqlite_version_info < _FIXED_SQLITE:
        return Finding(
            "sqlite",
            "warning",
            f"{text}: before 3.51.3 a rare race while the write-ahead log is reset can damage the file",
            "use a newer Python build or Postgres where it matters (OVFARM_DATABASE_URL); back up the file",
        )
    return Finding("sqlite", "ok", text)


def _database(settings: Settings) -> Finding:
    where = settings.database.rpartition("@")[2]
    if settings.database.startswith("sqlite") and not (settings.home / "farm.sqlite").exists():
        return Finding("database", "ok", f"{where} (made at the first start)")
    if at_head(settings.database):
        return Finding("database", "ok", where)
    return Finding("database", "warning", f"{where} has an older schema", "run: ./farm admin migrate")


def _store(settings: Settings) -> Finding:
    Blobs(settings.store, settings.s3).size("0" * 64)
    return Finding("store", "ok", settings.store)


def _broker(settings: Settings) -> Finding:
    with celery_app(settings.broker, settings.home, ["cpu"]).connection_for_write() as connection:
        connection.ensure_connection(max_retries=1, timeout=2)
        return Finding("broker", "ok", str(connection.as_uri()))


def _openvino() -> Finding:
    asked = subprocess.run([sys.executable, "-c", _DEVICES], capture_output=True, text=True, check=False)
    if asked.returncode:
        return Finding("openvino", "wrong", asked.stderr[-500:], "run: ./farm setup")
    build, _, devices = asked.stdout.strip().partition(" | ")
    return Finding("openvino", "ok", f"{build}; devices: {devices}")


def _node(settings: Settings) -> Finding:
    """Start a zygote and have it infer once: what a worker does at its start."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sandbox = chosen(settings.sandbox, folder / "home", folder / "scratch")
        with Zygote(sandbox=sandbox) as zygote:
            offer = inventory(settings, zygote, folder / "scratch")
    isa = ", ".join(offer.isa) or "none known"
    text = f"{offer.device_name}, {offer.cores:g} cores, {offer.default_precision} by default, {isa}"
    return Finding("node", "ok", f"{text}; sandbox: {sandbox.level}")


def look_at_sandbox(settings: Settings) -> Iterator[Finding]:
    """Yield what stands around a step on this machine, and each way out of it, tried by a child."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            sandbox = chosen(settings.sandbox, folder / "home", folder / "scratch")
            found = escapes(sandbox, folder / "outside", folder / "scratch")
        except OvfarmError as error:
            yield Finding("sandbox", "wrong", error.message, error.hint or "")
            return
    state = "ok" if sandbox.level is SandboxLevel.FULL else "warning"
    yield Finding("sandbox", state, sandbox.level.value, "" if state == "ok" else _STRONGER)
    mend = "run the node as an ordinary user" if os.geteuid() == 0 else _STRONGER
    for way in WAYS:
        shut = way in found.shut
        yield Finding(way, "ok" if shut else "wrong", "shut" if shut else "OPEN", "" if shut else mend)


def _torch() -> Finding:
    try:
        flavour = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return Finding("torch", "ok", "not installed; Hugging Face models need it", "run: ./farm setup --hf")
    test = [sys.executable, "-c", "import optimum.intel.openvino"]
    asked = subprocess.run(
        test, capture_output=True, text=True, check=False, env={**os.environ, "HF_HUB_OFFLINE": "1"}
    )
    if asked.returncode:
        words = asked.stderr.strip().splitlines()[-1:] or ["no reason given"]
        mend = "torchvision must not be installed beside a CPU torch: pip uninstall torchvision"
        return Finding("torch", "wrong", f"{flavour}, but optimum-intel fails: {words[0]}", mend)
    cpu = "CPU build" if flavour.endswith("+cpu") else "default build, with CUDA"
    return Finding("torch", "ok", f"{flavour} ({cpu}); optimum-intel imports")


def main() -> None:
    """Print the findings as they come."""
    looked = look_at_sandbox if sys.argv[1:] == ["--sandbox"] else look
    for finding in looked(read()):
        sys.stdout.write(json.dumps(asdict(finding)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
