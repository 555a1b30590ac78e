"""A folder of images: which there are, in which order, and the label of each."""

import csv
import hashlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import numpy as np

from ovfarm.failures import FailureCode
from workers.kit.data.rows import Array, Block, Column, Kind, bad
from workers.protocol import StepFailed

IMAGE, LABELS = "image", "labels"
CLASSES_FILE, LABELS_FILE = "classes.txt", "labels.csv"
_LONGEST = 8 << 20


class Folder:
    """Images by name; in an order in which classes mix, or in that of ``labels.csv``."""

    def __init__(self, images: list[Path], labels: Array | None) -> None:
        self._images = images
        self._labels = labels
        self.columns: Mapping[str, Column] = {IMAGE: Column(Kind.IMAGE, "pictures")} | (
            {} if labels is None else {LABELS: Column(Kind.NUMBERS, "classes")}
        )

    def length(self, names: Collection[str]) -> int:
        """Return the number of images."""
        del names
        return len(self._images)

    def read(self, names: Collection[str], rows: range, size: int) -> Iterator[Block]:
        """Yield rows as ``Source.read``; nothing is decoded here."""
        for at in range(0, len(rows), size):
            wanted = rows[at : at + size]
            block: Block = {IMAGE: [self._images[row] for row in wanted]}
            if self._labels is not None and LABELS in names:
                block[LABELS] = self._labels[list(wanted)]
            yield block


def from_folder(folder: Path, images: Collection[Path]) -> Folder:
    """Return images as a source, labelled by ``labels.csv``, by class folders, or not; raises StepFailed."""
    by_name = {path.relative_to(folder).as_posix(): path for path in images}
    classes = _classes(folder)
    if (folder / LABELS_FILE).is_file():
        listed = _listed(folder / LABELS_FILE, by_name, classes)
        return Folder([by_name[name] for name in listed], np.array(list(listed.values()), np.int64))
    mixed = sorted(by_name, key=lambda name: hashlib.sha256(name.encode()).digest())
    return Folder([by_name[name] for name in mixed], _by_folder(mixed, classes))


def _by_folder(names: list[str], classes: list[str] | None) -> Array | None:
    tops = [name.partition("/")[0] if "/" in name else "" for name in names]
    if not any(tops):
        return None
    if not all(tops):
        loose = names[tops.index("")]
        raise _bad(f"some images are in class folders, {loose} is in none")
    ordered = classes if classes is not None else sorted(set(tops))
    if unknown := sorted(set(tops) - set(ordered)):
        raise _bad(f"{CLASSES_FILE} does not name the folder {unknown[0]!r}")
    number = {name: at for at, name in enumerate(ordered)}
    return np.array([number[top] for top in tops], np.int64)


def _text(path: Path) -> str:
    with path.open("rb") as file:
        content = file.read(_LONGEST + 1)
    if len(content) > _LONGEST:
        raise _bad(f"{path.name} has more than {_LONGEST} bytes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _bad(f"{path.name} is not UTF-8") from None


def _classes(folder: Path) -> list[str] | None:
    if not (folder / CLASSES_FILE).is_file():
        return None
    names = [line.strip() for line in _text(folder / CLASSES_FILE).splitlines() if line.strip()]
    if len(set(names)) != len(names):
        raise _bad(f"{CLASSES_FILE} names a class twice")
    return names


def _listed(path: Path, images: Mapping[str, Path], classes: list[str] | None) -> dict[str, int]:
    """Return the label of each image that ``labels.csv`` names, in its order."""
    number = {name: at for at, name in enumerate(classes or ())}
    found: dict[str, int] = {}
    try:
        rows = csv.reader(_text(path).splitlines(), strict=True)
        if next(rows, None) != ["file", "label"]:
            raise _bad(f"{path.name} does not begin with the line: file,label")
        for row in rows:
            where = f"line {rows.line_num} of {path.name}"
            if len(row) != 2:
                raise _bad(f"{where} has {len(row)} fields, not file and label")
            name, label = row
            if name not in images or name in found:
                raise _bad(f"{where} names {name[:100]!r}, which is no image of the folder, or named before")
            found[name] = _number(label, number, where)
    except csv.Error as malformed:
        raise _bad(f"{path.name} is damaged: {malformed}") from None
    if len(found) != len(images):
        missing = min(images.keys() - found)
        raise _bad(f"{path.name} has no label for {missing}")
    return found


def _number(label: str, classes: Mapping[str, int], where: str) -> int:
    if label in classes:
        return classes[label]
    try:
        found = int(label)
    except ValueError:
        found = -1
    if not 0 <= found < 1 << 31:
        raise bad(
            FailureCode.DATASET_SHAPE,
            f"{where} has the label {label[:100]!r}; labels are whole numbers from 0, or names of "
            f"{CLASSES_FILE}",
        )
    return found


def _bad(words: str) -> StepFailed:
    hint = "give class folders, or a labels.csv with the lines file,label, or no labels at all"
    return bad(FailureCode.DATASET_UNREADABLE, words, hint=hint)
