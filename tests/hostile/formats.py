"""Hostile datasets that are no archives of arrays: images, tables, lines."""

import io
import json
import random
import struct
import zlib
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from PIL import Image
from pyarrow import parquet

from tests.hostile import graphs
from tests.hostile.hostile import As, Hostile, hostile
from tests.hostile.payloads import pickled, zipped

UNREADABLE, FORMAT, SHAPE = "dataset_unreadable", "dataset_format_refused", "dataset_shape"
EMPTY, NOT_FINITE, NO_MEMORY, NAME = (
    "dataset_empty",
    "dataset_not_finite",
    "out_of_memory",
    "file_name_refused",
)
READ = "converted"
TAKES_PICTURES = graphs.made([("Relu", ["x"], ["y"], {})], [("x", "float", ["n", 3, 4, 4])])


def formats() -> Iterator[Hostile]:
    """Yield them all."""
    yield from _pictures()
    yield from _folders()
    yield from _tables()
    yield from _csvs()
    yield from _lines()
    yield from _arrays()


def _picture(form: str = "PNG", mode: str = "RGB", side: int = 40) -> bytes:
    packed = io.BytesIO()
    Image.effect_noise((side, side), 90).convert(mode).save(packed, form)
    return packed.getvalue()


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _png(width: int, height: int, *more: bytes, body: bytes = b"\0" * 99) -> bytes:
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    data = _chunk(b"IDAT", zlib.compress(body))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(more) + data + _chunk(b"IEND", b"")


def _pictures() -> Iterator[Hostile]:
    bmp, dice = _picture("BMP"), random.Random(0)  # noqa: S311 - one seed is one set
    text = _chunk(b"zTXt", b"k\0\0" + zlib.compress(b"\0" * (80 << 20)))
    cases = {
        "a bomb": _png(60_000, 60_000),
        "a large bomb": _png(9_000, 9_000, body=b"\0" * (9_000 * 27_001)),
        "no sides": _png(0, 0),
        "no pixels": _png(40, 40, body=b""),
        "a text that unpacks": _png(4, 4, text, body=(b"\0" * 13) * 4),
        "a head alone": b"\xff\xd8\xff\xe0",
        "half a jpeg": _picture("JPEG")[:200],
        "half a png": _picture()[:-30],
        "half a webp": _picture("WEBP")[:40],
        "half a bmp": bmp[:100],
        "a bmp that lies": bmp[:18] + struct.pack("<ii", 1 << 30, 1 << 30) + bmp[26:],
        "a riff that is none": b"RIFF\x10\0\0\0WEBPVP8 \0\0\0\0",
        "sixteen bits": _sixteen(),
        "a pickle behind its mark": b"BM" + pickled(4),
    }
    for name, content in cases.items():
        yield _of_pictures(
            f"image: {name}", {"a.png": content}, UNREADABLE, READ if "text" in name else UNREADABLE
        )
    for number in range(12):
        whole = bytearray(_picture(("PNG", "JPEG", "WEBP")[number % 3]))
        for _ in range(4):
            whole[dice.randrange(20, len(whole))] = dice.randrange(256)
        yield _of_pictures(f"image: damaged {number}", {"a": bytes(whole)}, UNREADABLE, READ)
    yield _of_pictures("image: and zip", {"a.png": _picture() + zipped({"x.pkl": pickled(2)})}, READ, FORMAT)
    for kind, content in {
        "gif": b"GIF89a\1\0\1\0",
        "tiff": b"II*\0\x08",
        "svg": b"<svg/>",
        "eps": b"%!PS",
    }.items():
        yield _of_pictures(f"image: {kind}", {"a.png": content}, FORMAT)
        yield _of_pictures(f"image: {kind} among others", {"a.png": content, "b.png": _picture()}, FORMAT)


def _sixteen() -> bytes:
    packed = io.BytesIO()
    Image.fromarray(np.full((4, 4), 700, np.uint16)).save(packed, "PNG")
    return packed.getvalue()


def _of_pictures(name: str, files: dict[str, bytes], *codes: str) -> Hostile:
    return hostile(name, files, *codes, of=As.DATASET, model=TAKES_PICTURES)


