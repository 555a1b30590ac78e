"""``./farm test [NAME]``: lint, types, contracts and tests, on SQLite and Postgres."""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import zip_longest
from pathlib import Path

from tests.runner import sizes
from tests.runner.bubblewrap import NoBubblewrap, bubblewrap
from tests.runner.postgres import NoPostgres, postgres
from tests.runner.redis import NoRedis, redis

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests"
# Their tests wait more than they compute: for leases, for processes, for nodes.
_WAITING = ("e2e", "chaos", "cli", "hostile")
# Helpers of the tests, and folders that hold none.
NOT_TESTS = {"runner", "bench", "__pycache__"}


def run(*command: str) -> bool:
    """Run a tool of this environment and tell whether it was content."""
    return subprocess.run([sys.executable, "-m", *command], cwd=ROOT, check=False).returncode == 0


def lint() -> bool:
    """Check style and format, and print how large everything is."""
    sizes.report(ROOT)
    return all([run("ruff", "check", "--quiet", "."), run("ruff", "format", "--quiet", "--check", ".")])


def types() -> bool:
    """Check types, strictly, everywhere."""
    return run("mypy")


def contracts() -> bool:
    """Check who may import whom."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    return subprocess.run(command, cwd=ROOT, check=False).returncode == 0


# What takes long or has options of its own.
LONG = ("chaos", "coverage", "hostile", "mutants")
STAGES: dict[str, Callable[[], bool]] = {"lint": lint, "types": types, "contracts": contracts}


def folders() -> list[str]:
    """Return the names of the test folders."""
    return sorted(f.name for f in TESTS.iterdir() if f.is_dir() and f.name not in NOT_TESTS)


def in_order(names: list[str]) -> list[Path]:
    """Return the files so that two cores have two that wait and one that computes, the largest first."""
    files = [path for name in names for path in (TESTS / name).rglob("test_*.py")]
    largest = sorted(files, key=lambda path: -path.stat().st_size)
    waiting = [path for path in largest if path.relative_to(TESTS).parts[0] in _WAITING]
    computing = [path for path in largest if path not in waiting]
    pairs = [waiting[at : at + 2] for at in range(0, len(waiting), 2)]
    return [path for pair, one in zip_longest(pairs, computing) for path in (*(pair or ()), one) if path]


def tests(names: list[str], extra: list[str], *, with_services: bool) -> bool:
    """Run the tests of some folders, or all."""
    paths = map(str, in_order(names or folders()))
    command = ["pytest", "-q", "-n", "3", "--dist", "loadfile", "--no-loadscope-reorder", *paths, *extra]
    try:
        bubblewrap()
    except NoBubblewrap as missing:
        sys.stderr.write(f"{missing}\n")
        return False
    if not with_services:
        sys.stderr.write("Postgres and Redis are left out: this run says nothing about them\n")
        return run(*command)
    try:
        with postgres() as database, redis() as broker:
            os.environ |= {"OVFARM_TEST_POSTGRES": database, "OVFARM_TEST_REDIS": broker}
            return run(*command)
    except (NoPostgres, NoRedis) as missing:
        sys.stderr.write(f"{missing}\n")
        return False


def main(arguments: list[str]) -> int:
    """Run what is named; returns the exit code."""
    if arguments[:1] and arguments[0] in LONG:
        command = [sys.executable, "-m", f"tests.{arguments[0]}", *arguments[1:]]
        return subprocess.run(command, cwd=ROOT, check=False).returncode
    parser = argparse.ArgumentParser(prog="./farm test", description=__doc__)
    known = [*STAGES, *folders()]
    parser.add_argument("name", nargs="*", help=f"one of: {', '.join(known)} (default: all)")
    parser.epilog = f"long forms, with options of their own: {', '.join(LONG)}"
    parser.add_argument("--no-services", action="store_true", help="leave Postgres and Redis out")
    # What comes after -- is pytest's.
    at = arguments.index("--") if "--" in arguments else len(arguments)
    asked, extra = parser.parse_args(arguments[:at]), arguments[at + 1 :]
    unknown = [name for name in asked.name if name not in known]
    if unknown:
        parser.error(f"there is no {unknown[0]!r}; there are: {', '.join(known)}")
    if asked.no_services and os.environ.get("OVFARM_REQUIRE_SERVICES"):
        parser.error("OVFARM_REQUIRE_SERVICES is set, so they cannot be left out")
    return 0 if _all(asked.name, extra, with_services=not asked.no_services) else 1


def _all(names: list[str], extra: list[str], *, with_services: bool) -> bool:
    wanted = [name for name in STAGES if not names or name in names]
    passed = [_timed(name, STAGES[name]) for name in wanted]
    of_tests = [name for name in names if name not in STAGES]
    if not names or of_tests:
        passed.append(_timed("tests", lambda: tests(of_tests, extra, with_services=with_services)))
    else:
        sys.stdout.write(f"{passed.count(True)} passed, {passed.count(False)} failed\n")
    return all(passed)


def _timed(name: str, stage: Callable[[], bool]) -> bool:
    sys.stderr.write(f"── {name}\n")
    began = time.monotonic()
    passed = stage()
    sys.stderr.write(f"── {name} {'passed' if passed else 'FAILED'} in {time.monotonic() - began:.1f} s\n")
    return passed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
