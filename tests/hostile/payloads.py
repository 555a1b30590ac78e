"""Programs in disguise: pickles of every protocol, and the archives that carry them."""

import bz2
import gzip
import io
import lzma
import pickle
import struct
import tarfile
import zipfile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.hostile.hostile import CANARY_PORT, MARKER

CODE = (
    f"import sys, socket; sys.stderr.write({MARKER!r}); sys.stderr.flush();"
    f"socket.create_connection(('127.0.0.1', {CANARY_PORT}), 1).close()"
)


class Payload:
    """An object whose unpickling runs code."""

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, (CODE,)


def pickled(protocol: int) -> bytes:
    return pickle.dumps(Payload(), protocol=protocol)


def zipped(entries: dict[str, bytes], *, method: int = zipfile.ZIP_STORED, comment: bytes = b"") -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
        archive.comment = comment
    return packed.getvalue()


def npz(**arrays: NDArray[Any]) -> bytes:
    packed = io.BytesIO()
    np.savez(packed, **arrays)  # type: ignore[arg-type] # its stub takes a flag for an array
    return packed.getvalue()


def _torch() -> bytes:
    """Return a checkpoint as torch.save writes it, with a payload in the place of its tensors."""
    return zipped({"archive/data.pkl": pickled(2), "archive/version": b"3\n", "archive/byteorder": b"little"})


def _torchscript() -> bytes:
    code = b"class M(Module):\n  def forward(self, x): return x\n"
    return zipped({
        "m/data.pkl": pickled(2), "m/code/__torch__.py": code, "m/constants.pkl": pickled(2),
        "m/version": b"3\n",
    })  # fmt: skip


def _exported() -> bytes:
    """Return a torch.export archive whose sample inputs are a pickle."""
    return zipped({
        "m/archive_format": b"pt2", "m/models/model.json": b"{}", "m/data/sample_inputs/model.pt": _torch(),
        "m/archive_version": b"0",
    })  # fmt: skip


def _old_exported() -> bytes:
    return zipped(
        {"version": b"1", "serialized_exported_program.json": b"{}", "serialized_state_dict.pt": pickled(2)}
    )


def _zip64() -> bytes:
    """Return a ZIP whose end is told by the 64-bit record alone."""
    packed = zipped({"archive/data.pkl": pickled(2)})
    at = packed.rfind(b"PK\x05\x06")
    _, _, _, _, count, size, offset, _ = struct.unpack("<4s4H2LH", packed[at : at + 22])
    record = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, size, offset)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, at, 1)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return packed[:at] + record + locator + end


def _bomb() -> bytes:
    return zipped({"weights": b"\0" * (20 << 20)}, method=zipfile.ZIP_DEFLATED)


def _tar() -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        info = tarfile.TarInfo("../../escaped.txt")
        info.size = len(MARKER)
        archive.addfile(info, io.BytesIO(MARKER.encode()))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    return packed.getvalue()


PICKLES = {
    **{f"pickle-{protocol}": pickled(protocol) for protocol in range(6)},
    "pickle behind a number": b"I1\n0cposix\nsystem\n(S'true'\ntR.",
    "pickle of protocol one": b"\x80\x01cposix\nsystem\n(S'true'\ntR.",
    "pickle twice begun": b"\x80\x04\x80\x04cposix\nsystem\n(S'true'\ntR.",
    "pickle without a mark": b"\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R.",
    "pickle behind a text": b"Vx\n0cposix\nsystem\n(S'true'\ntR.",
    "pickle behind a list": b"(lp0\ncposix\nsystem\n(S'true'\ntR.",
}
ZIPS = {
    "torch": _torch(),
    "torchscript": _torchscript(),
    "pt2": _exported(),
    "old-pt2": _old_exported(),
    "keras": zipped({"config.json": b"{}", "model.weights.h5": b"\x89HDF\r\n\x1a\n"}),
    "bomb": _bomb(),
    "empty": zipped({}),
    "behind-a-program": b"\x01" * 5000 + _torch(),
    "long-comment": zipped({"data.pkl": pickled(2)}, comment=b"c" * 65535),
    "zip64": _zip64(),
}
_NPY = b"\x93NUMPY\x01\x00\x46\x00{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
OTHERS = {
    "hdf5": b"\x89HDF\r\n\x1a\n" + b"\0" * 512,
    "npy": _NPY + pickled(2),
    "gzip": gzip.compress(pickled(2)),
    "bzip2": bz2.compress(pickled(2)),
    "xz": lzma.compress(pickled(2)),
    "7z": b"7z\xbc\xaf\x27\x1c" + b"\0" * 64,
    "rar": b"Rar!\x1a\x07\x01\x00" + b"\0" * 64,
    "zstd": b"\x28\xb5\x2f\xfd" + b"\0" * 64,
    "tar": _tar(),
    "elf": b"\x7fELF\x02\x01\x01" + b"\0" * 64,
    "script": b"#!/bin/sh\ntouch marker\n",
    "script with a space": b"#! /bin/sh\ntouch marker\n",
    "windows program": (b"MZ" + b"\0" * 58 + b"\x40\0\0\0PE\0\0").ljust(256, b"\0"),
    "wasm": b"\x00asm\x01\x00\x00\x00" + b"\0" * 64,
    "fat mach-o": b"\xca\xfe\xba\xbe" + b"\0" * 64,
    "hdf5 behind a block": b"\0" * 512 + b"\x89HDF\r\n\x1a\n" + b"\0" * 512,
}  # fmt: skip
DISGUISES = (
    "model.onnx", "model.pt2", "weights.bin", "model.tflite", "saved_model.pb", "model.safetensors",
    "model.pdmodel", "model",
)  # fmt: skip