def _folders() -> Iterator[Hostile]:
    good = _picture()
    for folder in ("..", "a b", "\u202e", "a\nb", "c:", "x" * 250, "", "."):
        yield _of_pictures(f"folder: {folder!r}", {f"{folder}/1.png": good, "b/2.png": good}, NAME)
    yield _of_pictures("folder: some without", {"a/1.png": good, "2.png": good}, UNREADABLE)
    labels = {
        "no header": b"1.png,0\n",
        "outside": b"file,label\n../../secret,0\n",
        "an unclosed quote": b'file,label\n"1.png,0\n',
        "three fields": b"file,label\n1.png,0,0\n",
        "none": b"file,label\n",
    }
    for name, content in labels.items():
        yield _of_pictures(f"labels.csv: {name}", {"1.png": good, "labels.csv": content}, UNREADABLE)
    for label in ("nan", "0.5", "-1", "1e3", "9" * 5000, ""):
        content = f"file,label\n1.png,{label}\n".encode()
        yield _of_pictures(f"labels.csv: {label[:9]!r}", {"1.png": good, "labels.csv": content}, SHAPE)
    yield _of_pictures("labels.csv: bytes", {"1.png": good, "labels.csv": b"\0\1\2"}, FORMAT)
    huge = b"file,label\n" + b"x" * (9 << 20)
    yield _of_pictures("labels.csv: large", {"1.png": good, "labels.csv": huge}, FORMAT)
    yield _of_pictures("classes.txt: twice", {"a/1.png": good, "classes.txt": b"a\na\n"}, UNREADABLE)
    yield _of_pictures("classes.txt: another", {"a/1.png": good, "classes.txt": b"b\n"}, UNREADABLE)
    crowd = {f"{number}.png": good for number in range(10_001)}
    yield _of_pictures("folder: 10,001 files", crowd, "invalid_request", "too_many_files", "invalid_input")


def _parquet(table: pa.Table) -> bytes:
    packed = io.BytesIO()
    parquet.write_table(table, packed)
    return packed.getvalue()


def _tables() -> Iterator[Hostile]:
    dice = random.Random(1)  # noqa: S311 - one seed is one set
    good = _parquet(pa.table({"x": [[0.0] * 4] * 50, "labels": list(range(50))}))
    yield _data("parquet: cut", {"d.parquet": good[:-9]}, FORMAT)
    yield _data("parquet: a long footer", {"d.parquet": good[:-8] + b"\xff\xff\xff\x7fPAR1"}, FORMAT)
    yield _data("parquet: no body", {"d.parquet": b"PAR1" + b"\0" * 4 + b"PAR1"}, UNREADABLE, FORMAT)
    yield _data(
        "parquet: a footer of zeros", {"d.parquet": b"PAR1" + b"\0" * 64 + b"\x20\0\0\0PAR1"}, UNREADABLE
    )
    labels = ("labels_missing", "labels_misfit")
    told = (UNREADABLE, SHAPE, EMPTY, NOT_FINITE, NO_MEMORY, READ, "reader_crashed", *labels)
    for number in range(24):
        whole = bytearray(good)
        for _ in range(3):
            whole[dice.randrange(4, len(whole) - 8)] = dice.randrange(256)
        yield _data(f"parquet: damaged {number}", {"d.parquet": bytes(whole)}, *told)
    tables = {
        "missing values": (pa.table({"x": [[0.0] * 4, None]}), NOT_FINITE),
        "missing inside": (pa.table({"x": [[0.0, None, 0.0, 0.0]]}), NOT_FINITE),
        "two lengths": (pa.table({"x": [[0.0] * 4, [0.0]]}), SHAPE),
        "records": (pa.table({"x": [{"a": 1.0}]}), SHAPE),
        "bytes": (pa.table({"x": [b"1234"]}), SHAPE),
        "no rows": (pa.table({"x": pa.array([], pa.list_(pa.float32()))}), EMPTY),
        "labels that are text": (pa.table({"x": [[0.0] * 4], "labels": ["a"]}), SHAPE),
        "labels that are nan": (pa.table({"x": [[0.0] * 4], "labels": [float("nan")]}), SHAPE),
    }
    for name, (table, code) in tables.items():
        yield _data(f"parquet: {name}", {"d.parquet": _parquet(table)}, code)


