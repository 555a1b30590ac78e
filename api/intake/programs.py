"""What PyTorch has written: programs of TorchScript and torch.export, pickles of modules or of weights."""

import io
import pickletools
from collections.abc import Iterator, Mapping
from enum import StrEnum

from api.intake.content import Bytes, Content, content
from api.intake.entries import Entry, entries, stored
from ovfarm.catalog import ModelFormat

_PICKLE_BYTES = 1 << 16
# What a file begins with that torch.save wrote before PyTorch 1.6: its magic number, pickled.
_BEFORE_1_6 = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
# Magic number, version, system and the object itself follow each other.
_PICKLES_BEFORE_1_6 = 4
# What pickled tensors name; whatever names more is more than tensors.
_OF_TENSORS = {"collections", "torch", "torch._utils", "torch.storage", "torch.serialization", "_codecs"}


class Saved(StrEnum):
    """What a file of PyTorch's holds."""

    SCRIPT = "a TorchScript program"
    EXPORTED = "a torch.export program"
    COMPILED = "a package of AOTInductor, which holds machine code"
    MODULE = "a pickled PyTorch module"
    WEIGHTS = "PyTorch weights without their model (a state_dict)"


_PROGRAMS = {Saved.SCRIPT: ModelFormat.TORCHSCRIPT, Saved.EXPORTED: ModelFormat.TORCH_EXPORT}


def program(files: Mapping[str, Bytes]) -> ModelFormat | None:
    """Return the format of a model that is one PyTorch program and nothing else, or None."""
    if len(files) != 1:
        return None
    (file,) = files.values()
    # From its first byte on: what has something in front of its archive is two things.
    if not file.at(0, 4).startswith(b"PK\x03\x04") or content(file) is not Content.ZIP:
        return None
    found = saved(file, Content.ZIP)
    return _PROGRAMS.get(found) if found else None


def saved(file: Bytes, what: Content) -> Saved | None:
    """Return what PyTorch has saved in a file, or None when it was not PyTorch."""
    if file.at(0, len(_BEFORE_1_6)) == _BEFORE_1_6:
        return _of_pickle(file.at(0, _PICKLE_BYTES), _PICKLES_BEFORE_1_6)
    if what is not Content.ZIP:
        return None
    found = {entry.name.partition("/")[2]: entry for entry in entries(file)}
    if "archive_format" in found:
        return _of_package(found)
    if "data.pkl" not in found:
        return None
    if "constants.pkl" in found and any(name.startswith("code/") for name in found):
        return Saved.SCRIPT
    return _of_pickle(stored(file, found["data.pkl"], _PICKLE_BYTES), 1)


def _of_package(found: Mapping[str, Entry]) -> Saved | None:
    if any(name.startswith("data/aotinductor/") for name in found):
        return Saved.COMPILED
    models = any(name.startswith("models/") and name.endswith(".json") for name in found)
    return Saved.EXPORTED if models else None


def _of_pickle(head: bytes, count: int) -> Saved:
    """Tell weights from a module by what the pickle names; its opcodes are read and never followed."""
    return Saved.WEIGHTS if set(_modules(head, count)) <= _OF_TENSORS else Saved.MODULE


def _modules(head: bytes, count: int) -> Iterator[str]:
    """Yield the modules that the first ``count`` pickles name, as far as there are bytes."""
    stream = io.BytesIO(head)
    words: list[str] = []
    try:
        for _ in range(count):
            for opcode, argument, _ in pickletools.genops(stream):
                if opcode.name in {"GLOBAL", "INST"}:
                    yield str(argument).split(" ", maxsplit=1)[0]
                elif opcode.name == "STACK_GLOBAL":
                    yield words[-2] if len(words) > 1 else ""
                elif "UNICODE" in opcode.name:
                    words.append(str(argument))
    except (ValueError, IndexError, OverflowError, UnicodeDecodeError):
        return
