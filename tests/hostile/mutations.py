"""Models with a few bytes wrong: one seed is one set of them."""

import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tests.hostile import graphs
from tests.hostile.hostile import CONVERTED, Hostile, hostile

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
# Whatever a damaged model turns out to be, it is said in words that name the damage.
CODES = (
    CONVERTED, "model_unreadable", "model_format_refused", "weights_missing", "unsupported_operation",
    "external_data_outside", "model_too_complex", "out_of_memory", "safetensors_refused", "config_unreadable",
    "reader_crashed",
)  # fmt: skip


def mutated(count: int, seed: int = 0) -> Iterator[Hostile]:
    """Yield ``count`` damaged models, of each format by turns; of one with several files one is damaged."""
    dice = random.Random(seed)  # noqa: S311 - one seed is one set
    wholes = _wholes()
    for number in range(count):
        files = dict(wholes[number % len(wholes)])
        name = dice.choice(sorted(files))
        files[name] = _damaged(files[name], dice)
        yield hostile(f"mutant {seed}/{number}", files, *CODES)


def _wholes() -> list[dict[str, bytes]]:
    """Return good models; ONNX and IR, whose readers are our own choice, more often than others."""
    onnx = {"m.onnx": graphs.plain()}
    ir = {"m.xml": graphs.ir(), "m.bin": np.ones(4, np.float32).tobytes()}
    names = (
        ("tensorflow/frozen.pb",), ("tensorflow/network.tflite",),
        ("paddle/network.pdmodel", "paddle/network.pdiparams"),
        ("tensorflow/saved/saved_model.pb", "tensorflow/saved/variables/variables.index",
         "tensorflow/saved/variables/variables.data-00000-of-00001"),
    )  # fmt: skip
    others = [{name: (FIXTURES / name).read_bytes() for name in model} for model in names]
    return [onnx, ir, others[0], onnx, ir, others[1], onnx, ir, others[2], onnx, ir, others[3]]


def _damaged(content: bytes, dice: random.Random) -> bytes:
    data = bytearray(content)
    for _ in range(dice.randint(1, 4)):
        at = dice.randrange(len(data) or 1)
        match dice.randrange(5):
            case 0:
                data[at : at + 1] = bytes([dice.randrange(256)])
            case 1:
                del data[at : at + dice.randint(1, 16)]
            case 2:
                data[at:at] = dice.randbytes(dice.randint(1, 16))
            case 3:
                data[at:at] = data[at : at + dice.randint(1, 64)]
            case 4:
                data[at : at + 8] = (dice.choice((0, 2**63, 2**64 - 1, 2**31))).to_bytes(8, "little")
    return bytes(data)
