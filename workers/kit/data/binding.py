"""From columns to inputs: which column feeds which input, and how its rows become what the input takes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import openvino as ov

from ovfarm.datasets import PLAIN, Image, Reading
from ovfarm.failures import FailureCode
from workers.kit.data import fitting
from workers.kit.data.choosing import Chosen, chosen
from workers.kit.data.derived import check, completed, derivable
from workers.kit.data.rows import Array, Block, Column, Feed, Kind, Source, bad
from workers.kit.data.tokens import IDS, Tokenizer
from workers.kit.described import described
from workers.protocol import StepFailed


class _Feeder(Protocol):
    """Makes one input or more from the columns of a block."""

    @property
    def columns(self) -> tuple[str, ...]: ...

    @property
    def ports(self) -> tuple[ov.Output, ...]: ...

    def rows(self, block: Block) -> list[Array]: ...


@dataclass(frozen=True, slots=True)
class _Numbers:
    """A column of arrays as they are, or of numbers spread to the input's shape; or many columns."""

    ports: tuple[ov.Output, ...]
    columns: tuple[str, ...]
    flat: bool

    def rows(self, block: Block) -> list[Array]:
        several = [np.asarray(block[name]) for name in self.columns]
        found = several[0] if len(several) == 1 else np.stack(several, axis=1)
        return [fitting.spread(found, self.ports[0]) if self.flat else found]


@dataclass(frozen=True, slots=True)
class _Texts:
    """A column of texts, tokenized; feeds the inputs that the tokenizer knows."""

    ports: tuple[ov.Output, ...]
    columns: tuple[str, ...]
    tokenizer: Tokenizer

    def rows(self, block: Block) -> list[Array]:
        tokens = self.tokenizer.tokens([str(text) for text in block[self.columns[0]]])
        return [tokens[_output(port, self.tokenizer)] for port in self.ports]


@dataclass(frozen=True, slots=True)
class _Pictures:
    """A column of pictures, decoded."""

    ports: tuple[ov.Output, ...]
    columns: tuple[str, ...]
    decoded: Callable[[Path], Array]

    def rows(self, block: Block) -> list[Array]:
        return [np.stack([self.decoded(Path(str(path))) for path in block[self.columns[0]]])]


@dataclass(frozen=True, slots=True)
class Binding:
    """The way from a block of columns to a feed of all inputs."""

    feeders: tuple[_Feeder, ...]
    derived: tuple[ov.Output, ...]
    vocabulary: int = 0

    @property
    def columns(self) -> set[str]:
        """The columns that are read."""
        return {name for feeder in self.feeders for name in feeder.columns}

    def feed(self, block: Block, size: int, numbers: range) -> Feed:
        """Return ``size`` rows for each input, the last repeated; raises StepFailed for what does not fit."""
        feed: Feed = {}
        for feeder in self.feeders:
            for port, rows in zip(feeder.ports, feeder.rows(block), strict=True):
                feed[port.get_any_name()] = fitting.filled(fitting.fitting(rows, port, numbers), size)
        known = [port for feeder in self.feeders for port in feeder.ports]
        check(feed, known, self.vocabulary, numbers)
        return completed(feed, self.derived, known) if self.derived else feed


def bind(
    source: Source,
    model: ov.Model,
    reading: Reading = PLAIN,
    *,
    labels: str | None = None,
    folder: Path | None = None,
) -> Binding:
    """Return how a source feeds a model; ``folder`` is the model's, for its tokenizer. Raises StepFailed.

    ``choosing`` says which column is for which input.
    """
    columns = {name: column for name, column in source.columns.items() if name != labels}
    found = chosen(columns, model.inputs, reading)
    feeders: list[_Feeder] = []
    for port, names in found:
        feeders.append(_feeder(port, names, columns, reading, folder, model.inputs, found))
    fed = {port.get_any_name() for feeder in feeders for port in feeder.ports}
    derived = tuple(port for port in derivable(model.inputs) if port.get_any_name() not in fed)
    return Binding(tuple(feeders), derived, described(folder).vocab_size if folder else 0)


def _feeder(
    port: ov.Output,
    names: tuple[str, ...],
    columns: Mapping[str, Column],
    reading: Reading,
    folder: Path | None,
    ports: Sequence[ov.Output],
    found: Chosen,
) -> _Feeder:
    column = columns[names[0]]
    match column.kind:
        case Kind.TEXT if port.get_element_type().is_integral():
            others = {other.get_any_name() for other, _ in found}
            return _texts(port, names, reading, folder, [p for p in ports if p.get_any_name() not in others])
        case Kind.IMAGE:
            return _pictures(port, names, reading.image or Image())
        case Kind.ARRAY if column.dtype is not None:
            fitting.check(port, column.shape, column.dtype)
            return _Numbers((port,), names, flat=False)
        case Kind.NUMBERS:
            return _Numbers((port,), names, flat=True)
    raise _misfit(port, names[0], column)


def _pictures(port: ov.Output, names: tuple[str, ...], asked: Image) -> _Pictures:
    # Pillow is for those who read pictures.
    from workers.kit.data.pictures import look  # noqa: PLC0415

    return _Pictures((port,), names, look(port, asked).decoded)


def _texts(
    port: ov.Output, names: tuple[str, ...], reading: Reading, folder: Path | None, free: list[ov.Output]
) -> _Texts:
    shape = port.get_partial_shape()
    static = shape.rank.is_static and shape.rank.get_length() == 2 and shape[1].is_static
    tokenizer = Tokenizer(folder, reading.max_tokens, shape[1].get_length() if static else None)
    along = tuple(p for p in free if _output(p, tokenizer) in p.get_names())
    return _Texts((port, *along), names, tokenizer)


def _output(port: ov.Output, tokenizer: Tokenizer) -> str:
    """Return the output of the tokenizer that feeds an input: that of its name, else the tokens."""
    return next((name for name in port.get_names() if name in tokenizer.outputs), IDS)


def _misfit(port: ov.Output, name: str, column: Column) -> StepFailed:
    taken = port.get_element_type().get_type_name()
    return bad(
        FailureCode.DATASET_SHAPE,
        f"input {port.get_any_name()!r} takes {taken}, the column {name!r} holds {column.words}",
        hint="map a column of numbers, or of text for tokens: --map INPUT=COLUMN",
    )
