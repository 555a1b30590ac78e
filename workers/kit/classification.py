"""Which numbers of an output are scores of classes; and labels, counted against such scores.

Nothing in a model says what its outputs mean. A softmax, a sigmoid, whole numbers and the names that
exporters give say it; where none of them does, one score for each class of a row is taken for classes,
and an output with more sides is not known to be any.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto

import numpy as np
import openvino as ov

from ovfarm.failures import FailureCode
from workers.kit.data import Array
from workers.kit.data.rows import bad
from workers.protocol import StepFailed

# What transformers and torch write for a token or a pixel that has no class.
IGNORED = -100
_SOFTMAX = {"Softmax", "SoftMax", "LogSoftmax"}
# How words in the names of outputs begin; the former win over the latter.
_OF_SCORES = ("logit", "prob", "softmax", "score", "class")
_OF_NUMBERS = ("hidden", "embed", "pool", "feature", "depth", "image", "sample", "box", "bbox")
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
# What lies between 0 and 1 is the same when it differs by a thousandth.
_OF_CHANCES = 1e-3
_WHOLE = {ov.Type.boolean, ov.Type.i32, ov.Type.i64, ov.Type.u32, ov.Type.u64}


class Kind(Enum):
    """What an output holds."""

    CLASSES = auto()  # scores, of which the highest counts
    WHOLE = auto()  # class numbers, or others that are either the same or not
    NUMBERS = auto()  # numbers of their own: embeddings, depths, chances of which several may be high
    UNKNOWN = auto()  # classes if a row has one score for each, else not known to be any


@dataclass(frozen=True, slots=True)
class Meaning:
    """What is known of an output before it is computed.

    ``axis`` is that of its softmax, ``tolerance`` the difference of numbers that is none.
    """

    name: str
    kind: Kind
    axis: int | None = None
    shape: tuple[int | None, ...] = ()
    tolerance: float = 0.0

    def classes(self, shape: tuple[int, ...]) -> int | None:
        """Return the axis along which the highest number is a class; None where there is no such axis."""
        if self.kind in {Kind.WHOLE, Kind.NUMBERS}:
            return None
        return _axis(shape, self.shape) if self.axis is None else self.axis % len(shape)

    def certain(self, shape: tuple[int, ...]) -> bool:
        """Tell whether the highest number is a class, and not a guess."""
        return self.kind is Kind.CLASSES or (self.kind is Kind.UNKNOWN and len(_sides(shape)) == 1)


def meaning(port: ov.Output) -> Meaning:
    """Return what an output of a model holds, told by its type, by what computes it and by its name."""
    partial = port.get_partial_shape()
    sides = () if partial.rank.is_dynamic else tuple(d.get_length() if d.is_static else None for d in partial)
    node = port.get_node().input_value(0).get_node()
    name = port.get_any_name() if port.get_names() else ""
    if port.get_element_type() in _WHOLE:
        return Meaning(name, Kind.WHOLE, shape=sides)
    if node.get_type_name() in _SOFTMAX:
        return Meaning(name, Kind.CLASSES, int(node.get_attributes()["axis"]), sides)
    if node.get_type_name() == "Sigmoid":
        return Meaning(name, Kind.NUMBERS, shape=sides, tolerance=_OF_CHANCES)
    return Meaning(name, _by_name(port.get_names()), shape=sides)


def _by_name(names: Iterable[str]) -> Kind:
    """Tell by whole words of the last part of a name: scopes of exporters say other things."""
    last = [name.rpartition("/")[2].partition(":")[0] for name in names]
    words = [word.lower() for name in last for word in _WORDS.findall(name)]
    if any(word.startswith(_OF_SCORES) for word in words):
        return Kind.CLASSES
    return Kind.NUMBERS if any(word.startswith(_OF_NUMBERS) for word in words) else Kind.UNKNOWN


def _sides(shape: tuple[int, ...]) -> list[int]:
    """Return the axes of more than one value, that of the rows left out."""
    return [axis for axis, side in enumerate(shape) if axis and side > 1]


def _axis(shape: tuple[int, ...], known: tuple[int | None, ...]) -> int | None:
    """Return the axis of classes: the only side, the last of tokens, the first of pixels.

    Pixels whose classes come last (NHWC) are told by free or equal sides before a fixed one.
    """
    sides = _sides(shape)
    if len(sides) < 2:
        return sides[0] if sides else None
    last = len(shape) - 1
    found = last if last == 2 or _classes_last(shape, known) else 1
    return found if found in sides else None


def _classes_last(shape: tuple[int, ...], known: tuple[int | None, ...]) -> bool:
    if len(known) == len(shape) and (known[1] is None) != (known[-1] is None):
        return known[1] is None
    return len(set(shape[1:-1])) == 1 and shape[-1] != shape[1]


def right(output: Array, labels: Array, held: Meaning) -> tuple[int, int]:
    """Return how many labels are at the highest score, and how many count; raises StepFailed for misfits.

    There is a label for each row, or one for each token or pixel, of which IGNORED ones do not count.
    """
    if held.kind is Kind.WHOLE and output.size == labels.size:
        counted = labels != IGNORED
        return int((output.reshape(labels.shape) == labels)[counted].sum()), int(counted.sum())
    if labels.ndim == 1:
        if len(_sides(output.shape)) != 1:
            raise _no_classes(output)
        return _hits(output.reshape(len(output), -1), labels), len(labels)
    scores = np.moveaxis(output, _beside(output, labels, held), -1)
    counted = labels != IGNORED
    return _hits(scores[counted], labels[counted]), int(counted.sum())


def _hits(scores: Array, labels: Array) -> int:
    """Return how many of the labels are at the highest of their scores ``[labels, classes]``."""
    classes = scores.shape[1]
    outside = labels[(labels < 0) | (labels >= classes)]
    if outside.size:
        raise bad(
            FailureCode.LABELS_MISFIT,
            f"the label {outside[0]} is no class: the model has {classes}, so labels are 0 to {classes - 1}",
            hint="number the classes from 0 as the model's scores are; leave out rows without a class",
        )
    return int((scores.argmax(axis=1) == labels).sum())


def _beside(output: Array, labels: Array, held: Meaning) -> int:
    """Return the axis of classes of which the rest has the shape of the labels."""
    fitting = [
        axis
        for axis in range(1, output.ndim)
        if output.shape[axis] > 1 and output.shape[:axis] + output.shape[axis + 1 :] == labels.shape
    ]
    if not fitting:
        raise _misfit(
            f"the labels have the shape [{_told(labels)}], the model's first output [{_told(output)}]: "
            "it has not one score of each class for each label"
        )
    likely = held.classes(output.shape)
    return likely if likely in fitting else fitting[0]


def one_number(output: Array) -> bool:
    """Tell an output with one number a row, of which the highest says nothing."""
    return output.size == len(output)


def _no_classes(output: Array) -> StepFailed:
    why = "one number a row, and no classes" if one_number(output) else "several scores for each class"
    return _misfit(
        "labels are class numbers, one a row, of an output [rows, classes]; the model's first output is "
        f"[{_told(output)}]: {why}"
    )


def no_labels() -> StepFailed:
    """Return the failure of labels of which none counts."""
    return _misfit(f"all labels are {IGNORED}, which stands for no label: nothing is left to judge by")


def _told(array: Array) -> str:
    return ", ".join(["rows", *map(str, array.shape[1:])])


def _misfit(words: str) -> StepFailed:
    return bad(
        FailureCode.LABELS_MISFIT,
        words,
        hint="give a label for each token or pixel that has scores (of one-hot labels their argmax), or take "
        "the labels out of the dataset: the outputs are then compared with the reference's",
    )
