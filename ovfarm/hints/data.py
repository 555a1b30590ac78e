"""Datasets that are missing, or do not fit the model."""

from ovfarm.failures import FailureClass
from ovfarm.failures import FailureCode as C
from ovfarm.hints.hint import Hint, Remedy, Topic
from ovfarm.results import NoteCode as N

_USER = (FailureClass.USER,)
_NO_CONTROL = Remedy(why="quantize without accuracy control", overrides={"quantize.accuracy": None})
_WITHOUT_DATA = Remedy(why="INT8 for the weights alone, which needs no data", recipe="int8-weights")

DATA: dict[C | N, Hint] = {
    C.DATASET_UNREADABLE: Hint(
        topic=Topic.DATA,
        classes=_USER,
        means="The dataset is not one .npz of plain arrays.",
        words="write it with numpy.savez(path, INPUT=array, labels=array); objects are refused",
    ),
    C.DATASET_EMPTY: Hint(
        topic=Topic.DATA,
        classes=_USER,
        means="The dataset, or the half of it that was asked for, has no rows.",
        words="give more rows: 300 to calibrate on, some hundreds to judge by",
    ),
    C.DATASET_SHAPE: Hint(
        topic=Topic.DATA,
        classes=_USER,
        means="Arrays, shapes or types of the dataset are not those of the model's inputs.",
        words="name each array like its input and give it the input's shape (ovfarm models show), rows first",
    ),
    C.DATASET_NOT_FINITE: Hint(
        topic=Topic.DATA,
        classes=_USER,
        means="The data holds NaN or infinity, or misses values: what it calibrates or judges is wrong.",
        words="mend those rows, or leave them out: numpy.isfinite says which values are bad",
    ),
    C.DATASET_MISSING: Hint(
        topic=Topic.DATA,
        classes=_USER,
        means="The step needs data that the job does not name.",
        words="register an .npz of real samples, or take the recipe int8-weights",
        patches=(_WITHOUT_DATA,),
    ),
    C.LABELS_MISSING: Hint(
        topic=Topic.DATA,
        classes=_USER,
        means="Accuracy was asked for, and the evaluation data has no labels.",
        words="add an array or a column 'labels', one whole number a row, or name yours: --labels COLUMN",
        patches=(_NO_CONTROL,),
    ),
    C.LABELS_MISFIT: Hint(
        topic=Topic.DATA,
        classes=_USER,
        means="Labels are class numbers, and the model's first output has no such class, or none at all.",
        words="number the classes from 0 as the model's scores are; where it has none, leave the labels out",
        patches=(_NO_CONTROL,),
    ),
}
