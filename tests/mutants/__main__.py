"""``./farm test mutants [NAME…] [--json]``: put each bug into a copy, and see its tests fail."""

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.mutants.mutants import MUTANTS, Mutant
from tests.runner.postgres import postgres

ROOT = Path(__file__).resolve().parents[2]
_COPIED = ("ovfarm", "storage", "workers", "api", "migrations", "tests")
# Tests that do not come to an end have seen nothing: that is no kill.
_PATIENCE_S, _NO_ANSWER = 240.0, -1
_QUICK = {"OVFARM_TEST_NO_SHRINKING": "1", "OVFARM_TEST_EXAMPLES": "60"}
_FAILED = 1  # pytest's exit code for tests that failed, as against tests that could not be run


@contextlib.contextmanager
def copied(mutant: Mutant | None) -> Iterator[Path]:
    """Yield a copy of the checkout with the bug in it; raises ValueError when the text is not there once."""
    with tempfile.TemporaryDirectory(prefix="ovfarm-mutant-") as folder:
        code = Path(folder)
        for package in _COPIED:
            shutil.copytree(ROOT / package, code / package, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", code)
        for edit in mutant.edits if mutant else ():
            path = code / edit.file
            text = path.read_text()
            if text.count(edit.old) != 1:
                raise ValueError(f"{edit.file} has {text.count(edit.old)} times: {edit.old!r}")
            path.write_text(text.replace(edit.old, edit.new))
        yield code


def suite(mutant: Mutant | None, killers: tuple[str, ...]) -> int:
    """Run tests in a copy and return pytest's exit code."""
    with copied(mutant) as code:
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-x",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:xdist",
            "--timeout=0",
            *killers,
        ]
        environment = {**os.environ, "PYTHONPATH": str(code), "PYTHONDONTWRITEBYTECODE": "1", **_QUICK}
        try:
            done = subprocess.run(
                command, cwd=code, env=environment, capture_output=True, check=False, timeout=_PATIENCE_S
            )
        except subprocess.TimeoutExpired:
            return _NO_ANSWER
        return done.returncode


def killed(mutant: Mutant) -> bool:
    """Tell whether one of the mutant's tests fails."""
    began = time.monotonic()
    dead = suite(mutant, mutant.killers) == _FAILED
    words = "killed" if dead else "SURVIVED"
    sys.stderr.write(f"{mutant.name}: {words} in {time.monotonic() - began:.0f} s\n")
    return dead


def main(arguments: list[str]) -> int:
    """Run all, or those that are named; 1 when one survives."""
    parser = argparse.ArgumentParser(prog="./farm test mutants", description=__doc__)
    names = [mutant.name for mutant in MUTANTS]
    parser.add_argument("name", nargs="*", help=f"one of: {', '.join(names)}")
    parser.add_argument("--json", action="store_true", help="one line of JSON on stdout")
    asked = parser.parse_args(arguments)
    wanted = [mutant for mutant in MUTANTS if not asked.name or mutant.name in asked.name]
    with postgres() as url:
        os.environ["OVFARM_TEST_POSTGRES"] = url
        sound = suite(None, tuple({killer for mutant in wanted for killer in mutant.killers}))
        if sound:
            sys.stderr.write("the tests fail without any bug: nothing can be said\n")
            return 2
        with ThreadPoolExecutor(2) as pool:
            dead = list(pool.map(killed, wanted))
    survivors = [mutant.name for mutant, gone in zip(wanted, dead, strict=True) if not gone]
    line = {"mutants": len(wanted), "killed": dead.count(True), "survivors": survivors}
    words = f"{dead.count(True)} of {len(wanted)} killed; survivors: {', '.join(survivors) or 'none'}"
    sys.stdout.write((json.dumps(line) if asked.json else words) + "\n")
    return int(bool(survivors))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
