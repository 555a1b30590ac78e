"""Which fields a document may have, and what is wrong with one that has others, in words for people."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

Place = Sequence[int | str]
_Schema = Mapping[str, Any]


def fields(model: type[BaseModel], place: Place = ()) -> set[str] | None:
    """Return the fields that may stand at a place of a document; None where they may have any name.

    What has no parts has none: the set is empty.
    """
    found = _at(_schema(model), place)
    if any(isinstance(schema.get("additionalProperties"), dict) for schema in found):
        return None
    return {name for schema in found for name in schema.get("properties", {})}


@cache
def _schema(model: type[BaseModel]) -> _Schema:
    return model.model_json_schema()


def _at(whole: _Schema, place: Place) -> list[_Schema]:
    """Return the schemas of what stands at a place; pydantic names the choices on the way there, too."""
    found: list[_Schema] = [whole]
    for part in place:
        found = [below for schema in found for below in _below(schema, part, whole)]
    return [each for schema in found for each in _choices(schema, whole)]


def _below(schema: _Schema, part: int | str, whole: _Schema) -> Iterator[_Schema]:
    for each in _choices(schema, whole):
        if isinstance(part, int):
            yield from (each["items"],) if "items" in each else each.get("prefixItems", ())[part : part + 1]
        elif part in each.get("discriminator", {}).get("mapping", {}):
            yield {"$ref": each["discriminator"]["mapping"][part]}
        elif part == each.get("title"):
            yield each
        elif part in each.get("properties", {}):
            yield each["properties"][part]
        elif isinstance(each.get("additionalProperties"), dict):
            yield each["additionalProperties"]


def _choices(schema: _Schema, whole: _Schema) -> Iterator[_Schema]:
    """Yield a schema and all that may stand in its place."""
    if "$ref" in schema:
        yield from _choices(whole["$defs"][schema["$ref"].rpartition("/")[2]], whole)
        return
    yield schema
    for several in ("anyOf", "oneOf", "allOf"):
        for each in schema.get(several, ()):
            yield from _choices(each, whole)


def mistake(invalid: ValidationError, *documents: type[BaseModel]) -> str:
    """Return the first mistake as ``where: what``; ``documents`` are those that it may be about."""
    found = invalid.errors(include_url=False)[0]
    model = next((each for each in documents if each.__name__ == invalid.title), None)
    where = ".".join(map(str, found["loc"]))
    return f"{where}: {words(found, model)}" if where else words(found, model)


def words(found: ErrorDetails, model: type[BaseModel] | None) -> str:
    """Return what is wrong at one place; of a field that is not known, those of the model that are."""
    if found["type"] == "extra_forbidden" and model is not None:
        place = found["loc"]
        return f"there is no field {place[-1]!r}{among(str(place[-1]), fields(model, place[:-1]) or ())}"
    # What the farm itself refuses pydantic calls a value error.
    return found["msg"].removeprefix("Value error, ")


def among(name: str, known: Collection[str]) -> str:
    """Return which names there are and which of them may have been meant, to follow a sentence."""
    close = get_close_matches(name, sorted(known), 1)
    meant = f"; did you mean {close[0]!r}?" if close else ";"
    return f"{meant} there are: {', '.join(sorted(known))}" if known else ""
