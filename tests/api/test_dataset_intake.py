"""What the intake tells of datasets: each format by its content, and what is wrong with which file."""

import io
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from api.intake.datasets import check_dataset
from ovfarm.errors import InvalidInput
from tests.api.test_intake import InMemory
from tests.hostile.payloads import npz, pickled


def npy(array: Any, *, allow_pickle: bool = False) -> bytes:
    packed = io.BytesIO()
    np.save(packed, array, allow_pickle=allow_pickle)
    return packed.getvalue()


def picture(form: str = "PNG") -> bytes:
    packed = io.BytesIO()
    Image.new("RGB", (4, 4)).save(packed, form)
    return packed.getvalue()


def table() -> bytes:
    packed = io.BytesIO()
    parquet.write_table(pa.table({"x": [1.0, 2.0]}), packed)
    return packed.getvalue()


X = np.zeros((3, 4), np.float32)
GOOD = {
    "npz": {"d.npz": npz(x=X)},
    "npy": {"x.npy": npy(X)},
    "npys": {"x.npy": npy(X), "labels.npy": npy(np.zeros(3, int)), "t.npy": npy(np.array(["é", "b"]))},
    "fortran": {"x.npy": npy(np.asfortranarray(X))},
    "a number": {"x.npy": npy(np.float32(1))},
    "jpeg": {"a/1.jpg": picture("JPEG"), "b/2.jpeg": picture("JPEG")},
    "all kinds": {n: picture(n) for n in ("JPEG", "PNG", "BMP", "WEBP")},
    "pictures with labels": {"1": picture(), "labels.csv": b"file,label\n1,0\n", "classes.txt": b"cat\n"},
    "one picture": {"1.png": picture()},
    "jsonl": {"d.jsonl": b'{"text": "\xc3\xa9"}\n'},
    "txt": {"d.txt": "a\u00a0b \U0001f600\n".encode() * 3000},
    "csv": {"d.csv": b"\xef\xbb\xbfx,y\n1,2\n"},
    "a csv called labels": {"labels.csv": b"x,labels\n1,2\n"},
    "parquet": {"d.bin": table()},
}


@pytest.mark.parametrize("name", GOOD)
def test_a_dataset_is_taken(name: str) -> None:
    check_dataset({name: InMemory(content) for name, content in GOOD[name].items()})


BAD: dict[str, tuple[dict[str, bytes], str, str]] = {
    "objects": ({"x.npy": npy(np.array([None]), allow_pickle=True)}, "/files/x.npy", "objects"),
    "a cut array": ({"x.npy": npy(X)[:-1]}, "/files/x.npy", "its header says 48"),
    "a longer array": ({"x.npy": npy(X) + b"\0"}, "/files/x.npy", "49 bytes"),
    "a header of the future": ({"x.npy": b"\x93NUMPY\x09\x00" + b"\0" * 99}, "/files/x.npy", "numpy.save"),
    "an array and a picture": ({"x.npy": npy(X), "y.npy": picture()}, "/files/y.npy", "no .npy"),
    "a picture and text": ({"a.png": picture(), "b.md": b"# read"}, "/files/b.md", "no JPEG"),
    "a picture and a pickle": ({"a.png": picture(), "b.png": pickled(4)}, "/files/b.png", "no JPEG"),
    "a gif": ({"a.gif": b"GIF89a" + b"\0" * 50}, "/files/a.gif", "nor another"),
    "two tables": ({"a.csv": b"x\n1\n", "b.csv": b"x\n1\n"}, "/files/a.csv", "2 files"),
    "an npz and an npy": ({"a.npz": npz(x=X), "b.npy": npy(X)}, "/files/a.npz", "2 files"),
    "half a parquet": ({"d.parquet": table()[:-9]}, "/files/d.parquet", "damaged"),
    "bytes as text": ({"d.txt": b"\x00\x01\x02"}, "/files/d.txt", "no text"),
    "latin as csv": ({"d.csv": b"x\n\xe9\xe8\n"}, "/files/d.csv", "no text"),
    "an array as jsonl": ({"d.jsonl": b"[1, 2]\n"}, "/files/d.jsonl", "JSON object"),
    "nothing": ({"d.txt": b""}, "/files/d.txt", "empty"),
    "labels of bytes": ({"a.png": picture(), "labels.csv": b"\0\1"}, "/files/labels.csv", "no text"),
    "labels without pictures": (
        {"labels.csv": b"a\n", "classes.txt": b"a\n"},
        "/files/labels.csv",
        "2 files",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_dataset_is_refused_by_file(name: str) -> None:
    files, place, words = BAD[name]
    with pytest.raises(InvalidInput, match=words) as refused:
        check_dataset({name: InMemory(content) for name, content in files.items()})
    assert refused.value.code == "dataset_format_refused"
    assert refused.value.pointer == place


class Counted(InMemory):
    """A file that notes how much of it is read."""

    read = 0

    def at(self, start: int, length: int) -> bytes:
        self.read += min(length, max(self.size - start, 0))
        return super().at(start, length)


@pytest.mark.parametrize("files", [
    {"x.npy": npy(np.zeros((1 << 20, 1), np.float64))}, {"d.txt": b"line\n" * (1 << 20)},
])  # fmt: skip
def test_a_large_file_is_looked_at_and_not_read(files: dict[str, bytes]) -> None:
    counted = {name: Counted(content) for name, content in files.items()}
    check_dataset(counted)
    assert all(file.read < 1 << 17 for file in counted.values())
