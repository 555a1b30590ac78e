"""``./farm test coverage [--json] [--only NAME …]``: every architecture and format through one farm.

Each is converted, compressed to 8 bits, evaluated and packaged twice; what the packages say is compared
with what the original says. Nothing is skipped: what is not covered fails.
"""

import argparse
import json
import sys

from rich.console import Console

from ovfarm.cli.tables import listing
from tests.coverage.farm import MAKERS, Verdict, covered


def main(arguments: list[str]) -> int:
    """Run what is named, or all; 1 unless all pass."""
    names = [maker.name for maker in MAKERS]
    parser = argparse.ArgumentParser(prog="./farm test coverage", description=__doc__)
    parser.add_argument(
        "--only", nargs="+", default=names, metavar="NAME", help=f"some of: {', '.join(names)}"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object in place of the table")
    asked = parser.parse_args(arguments)
    if unknown := set(asked.only) - set(names):
        parser.error(f"there is no {min(unknown)!r}; there are: {', '.join(names)}")
    verdicts = covered([maker for maker in MAKERS if maker.name in asked.only], _tell)
    failed = {verdict.name: verdict.reason for verdict in verdicts if verdict.reason}
    if asked.json:
        counts = {"cases": len(verdicts), "passed": len(verdicts) - len(failed), "failed": failed}
        sys.stdout.write(json.dumps(counts) + "\n")
    else:
        rows = [[v.name, v.kind, v.reason or "passed"] for v in verdicts]
        listing(("name", "kind", "verdict"), rows, Console())
        sys.stdout.write(f"{len(verdicts) - len(failed)} of {len(verdicts)} passed\n")
    return int(bool(failed))


def _tell(verdict: Verdict) -> None:
    sys.stderr.write(f"{verdict.name}: {verdict.reason or 'passed'}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
