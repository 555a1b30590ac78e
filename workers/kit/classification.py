"""Labels against scores: a class number for each row, and one score for each class."""

import numpy as np

from ovfarm.failures import FailureCode
from workers.kit.data import Array
from workers.kit.data.rows import bad


def right(output: Array, labels: Array) -> int:
    """Return in how many rows the highest score is at the label; raises StepFailed for labels that misfit."""
    scores = output.reshape(len(output), -1)
    if sum(side > 1 for side in output.shape[1:]) != 1:
        raise _no_classes(output)
    classes = scores.shape[1]
    outside = labels[(labels < 0) | (labels >= classes)]
    if outside.size:
        raise bad(
            FailureCode.LABELS_MISFIT,
            f"the label {outside[0]} is no class: the model has {classes}, so labels are 0 to {classes - 1}",
            hint="number the classes from 0 as the model's scores are; leave out rows without a class",
        )
    return int((scores.argmax(axis=1) == labels).sum())


def top(output: Array) -> Array:
    """Return the place of the highest of each row's numbers."""
    return np.asarray(output.reshape(len(output), -1).argmax(axis=1))


def one_number(output: Array) -> bool:
    """Tell an output with one number a row, of which the highest says nothing."""
    return output.size == len(output)


def _no_classes(output: Array) -> Exception:
    sides = ", ".join(["rows", *map(str, output.shape[1:])])
    why = "one number a row, and no classes" if one_number(output) else "several scores for each class"
    return bad(
        FailureCode.LABELS_MISFIT,
        "labels are class numbers of an output [rows, classes]; the model's first output is "
        f"[{sides}]: {why}",
        hint="take the labels out of the dataset, and the outputs are compared with the reference's; or "
        "export the model with one score for each class of a row",
    )
