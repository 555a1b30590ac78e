"""``./farm test chaos [--jobs N] [--minutes M] [--stack embedded|scale] [--seed S] [--json]``."""

import argparse
import json
import sys

from tests.chaos.run import Plan, run, say
from tests.chaos.world import Kind, faketime


def main(arguments: list[str]) -> int:
    """Run it; 1 when a promise was broken."""
    parser = argparse.ArgumentParser(prog="./farm test chaos", description=__doc__)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--minutes", type=float, default=30.0, help="strike for at most so long")
    parser.add_argument("--stack", type=Kind, choices=list(Kind), default=Kind.EMBEDDED)
    parser.add_argument("--seed", type=int, default=1, help="the same seed: the same jobs and faults")
    parser.add_argument("--json", action="store_true", help="one line of JSON on stdout")
    asked = parser.parse_args(arguments)
    if asked.stack is Kind.SCALE and not faketime("+1m"):
        say("faketime is not installed (Debian: apt-get install faketime): no clock will be skewed")
    report = run(Plan(kind=asked.stack, jobs=asked.jobs, minutes=asked.minutes, seed=asked.seed))
    line = report.line()
    say(f"{report.seconds:.0f} s, seed {asked.seed}, {asked.stack}")
    words = "  ".join(f"{name} {count}" for name, count in line.items())
    sys.stdout.write((json.dumps(line) if asked.json else words) + "\n")
    return int(bool(report.found.all))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
