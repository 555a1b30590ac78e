"""``./farm test hostile [--mutants N] [--seed S] [--json]``: every hostile file, and what came of it."""

import argparse
import json
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from tests.hostile.corpus import corpus
from tests.hostile.hostile import Hostile
from tests.hostile.mutations import mutated
from tests.hostile.range import Range, Seen

_EVERY = 100


def fired(files: Iterable[Hostile], *, progress: bool = False) -> Seen:
    """Fire all files, two at a time, and return what was seen."""
    seen = Seen()
    with Range() as place, ThreadPoolExecutor(2) as pool:
        for number, _ in enumerate(pool.map(lambda file: place.fire(file, seen), files), 1):
            if progress and number % _EVERY == 0:
                sys.stderr.write(f"{number} files, {len(seen.untyped)} untyped\n")
        seen.escapes += ["a packet left"] * place.packets
    return seen


def main(arguments: list[str]) -> int:
    """Fire the corpus and the mutants; 1 when anything but the expected was seen."""
    parser = argparse.ArgumentParser(prog="./farm test hostile", description=__doc__)
    parser.add_argument("--mutants", type=int, default=2000, help="how many damaged models (2000)")
    parser.add_argument("--seed", type=int, default=0, help="which ones (0)")
    parser.add_argument("--only", default="", help="just the files with this in their names")
    parser.add_argument("--json", action="store_true", help="one line of JSON on stdout")
    asked = parser.parse_args(arguments)
    files = [*corpus(), *mutated(asked.mutants, asked.seed)]
    seen = fired([file for file in files if asked.only in file.name], progress=True)
    bad = {
        "untyped": seen.untyped,
        "markers": seen.markers,
        "node_deaths": seen.node_deaths,
        "escapes": seen.escapes,
    }
    for kind, names in bad.items():
        for name in names:
            sys.stderr.write(f"{kind}: {name}\n")
    line = {"files": seen.files, "typed": seen.typed, **{kind: len(names) for kind, names in bad.items()}}
    words = ", ".join(f"{count} {kind}" for kind, count in line.items())
    sys.stdout.write((json.dumps(line) if asked.json else words) + "\n")
    return int(any(bad.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
