"""How many lines there are, by folder and by file: growth is a thing to look at."""

import sys
from collections import Counter
from pathlib import Path

PACKAGES = ("ovfarm", "storage", "workers", "api", "migrations", "ops", "docs", "tests")
LONGEST = 8


def lines(root: Path) -> dict[Path, int]:
    """Return the number of lines of each Python file that is ours."""
    files = [file for name in PACKAGES for file in sorted((root / name).rglob("*.py"))]
    return {file.relative_to(root): len(file.read_text().splitlines()) for file in files}


def report(root: Path) -> None:
    """Print the lines of each folder, and the longest files."""
    counted = lines(root)
    folders: Counter[str] = Counter()
    for file, count in counted.items():
        folders[file.parent.as_posix()] += count
    for folder, count in sorted(folders.items()):
        sys.stdout.write(f"{count:6d}  {folder}/\n")
    longest = sorted(counted.items(), key=lambda item: -item[1])[:LONGEST]
    for file, count in longest:
        sys.stdout.write(f"{count:6d}  {file.as_posix()}\n")
    sys.stdout.write(f"{sum(counted.values()):6d}  in {len(counted)} files\n")
