"""How one file of a set is refused: with its name, its place in the request, and the way out."""

from ovfarm.errors import InvalidInput


def refused(name: str, words: str, hint: str, code: str = "model_format_refused") -> InvalidInput:
    """Return the error for one file of a set."""
    return InvalidInput(f"{name} {words}", pointer=pointer(name), code=code, hint=hint)


def pointer(name: str) -> str:
    """Return the JSON pointer of a file's name (RFC 6901)."""
    return f"/files/{name.replace('~', '~0').replace('/', '~1')}"
