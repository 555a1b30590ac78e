"""Which format a dataset has, told by its content, and its rows bound to a model."""

import zipfile
from pathlib import Path

import openvino as ov

from ovfarm.datasets import PLAIN, Reading
from ovfarm.failures import FailureCode
from ovfarm.jobs import Part
from workers.kit.data import arrays, folders, lines
from workers.kit.data.binding import bind
from workers.kit.data.choosing import suggestion
from workers.kit.data.rows import Column, Source, bad, named
from workers.kit.data.samples import Samples
from workers.protocol import Bench

_FIRST = {Part.ALL: (0, 1), Part.EVEN: (0, 2), Part.ODD: (1, 2)}
_LABELS = "labels"
_NPY, _PARQUET = b"\x93NUMPY", b"PAR1"
_PICTURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"RIFF")


def load(bench: Bench, role: str, model: ov.Model) -> Samples:
    """Return the rows of a dataset role that count, bound to the model's inputs; raises StepFailed.

    A bad row is found when its batch is read.
    """
    source, reading = _source(bench.inputs[role]), bench.readings.get(role, PLAIN)
    if not source.columns:
        raise bad(FailureCode.DATASET_EMPTY, "the dataset has no rows")
    labels = _label_column(source, reading)
    binding = bind(source, model, reading, labels=labels, folder=bench.inputs.get("model"))
    length = source.length(binding.columns | ({labels} if labels else set()))
    if not length:
        raise bad(FailureCode.DATASET_EMPTY, "the dataset has no rows")
    first, step = _FIRST[Part(bench.parts[role])]
    rows = range(first, length, step)
    if not rows:
        raise bad(FailureCode.DATASET_EMPTY, "this half of the dataset has no rows")
    return Samples(source, binding, rows, labels)


def _label_column(source: Source, reading: Reading) -> str | None:
    name = reading.labels or _LABELS
    column = source.columns.get(name)
    if column is None:
        if reading.labels is None:
            return None
        words = f"there is no column {name!r} of labels; the dataset has {named(source.columns)}"
        hint = f"--labels COLUMN names one of them{suggestion(name, source.columns)}"
        raise bad(FailureCode.LABELS_MISSING, words, hint=hint)
    _check_labels(column)
    return name


def _check_labels(column: Column) -> None:
    if column.dtype is not None and not column.shape:
        raise bad(FailureCode.DATASET_SHAPE, "labels are one number, not one for each row")


def _source(folder: Path) -> Source:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    rest = [path for path in files if path.parent != folder or path.name not in _BESIDE]
    if rest and all(_head(path).startswith(_PICTURES) for path in rest):
        return folders.from_folder(folder, rest)
    if files and all(_head(path).startswith(_NPY) for path in files):
        return arrays.from_npy(files)
    if len(files) == 1:
        return _file(files[0])
    raise bad(
        FailureCode.DATASET_UNREADABLE,
        f"these {len(files)} files are no dataset",
        hint="a dataset is one .npz, .jsonl, .txt, .parquet or .csv, or .npy files, or a folder of images",
    )


_BESIDE = {folders.CLASSES_FILE, folders.LABELS_FILE}


def _file(path: Path) -> Source:
    if zipfile.is_zipfile(path):
        return arrays.from_npz(path)
    parquet = _head(path).startswith(_PARQUET)
    if parquet or path.suffix.lower() == ".csv":
        # Arrow is for those who read tables: it starts a thread.
        from workers.kit.data import tables  # noqa: PLC0415

        return tables.from_parquet(path) if parquet else tables.from_csv(path)
    if path.suffix.lower() == ".jsonl":
        return lines.from_jsonl(path)
    if path.suffix.lower() == ".txt":
        return lines.from_text(path)
    raise bad(
        FailureCode.DATASET_UNREADABLE,
        f"{path.name} is not an .npz of plain arrays, nor another dataset that the farm reads",
        hint="give .npz, .npy, .jsonl, .txt, .parquet, .csv, or a folder of images",
    )


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(12)
