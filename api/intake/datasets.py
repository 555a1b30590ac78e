"""Which sets of files are datasets: arrays, a table, lines of text, or a folder of images, by content.

Only the ends of files are looked at; a child of a node reads them.
"""

import codecs
import re
from collections.abc import Mapping
from math import prod

from api.intake import npz
from api.intake.content import HEAD_BYTES, Bytes, Content, content
from api.intake.refusal import refused
from ovfarm.errors import InvalidInput

_HINT = (
    "a dataset is one .npz, .jsonl, .txt, .parquet or .csv, or .npy files, or a folder of JPEG, PNG, BMP or "
    "WebP images; arrays are written with numpy.savez(path, INPUT=array, labels=array)"
)
_NPY, _PARQUET = b"\x93NUMPY", b"PAR1"
_PICTURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM")
_BESIDE = {"classes.txt": 8 << 20, "labels.csv": 8 << 20}
_TEXTS = (".jsonl", ".txt", ".csv")
_MAX_FOOTER = 64 << 20
_DESCR = re.compile(rb"'descr': ?'[<>|=]?([a-zA-Z?])(\d*)'")
_SHAPE = re.compile(rb"'shape': ?\(([\d, ]*)\)")
_PLAIN = b"biufU"
_UNICODE_BYTES = 4


def check_dataset(files: Mapping[str, Bytes]) -> None:
    """Accept a dataset; raises InvalidInput with what is wrong with which file."""
    rest = {name: file for name, file in files.items() if name not in _BESIDE} or files
    (first, *_), one = rest, len(files) == 1
    if _is_picture(rest[first]):
        _check_pictures(rest, files)
    elif _head(rest[first]).startswith(_NPY) and not (one and _is_zip(rest[first])):
        for name, file in files.items():
            _check_npy(name, file)
    elif one:
        _check_single(first, files[first])
    else:
        odd = next((name for name, file in rest.items() if not _head(file).startswith(_NPY)), first)
        raise _bad(odd, f"is no image and no .npy, and these are {len(files)} files")


def _check_single(name: str, file: Bytes) -> None:
    if _is_zip(file):
        npz.check(name, file)
    elif _head(file).startswith(_PARQUET):
        _check_parquet(name, file)
    elif name.lower().endswith(_TEXTS):
        _check_text(name, file)
    else:
        raise _bad(name, "is not an .npz of NumPy arrays, nor another dataset that the farm reads")


def _check_pictures(pictures: Mapping[str, Bytes], files: Mapping[str, Bytes]) -> None:
    for name, file in pictures.items():
        if not _is_picture(file):
            raise _bad(name, "is no JPEG, PNG, BMP or WebP image, and others of these files are")
    for name in files.keys() - pictures.keys():
        if files[name].size > _BESIDE[name]:
            raise _bad(name, f"has {files[name].size} bytes; at most {_BESIDE[name]} are read")
        _check_text(name, files[name])


def _check_npy(name: str, file: Bytes) -> None:
    """Hold a header against the size of its file."""
    head = _head(file)
    if not head.startswith(_NPY):
        raise _bad(name, "is no .npy, and others of these files are")
    wide = head[6:7] == b"\2"
    start = (12 if wide else 10) + int.from_bytes(head[8 : 12 if wide else 10], "little")
    descr, shape = _DESCR.search(head), _SHAPE.search(head)
    if head[6:8] not in {b"\1\0", b"\2\0"} or start > HEAD_BYTES or not descr or not shape:
        raise _bad(name, "has no header as numpy.save writes it")
    kind, size = descr.groups()
    if kind not in _PLAIN:
        raise _bad(name, "holds objects or records, not plain numbers")
    each = int(size or 1) * (_UNICODE_BYTES if kind == b"U" else 1)
    sides = [int(side) for side in shape[1].split(b",") if side.strip()]
    if start + prod(sides) * each != file.size:
        raise _bad(name, f"has {file.size - start} bytes of numbers, its header says {prod(sides) * each}")


def _check_parquet(name: str, file: Bytes) -> None:
    end = file.at(max(file.size - 8, 0), 8)
    length = int.from_bytes(end[:4], "little")
    if end[4:] != _PARQUET or length + 12 > file.size or length > _MAX_FOOTER:
        raise _bad(name, "is damaged: a Parquet file ends with its description")


def _check_text(name: str, file: Bytes) -> None:
    head = _head(file).removeprefix(b"\xef\xbb\xbf")
    # What is left of a character that was cut at its front is no text by itself.
    tail = file.at(max(file.size - HEAD_BYTES, 0), HEAD_BYTES).lstrip(bytes(range(0x80, 0xC0)))
    if not file.size or not _is_text(head) or not _is_text(tail):
        raise _bad(name, "is empty, or no text in UTF-8")
    if name.lower().endswith(".jsonl") and not head.lstrip().startswith(b"{"):
        raise _bad(name, "does not begin with a JSON object; .jsonl has one on each line")


def _head(file: Bytes) -> bytes:
    return file.at(0, HEAD_BYTES)


def _is_zip(file: Bytes) -> bool:
    return content(file) is Content.ZIP


def _is_picture(file: Bytes) -> bool:
    head = file.at(0, 12)
    return head.startswith(_PICTURES) or (head[:4] == b"RIFF" and head[8:] == b"WEBP")


def _is_text(end: bytes) -> bool:
    """Tell UTF-8 without control characters; its last character may be cut."""
    try:
        words = codecs.getincrementaldecoder("utf-8")().decode(end)
    except UnicodeDecodeError:
        return False
    return not any(ord(c) < ord(" ") and c not in "\t\r\n" for c in words)


def _bad(name: str, words: str) -> InvalidInput:
    return refused(name, words, _HINT, npz.CODE)