def _csvs() -> Iterator[Hostile]:
    texts = {
        "ragged": ("a,b,c,d\n1,2,3,4\n1,2\n", UNREADABLE),
        "one name twice": ("a,a\n1,2\n", UNREADABLE),
        "an open quote": ('a,b,c,d\n"1,2,3,4\n', UNREADABLE),
        "a long line": ("a\n1\n" + "9" * (40 << 20) + "\n1\n", UNREADABLE),
        "a header alone": ("a,b,c,d\n", EMPTY),
        "nan": ("a,b,c,d\n1,2,3,nan\n", NOT_FINITE),
        "infinity": ("a,b,c,d\n1,2,3,inf\n", NOT_FINITE),
        "words": ("a,b,c,d\n1,2,3,x\n", SHAPE),
        "lists in lists": ("x\n" + '"' + "[" * 5000 + ']"\n', SHAPE),
        "labels that are nan": ("a,b,c,d,labels\n1,2,3,4,nan\n", SHAPE),
        "labels in halves": ("a,b,c,d,labels\n1,2,3,4,0.5\n", SHAPE),
    }
    for name, (text, code) in texts.items():
        yield _data(f"csv: {name}", {"d.csv": text.encode()}, code, NOT_FINITE if "labels" in name else code)
    wide = ",".join(f"c{number}" for number in range(50_000)).encode()
    yield _data("csv: a wide one", {"d.csv": wide + b"\n" + b"1," * 49_999 + b"1\n"}, SHAPE)
    yield _data("csv: a pickle", {"d.csv": pickled(4)}, FORMAT)
    yield _data("csv: a pickle in text", {"d.csv": pickled(0)}, UNREADABLE, SHAPE)


def _lines() -> Iterator[Hostile]:
    cases = {
        "deep": b'{"x": ' + b"[" * 200_000, "no object": b'{"x": [0, 0, 0, 0]}\n[1]\n',
        "cut": b'{"x": [0, 0', "long": b'{"x": "' + b"a" * (17 << 20),
        "digits": b'{"x": ' + b"9" * 6000 + b"}",
        "no utf-8": b'{"x": [0, 0, 0, 0]}\n' + b" " * 9000 + b"\xff\n" + b" " * 9000,
    }  # fmt: skip
    for name, content in cases.items():
        yield _data(f"jsonl: {name}", {"d.jsonl": content}, UNREADABLE)
    objects: dict[str, tuple[object, str]] = {
        "an object": ({"x": {"a": 1}}, SHAPE), "text": ({"x": "abc"}, SHAPE), "null": ({"x": None}, SHAPE),
        "mixed": ({"x": [1, "a", 2, 3]}, SHAPE), "ragged": ({"x": [[1], [1, 2], [], [3]]}, SHAPE),
        "large": ({"x": [10**400, 1, 1, 1]}, SHAPE), "nan": ({"x": [float("nan"), 1, 1, 1]}, NOT_FINITE),
    }  # fmt: skip
    for name, (row, code) in objects.items():
        yield _data(f"jsonl: {name}", {"d.jsonl": json.dumps(row).encode()}, code)
    yield _data("jsonl: blank", {"d.jsonl": b"\n" * 50}, FORMAT)
    yield _data("txt: for numbers", {"d.txt": b"hello\n"}, SHAPE)
    yield _data("txt: blank", {"d.txt": b"\n" * 50}, EMPTY)
    yield _data("txt: bytes", {"d.txt": b"\0\1\2"}, FORMAT)
    yield _data("two tables", {"a.csv": b"x\n1\n", "b.csv": b"x\n1\n"}, FORMAT)


def _arrays() -> Iterator[Hostile]:
    packed = io.BytesIO()
    np.save(packed, np.zeros((4, 4), np.float32))
    good = packed.getvalue()
    yield _data("npy: cut", {"x.npy": good[:-1]}, FORMAT)
    yield _data("npy: of 2^40", {"x.npy": good.replace(b"(4, 4)", b"(1099511627776, 4)")}, FORMAT)
    yield _data("npy: objects", {"x.npy": good.replace(b"'<f4'", b"'|O' ")}, FORMAT)
    yield _data(
        "npy: rows of nothing", {"x.npy": good[:-64].replace(b"(4, 4)", b"(9, 0)")}, UNREADABLE, SHAPE
    )
    yield _data("npy: a program for a header", {"x.npy": good.replace(b"False", b"print")}, UNREADABLE)
    yield _data("npy: two of one name", {"a/x.npy": good, "b/x.npy": good}, UNREADABLE)


def _data(name: str, files: dict[str, bytes], *codes: str) -> Hostile:
    return hostile(name, files, *codes, of=As.DATASET)
