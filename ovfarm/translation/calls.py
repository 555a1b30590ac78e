"""Calls in a program and their arguments, read as text: nothing of it is run."""

import ast
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ovfarm.translation.today import CALLS

_POSITIONS = {"compress_weights": ("model", "mode"), "quantize": ("model", "calibration_dataset")}
# Names that others use as well count only as NNCF's.
_OF_NNCF = frozenset({"quantize", "quantize_with_accuracy_control"})


@dataclass(frozen=True, slots=True)
class Call:
    """A call, its arguments that are plain values, and in their own words those that are not."""

    name: str
    plain: dict[str, Any]
    others: dict[str, str]


def calls(text: str) -> Iterator[Call]:
    """Yield the calls of today in a program; none of what is no Python."""
    # Lines of notebooks that are for the shell.
    lines = ("" if line.lstrip().startswith(("!", "%")) else line for line in text.splitlines())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Python says of others' escapes
            tree = ast.parse("\n".join(lines))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    imported = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "nncf"
        for alias in node.names
    }
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    for node in sorted(found, key=lambda call: (call.lineno, call.col_offset)):
        yield from _call(node, imported)


def _call(node: ast.Call, imported: set[str]) -> Iterator[Call]:
    words = ast.unparse(node.func)
    name = words.rpartition(".")[2]
    arguments = dict(zip(_POSITIONS.get(name, ()), node.args, strict=False))
    arguments |= {each.arg: each.value for each in node.keywords if each.arg}
    loads = arguments.get("load_in_8bit")
    if isinstance(loads, ast.Constant) and loads.value is True:
        yield Call("load_in_8bit", {}, {})
    elif name in CALLS and (name not in _OF_NNCF or words == f"nncf.{name}" or words in imported):
        values = {key: _value(value) for key, value in arguments.items()}
        others = {key: ast.unparse(arguments[key]) for key, value in values.items() if value is ...}
        yield Call(name, {key: value for key, value in values.items() if value is not ...}, others)


def _value(node: ast.expr) -> Any:
    """Return a plain value, the name of a member of an enumeration, or ``...`` for all else."""
    match node:
        case ast.Attribute(attr=member, value=ast.Attribute() | ast.Name()) if member.isupper():
            return member.lower()
        case ast.Call(func=ast.Attribute(attr="IgnoredScope") | ast.Name(id="IgnoredScope"), keywords=given):
            inner = {each.arg: _value(each.value) for each in given if each.arg}
            return ... if any(value is ... for value in inner.values()) else inner
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return ...
