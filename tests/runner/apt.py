"""Installs what the tests need from Debian's packages, where that can be done."""

import os
import shutil
import subprocess
import sys


def can_install() -> bool:
    """Tell whether this is root on Debian or one of its kin."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def install(package: str) -> str:
    """Install a package; returns what went wrong, or nothing."""
    sys.stderr.write(f"installing {package} with apt-get …\n")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["apt-get", "-q", "update"], ["apt-get", "-qy", "install", package]):
        if subprocess.run(command, env=quiet, stdout=sys.stderr, check=False).returncode:
            return f"{' '.join(command)} failed; its own words are above"
    return ""
