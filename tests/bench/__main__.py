"""``./farm bench [NAME…] [--json]``: each benchmark as a ratio against its reference."""

import argparse
import json
import sys

from rich.console import Console

from ovfarm.cli.tables import listing
from tests.bench.benchmarks import BENCHMARKS

_DEFAULT_S = 60


def main(arguments: list[str]) -> int:
    """Run what is named, or all that take under a minute; 1 when a goal is missed."""
    names = [benchmark.name for benchmark in BENCHMARKS]
    parser = argparse.ArgumentParser(prog="./farm bench", description=__doc__)
    parser.add_argument("name", nargs="*", help=f"one of: {', '.join(names)}")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    asked = parser.parse_args(arguments)
    unknown = set(asked.name) - set(names)
    if unknown:
        parser.error(f"there is no {min(unknown)!r}; there are: {', '.join(names)}")
    wanted = [b for b in BENCHMARKS if b.name in asked.name or (not asked.name and b.seconds < _DEFAULT_S)]
    lines = []
    for benchmark in wanted:
        sys.stderr.write(f"{benchmark.name}: {benchmark.what}, about {benchmark.seconds:g} s …\n")
        lines.append(benchmark.line())
        if asked.json:
            sys.stdout.write(json.dumps(lines[-1]) + "\n")
            sys.stdout.flush()
    if not asked.json:
        columns = ("name", "value", "reference", "unit", "ratio", "goal", "samples")
        rows = [[_text(line[column]) for column in columns] for line in lines]
        listing(columns, rows, Console())
    return int(not all(line["met"] for line in lines))


def _text(value: str | float) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
