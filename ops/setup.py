"""Installs the locks into the virtual environment that runs it: ``setup.py --core [--dev] [--hf]``.

Standard library only, because nothing is installed yet. A lock that is installed already is left alone.
"""

import hashlib
import json
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ROOT / "requirements"
INSTALLED = Path(sys.prefix) / ".farm-locks.json"
DOWNLOADS = {"core": "about 160 MB", "dev": "about 190 MB", "hf": "about 200 MB, and torch"}
TORCH = "torch==2.13.0"
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
# What an import of optimum-intel must not find: its newest default build fits another torch.
LEFT_OUT = "torchvision"


def say(text: str) -> None:
    """Write words for a person."""
    sys.stderr.write(text + "\n")


def wanted(arguments: list[str]) -> list[str]:
    """Return the locks to install; the development lock holds all of the core's."""
    known = {"--core": "core", "--dev": "dev", "--hf": "hf"}
    unknown = [argument for argument in arguments if argument not in known]
    if unknown:
        sys.exit(f"unknown option {unknown[0]}; there are: {', '.join(known)}")
    names = {known[argument] for argument in arguments}
    return sorted(names - {"core"} if "dev" in names else names)


def digest(name: str) -> str:
    """Return the digest of a lock file."""
    return hashlib.sha256((LOCKS / f"{name}.lock").read_bytes()).hexdigest()


def installed() -> dict[str, str]:
    """Return the digests of the locks that are installed."""
    try:
        return dict(json.loads(INSTALLED.read_text()))
    except (OSError, ValueError):
        return {}


def pip(*arguments: str) -> bool:
    """Run pip and tell whether it went well."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    return subprocess.run(command, check=False, stdout=sys.stderr).returncode == 0


def install(name: str) -> None:
    """Install one lock, exactly as it is written."""
    say(f"installing requirements/{name}.lock ({DOWNLOADS[name]} to download) …")
    if not pip("install", "--quiet", "--no-deps", "-r", str(LOCKS / f"{name}.lock")):
        sys.exit(f"requirements/{name}.lock could not be installed; pip's own words are above")
    if name == "hf":
        install_torch()


def install_torch() -> None:
    """Install a CPU build of torch: what pip is set up to find, PyTorch's own index, or the default."""
    quiet = ("install", "--quiet", "--no-deps")
    local = f"{TORCH}+cpu"
    if pip(*quiet, local) or pip(*quiet, "--index-url", TORCH_CPU_INDEX, "--retries", "1", local):
        return
    say("no CPU build of torch can be had; taking the default one: about 3 GB with its CUDA packages")
    if not pip("install", "--quiet", TORCH):
        sys.exit("torch could not be installed; pip's own words are above")


def put_on_path() -> None:
    """Make the packages of this checkout importable from anywhere, without building anything."""
    line = Path(sysconfig.get_path("purelib")) / "ovfarm-checkout.pth"
    if not line.exists() or line.read_text().strip() != str(ROOT):
        line.write_text(f"{ROOT}\n")


def put_command() -> None:
    """Put ``ovfarm`` beside this Python, for those who have its folder on their PATH."""
    command = Path(sys.executable).with_name("ovfarm")
    text = f'#!/bin/sh\nexec "{sys.executable}" -m ovfarm.cli "$@"\n'
    if not command.exists() or command.read_text() != text:
        command.write_text(text)
        command.chmod(0o755)


def main(arguments: list[str]) -> None:
    """Install what is missing."""
    if not (3, 11) <= sys.version_info[:2] <= (3, 14):
        sys.exit(f"ovfarm runs on Python 3.11 to 3.14, this is {sys.version.split()[0]}")
    put_on_path()
    put_command()
    have = installed()
    for name in wanted(arguments):
        covered = name == "core" and have.get("dev") == digest("dev")
        if have.get(name) != digest(name) and not covered:
            install(name)
            have[name] = digest(name)
            INSTALLED.write_text(json.dumps(have))


if __name__ == "__main__":
    main(sys.argv[1:])
