"""A section of an old configuration that knows which of its keys were read."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

_LONGEST = 200
_SHORT = 40


class Section:
    """A mapping whose keys are taken one by one; what nobody took is ``left``.

    Raises TypeError where a section is expected and something else stands.
    """

    def __init__(self, raw: object, path: str = "") -> None:
        if not isinstance(raw, dict):
            raise TypeError(f"{path or 'the configuration'} is no section")
        self._raw: Mapping[Any, Any] = raw
        self._path = path
        self._taken: set[object] = set()
        self._inner: list[Section] = []

    def __contains__(self, name: str) -> bool:
        """Tell whether the key is there, read or not."""
        return name in self._raw

    def take(self, name: str) -> Any:
        """Return a value and count it as read; None for what is not there."""
        self._taken.add(name)
        return self._raw.get(name)

    def take_as(self, name: str, meanings: Mapping[str, Any]) -> Any:
        """Return what a value means, and count it as read; a value without a meaning stays unread."""
        value = str(self._raw.get(name))
        if value not in meanings:
            return None
        self._taken.add(name)
        return meanings[value]

    def take_neutral(self, same: Mapping[str, object]) -> None:
        """Count keys as read whose values are as good as none: these, and False."""
        for name, value in self._raw.items():
            if value is False or (name in same and same[name] == value):
                self._taken.add(name)

    def section(self, name: str) -> "Section":
        """Return an inner section, whose own keys are to be read; an empty one for what is not there."""
        found = self.take(name)
        return self._add(Section({} if found is None else found, self._at(name)))

    def sections(self, name: str) -> list["Section"]:
        """Return the sections of a list, or the one that stands in its place."""
        found = self.take(name)
        each = found if isinstance(found, list) else [] if found is None else [found]
        return [self._add(Section(one, self._at(name, number))) for number, one in enumerate(each)]

    def finish(self) -> None:
        """Count everything as read: the section was answered as a whole."""
        self._taken.update(self._raw)
        self._inner.clear()

    def left(self) -> Iterator[tuple[str, object]]:
        """Yield the path and the value of each key that nobody took; what lies below is not named apart."""
        yield from ((self._at(name), value) for name, value in self._raw.items() if name not in self._taken)
        for inner in self._inner:
            yield from inner.left()

    def _add(self, inner: "Section") -> "Section":
        self._inner.append(inner)
        return inner

    def _at(self, name: object, number: int = 0) -> str:
        # The first of a list goes without a number: mostly it is the only one.
        place = f"{name}[{number}]" if number else f"{name}"
        return (f"{self._path}.{place}" if self._path else place)[:_LONGEST]


def dropped(left: Iterable[tuple[str, object]], reasons: Mapping[str, str]) -> Iterator[str]:
    """Yield a note for each reason, with what it is for; ``reasons`` are by the last key."""
    by_reason: dict[str, list[str]] = {}
    for path, value in left:
        reason = reasons.get(path.rpartition(".")[2], "nothing of today's does the same")
        by_reason.setdefault(reason, []).append(f"{path}{_shown(value)}")
    for reason, named in by_reason.items():
        yield f"left out: {', '.join(named)}: {reason}"


def with_defaults(asked: dict[str, Any], defaults: Mapping[str, Any], of: str, notes: list[str]) -> None:
    """Write out what an old configuration left to its tool, whose defaults are not those of today."""
    missing = {name: value for name, value in defaults.items() if asked.get(name) is None}
    if missing:
        asked |= missing
        told = ", ".join(f"{name}={value}" for name, value in missing.items())
        notes.append(f"not set, so what {of} took by itself is written out: {told}")


def _shown(value: object) -> str:
    """Return a short value behind its key; a whole section is named alone."""
    plain = isinstance(value, str | int | float)
    return f"={value}" if plain and len(f"{value}") <= _SHORT else ""
