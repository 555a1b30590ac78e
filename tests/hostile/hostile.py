"""What a hostile file is: its bytes, what it is registered as, and the code that its owner must be told."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

# A payload that runs says so here: a child's log is kept, whatever the sandbox stops it from doing.
MARKER = "HOSTILE-CODE-RAN"
# Where hostile files call, and where somebody listens for them.
CANARY_PORT = 24713


class As(StrEnum):
    """What a file is registered as."""

    MODEL = "models"
    DATASET = "datasets"


@dataclass(frozen=True, slots=True)
class Hostile:
    """A set of files by name; ``codes`` are those that may be told, and ``converted`` is that of no harm."""

    name: str
    files: Mapping[str, bytes]
    codes: frozenset[str]
    registered_as: As = As.MODEL
    evaluated: bool = False
    model: bytes = b""


# A file that does no harm and is simply converted: its trick is not followed.
CONVERTED = "converted"


def hostile(
    name: str,
    files: Mapping[str, bytes],
    *codes: str,
    of: As = As.MODEL,
    evaluated: bool = False,
    model: bytes = b"",
) -> Hostile:
    """Return a hostile set of files; a model may be ``evaluated`` on rows of four, and not just converted.

    A dataset judges a small ``model`` that takes rows of four, unless another is given.
    """
    return Hostile(name, files, frozenset(codes), of, evaluated, model)
