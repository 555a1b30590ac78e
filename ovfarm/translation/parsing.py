"""Old configurations as they are shipped: JSON with comments and trailing commas, or YAML."""

import json
import re

import yaml

from ovfarm.errors import InvalidInput

# A string, whose words are no comments, or a comment of either kind, or a comma before the end of a section.
# What is never closed goes as far as it can: nothing is tried twice.
_STRING = r'"(?:\\.|[^"\\\n])*+"?'
_COMMENT = re.compile(rf"{_STRING}|//[^\n]*|/\*(?:[^*]|\*(?!/))*+(?:\*/)?", re.DOTALL)
_COMMA = re.compile(rf"{_STRING}|,(?=\s*[}}\]])")

_SECTION = re.compile(r"^compression\s*:", re.MULTILINE)
_HINT = "mend the place, and translate it again"


def parsed(text: str) -> object:
    """Return what JSON or YAML says, None for what is neither.

    Raises InvalidInput with the place where what begins as a configuration is wrong.
    """
    plain = _COMMA.sub(_blank, _COMMENT.sub(_blank, text))
    try:
        return json.loads(plain)
    except json.JSONDecodeError as refused:
        wrong = f"JSON: line {refused.lineno} column {refused.colno}: {refused.msg}"
    except (ValueError, RecursionError):
        wrong = "JSON: it is nested too deeply, or has a number of too many digits"
    try:
        found = yaml.safe_load(text)
    except yaml.MarkedYAMLError as refused:
        found, malformed = None, _place(refused)
    except (yaml.YAMLError, ValueError, RecursionError):
        found, malformed = None, "it cannot be read"
    if isinstance(found, dict):
        return found
    if plain.lstrip().startswith("{"):
        raise InvalidInput(f"this is not {wrong}", hint=_HINT)
    if found is None and _SECTION.search(text):
        raise InvalidInput(f"this is not YAML: {malformed}", hint=_HINT)
    return found


def _place(refused: yaml.MarkedYAMLError) -> str:
    mark = refused.problem_mark
    at = f"line {mark.line + 1} column {mark.column + 1}: " if mark else ""
    return f"{at}{refused.problem}"


def _blank(match: re.Match[str]) -> str:
    """Leave strings as they are, and blanks in place of all else, so that each place stays what it was."""
    words = match.group()
    return words if words.startswith('"') else re.sub(r"[^\n]", " ", words)
