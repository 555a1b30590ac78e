"""Images as a model takes them: decoded on demand by Pillow, resized, and laid out as the input says."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import openvino as ov
from PIL import Image as Pillow
from PIL import UnidentifiedImageError

from ovfarm.datasets import Image
from ovfarm.failures import FailureCode
from workers.kit.data.rows import Array, bad
from workers.protocol import StepFailed

MAX_PIXELS = 64 << 20
_FORMATS = ("JPEG", "PNG", "BMP", "WEBP")
_FILTERS = {
    "nearest": Pillow.Resampling.NEAREST,
    "linear": Pillow.Resampling.BILINEAR,
    "cubic": Pillow.Resampling.BICUBIC,
    "lanczos": Pillow.Resampling.LANCZOS,
}
_DTYPES = {"u8": np.uint8, "i32": np.int32, "f16": np.float16, "f32": np.float32}
_DAMAGED = (OSError, ValueError, SyntaxError, EOFError, KeyError, IndexError, TypeError, OverflowError)

_LAYOUTS = "say where the channels are: --image layout=NCHW, or --image layout=NHWC"


@dataclass(frozen=True, slots=True)
class Look:
    """What an input expects, with nothing left open."""

    asked: Image
    height: int
    width: int
    channels: int
    layout: str
    dtype: np.dtype[np.generic]

    def decoded(self, path: Path) -> Array:
        """Return one picture in the input's layout, without the dimension of rows; raises StepFailed."""
        picture = _opened(path).convert("L" if self.channels == 1 else "RGB")
        if picture.size != (self.width, self.height):
            picture = picture.resize((self.width, self.height), _FILTERS[self.asked.resize])
        values = np.asarray(picture).reshape(self.height, self.width, self.channels)
        if self.asked.color == "bgr":
            values = values[:, :, ::-1]
        if self.asked.mean or self.asked.scale:
            mean, scale = self.asked.mean or (0,), self.asked.scale or (1,)
            values = (values - np.array(mean, np.float32)) / np.array(scale, np.float32)
        placed = values.transpose(2, 0, 1) if self.layout == "NCHW" else values
        return placed.astype(self.dtype)


def look(port: ov.Output, asked: Image) -> Look:
    """Tell from an input's shape and type what is not said; raises StepFailed when they do not tell."""
    shape = port.get_partial_shape()
    name, words = port.get_any_name(), shape.to_string()
    if shape.rank.is_static and shape.rank.get_length() != 4:
        raise _unfit(
            f"input {name!r} takes {words}, which is no picture: rows, channels, height, width",
            "name the input that takes images, --map INPUT=image, or give this one numbers: .npy or .npz",
        )
    sides = [None if d.is_dynamic else d.get_length() for d in shape] if shape.rank.is_static else [None] * 4
    told = (way for way, at in (("NCHW", 1), ("NHWC", 3)) if sides[at] in {1, 3})
    layout: str | None = asked.layout or next(told, None)
    if layout is None:
        raise _unfit(f"input {name!r} takes {words}, which does not tell the layout", _LAYOUTS)
    channels = _channels(name, words, sides, layout)
    size = [sides[layout.index("H")], sides[layout.index("W")]]
    if asked.size and any(side not in {None, given} for side, given in zip(size, asked.size, strict=True)):
        there = tuple(own or given for own, given in zip(size, asked.size, strict=True))
        raise _unfit(f"input {name!r} takes {words}, the size asked for is {asked.size}", _sized(*there))
    height, width = asked.size or size
    if height is None or width is None:
        example = _sized(*(own or 224 for own in size))
        raise _unfit(
            f"input {name!r} takes {words}, which does not tell the size",
            f"say the height and width that it was made for, for example {example}",
        )
    dtype = _values(port, asked, channels)
    return Look(asked, height, width, channels, layout, dtype)


def _channels(name: str, words: str, sides: Sequence[int | None], layout: str) -> int:
    channels = sides[layout.index("C")] or 3
    if channels in {1, 3}:
        return channels
    other = "NHWC" if layout == "NCHW" else "NCHW"
    raise _unfit(
        f"input {name!r} takes {words}: {channels} channels as {layout}; a picture has 1 or 3",
        f"--image layout={other}"
        if sides[other.index("C")] in {None, 1, 3}
        else "give it numbers: .npy or .npz",
    )


def _values(port: ov.Output, asked: Image, channels: int) -> np.dtype[np.generic]:
    """Return the type of an input's values; raises StepFailed when what is asked of them does not fit."""
    name = port.get_any_name()
    if channels == 1 and (len(asked.mean) > 1 or len(asked.scale) > 1 or asked.color == "bgr"):
        raise _unfit(
            f"input {name!r} takes one channel, image speaks of three",
            "give one number, --image mean=127.5 --image scale=127.5, and no --image color",
        )
    native = np.dtype(port.get_element_type().to_dtype())
    dtype = np.dtype(_DTYPES[asked.dtype]) if asked.dtype else native
    if dtype.kind != "f" and (asked.mean or asked.scale):
        raise _unfit(
            f"input {name!r} takes {dtype}, which cannot hold what mean and scale make",
            "leave out --image mean=… and scale=…: it takes the values of a picture, 0 to 255",
        )
    if dtype == np.int8:
        raise _unfit(
            f"input {name!r} takes i8, and a picture's values go from 0 to 255",
            "give it numbers from -128 to 127: .npy or .npz",
        )
    return dtype


def _sized(height: int, width: int) -> str:
    return f"--image 'size=[{height},{width}]'"


def _unfit(words: str, hint: str) -> StepFailed:
    return bad(FailureCode.DATASET_SHAPE, words, hint=hint)


def _opened(path: Path) -> Pillow.Image:
    """Return a decoded picture of eight bits a channel; raises StepFailed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Pillow.DecompressionBombWarning)
            with Pillow.open(path, formats=_FORMATS) as picture:
                _check(picture, path)
                picture.load()
                return picture.copy()
    except (Pillow.DecompressionBombError, Pillow.DecompressionBombWarning) as bomb:
        raise _too_large(path, str(bomb)) from bomb
    except UnidentifiedImageError as refused:
        words = f"{path.name} is damaged, or no JPEG, PNG, BMP or WebP"
        raise bad(FailureCode.DATASET_UNREADABLE, words) from refused
    except _DAMAGED as refused:
        words = f"{path.name} is damaged: {str(refused)[:200]}"
        raise bad(FailureCode.DATASET_UNREADABLE, words, hint="leave it out, or save it again") from refused


def _check(picture: Pillow.Image, path: Path) -> None:
    if picture.width * picture.height > MAX_PIXELS:
        raise _too_large(path, f"{picture.width} by {picture.height} pixels")
    if picture.mode.startswith(("I", "F")):
        words = f"{path.name} has more than eight bits a channel ({picture.mode})"
        raise bad(FailureCode.DATASET_UNREADABLE, words, hint="save it with eight")


def _too_large(path: Path, words: str) -> StepFailed:
    return bad(
        FailureCode.DATASET_UNREADABLE,
        f"{path.name} is too large a picture: {words[:100]}",
        hint=f"a picture has at most {MAX_PIXELS} pixels",
    )
