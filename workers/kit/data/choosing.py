"""Which columns are for which input: what is mapped, what has an input's name, and what fits alone."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from math import prod

import openvino as ov

from ovfarm.datasets import Reading
from ovfarm.failures import FailureCode
from workers.kit.data.derived import derivable
from workers.kit.data.fitting import sides
from workers.kit.data.rows import Column, Kind, bad, named
from workers.protocol import StepFailed

Chosen = list[tuple[ov.Output, tuple[str, ...]]]
_RANGE = ".."
_WORDS = {Kind.NUMBERS: "numbers", Kind.TEXT: "text"}


def chosen(columns: Mapping[str, Column], ports: Sequence[ov.Output], reading: Reading) -> Chosen:
    """Return the columns of each input that is fed from some; raises StepFailed.

    An input takes what the mapping names, a column or ``FIRST..LAST`` of a table, else the column of its
    own name. A single input takes the single column that is left, or columns of numbers side by side when
    they are as many as its values; columns of text beside them are left alone.
    """
    mapped = {name: _mapped(name, told, columns, ports) for name, told in reading.mapping.items()}
    found: Chosen = []
    left: list[ov.Output] = []
    optional = [port.get_any_name() for port in derivable(ports)]
    for port in ports:
        own = next((mapped[name] for name in port.get_names() if name in mapped), ())
        own = own or next(((name,) for name in port.get_names() if name in columns), ())
        if own:
            found.append((port, own))
        elif port.get_any_name() not in optional:
            left.append(port)
    if not left:
        return found
    if len(left) == 1 and not found:
        return [(left[0], _alone(columns, left[0], ports))]
    raise _unfed(columns, ports)


def suggestion(name: str, there: Iterable[str]) -> str:
    """Return a question for who may have mistyped a name, or nothing."""
    close = get_close_matches(name, list(there), 1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _mapped(
    name: str, told: str, columns: Mapping[str, Column], ports: Sequence[ov.Output]
) -> tuple[str, ...]:
    """Return the columns that the mapping names for an input."""
    inputs = sorted(known for port in ports for known in port.get_names())
    if name not in inputs:
        words = f"the mapping names the input {name!r}; the model's are {named(inputs)}"
        hint = f"in --map INPUT=COLUMN the input is one of the model's{suggestion(name, inputs)}"
        raise bad(FailureCode.DATASET_SHAPE, words, hint=hint)
    if told in columns:
        return (told,)
    names = _range(told, columns)
    if not names:
        words = f"the mapping names the column {told!r}; the dataset has {named(columns)}"
        hint = "in --map INPUT=COLUMN the column is one of the dataset's, or FIRST..LAST in their order"
        raise bad(FailureCode.DATASET_SHAPE, words, hint=hint + suggestion(told, columns))
    if other := next((each for each in names if columns[each].kind is not Kind.NUMBERS), None):
        words = f"{told} takes the column {other!r} in, which holds {columns[other].words}"
        hint = "FIRST..LAST stands for columns of numbers: move the other one, or map a single column"
        raise bad(FailureCode.DATASET_SHAPE, words, hint=hint)
    return names


def _range(told: str, columns: Mapping[str, Column]) -> tuple[str, ...]:
    """Return the columns from FIRST to LAST as the dataset has them, or none when it has not both."""
    first, _, last = told.partition(_RANGE)
    order = list(columns)
    if first not in columns or last not in columns:
        return ()
    return tuple(order[order.index(first) : order.index(last) + 1])


def _alone(columns: Mapping[str, Column], port: ov.Output, ports: Sequence[ov.Output]) -> tuple[str, ...]:
    """Return what feeds the only input that needs data; raises StepFailed when that is not clear."""
    if len(columns) == 1:
        return tuple(columns)
    wordless = {name: column for name, column in columns.items() if column.kind is not Kind.TEXT}
    if len(wordless) == 1 and not port.get_element_type().is_integral():
        return tuple(wordless)
    plain = all(column.kind is Kind.NUMBERS for column in wordless.values())
    if not plain or len(wordless) < 2:
        raise _unfed(columns, ports)
    lengths = sides(port)
    values = prod(lengths) if lengths else None
    if values == len(wordless):
        return tuple(wordless)
    kinds = Counter(_WORDS[column.kind] for column in columns.values())
    there = " and ".join(f"{count} column{'s' * (count > 1)} of {kind}" for kind, count in kinds.items())
    texts = [name for name in columns if name not in wordless]
    raise bad(
        FailureCode.DATASET_SHAPE,
        f"the dataset has {there} for the {values or 'free number of'} values of input "
        f"{port.get_any_name()!r}: {named(columns)}" + (f"; text is in {named(texts)}" if texts else ""),
        hint=f"name those that are the input's: --map {port.get_any_name()}=FIRST..LAST, in the order of the "
        "file; and the column of labels: --labels COLUMN",
    )


def _unfed(columns: Mapping[str, Column], ports: Sequence[ov.Output]) -> StepFailed:
    return bad(
        FailureCode.DATASET_SHAPE,
        f"the dataset has the arrays {named(columns)}, the model's inputs are "
        f"{named([port.get_any_name() for port in ports])}",
        hint="name each array or column like the input that it is for, or map them: --map INPUT=COLUMN",
    )
