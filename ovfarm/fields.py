"""Which fields a document may have, and what is wrong with one that has others, in words for people."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

Place = Sequence[int | str]
_Schema = Mapping[str, Any]
_NO_CHOICE = frozenset({"union_tag_invalid", "union_tag_not_found"})


def fields(model: type[BaseModel], place: Place = ()) -> set[str] | None:
    """Return the fields that may stand at a place of a document; None where they may have any name.

    What has no parts has none: the set is empty.
    """
    found = _at(_schema(model), place)
    if any(_open(schema) for schema in found):
        return None
    return {name for schema in found for name in schema.get("properties", {})}


def place_of(found: ErrorDetails, model: type[BaseModel]) -> list[int | str]:
    """Return where a mistake is in the document, without the choices that pydantic names on the way."""
    whole, place = _schema(model), found["loc"]
    unknown = place[-1:] if found["type"] == "extra_forbidden" else ()
    at, own = [whole], list[int | str]()
    for part in place[: len(place) - len(unknown)]:
        chosen = [below for schema in at for below in _chosen(schema, part, whole)]
        inside = [below for schema in at for below in _inside(schema, part, whole)]
        own += [part] if inside and not chosen else []
        at = chosen or inside or at
    return [*own, *unknown, *_chooser(found, model)]


@cache
def _schema(model: type[BaseModel]) -> _Schema:
    return model.model_json_schema()


def _at(whole: _Schema, place: Place) -> list[_Schema]:
    """Return the schemas of what stands at a place; pydantic names the choices on the way there, too."""
    found: list[_Schema] = [whole]
    for part in place:
        found = [
            below
            for schema in found
            for below in (*_chosen(schema, part, whole), *_inside(schema, part, whole))
        ]
    return [each for schema in found for each in _choices(schema, whole)]


def _chosen(schema: _Schema, part: int | str, whole: _Schema) -> Iterator[_Schema]:
    """Yield what may stand in a schema's place under this name: a kind of step, or a model."""
    for each in _choices(schema, whole):
        if part in each.get("discriminator", {}).get("mapping", {}):
            yield {"$ref": each["discriminator"]["mapping"][part]}
        elif part == each.get("title"):
            yield each


def _inside(schema: _Schema, part: int | str, whole: _Schema) -> Iterator[_Schema]:
    """Yield what a document's own part of this name or number is."""
    for each in _choices(schema, whole):
        if isinstance(part, int):
            yield from (each["items"],) if "items" in each else each.get("prefixItems", ())[part : part + 1]
        elif part in each.get("properties", {}):
            yield each["properties"][part]
        else:
            yield from _open(each)


def _open(schema: _Schema) -> list[_Schema]:
    """Return what fields of any name are, where there may be such."""
    named = schema.get("patternProperties", {}).values()
    return [each for each in (schema.get("additionalProperties"), *named) if isinstance(each, dict)]


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
    where = ".".join(map(str, place_of(found, model) if model else found["loc"]))
    return f"{where}: {words(found, model)}" if where else words(found, model)


def words(found: ErrorDetails, model: type[BaseModel] | None) -> str:
    """Return what is wrong at one place; of a name that is not known, those of the model that are."""
    place, kind = found["loc"], found["type"]
    if kind == "extra_forbidden" and model is not None:
        return f"there is no field {place[-1]!r}{among(str(place[-1]), fields(model, place[:-1]) or ())}"
    if kind in _NO_CHOICE and model is not None:
        (field,), tag = _chooser(found, model), str(found["ctx"].get("tag", ""))
        known = _at(_schema(model), place)[0]["discriminator"]["mapping"]
        return f"there is no {field} {tag!r}{among(tag, known)}" if tag else f"is missing{among('', known)}"
    # What the farm itself refuses pydantic calls a value error.
    return found["msg"].removeprefix("Value error, ")


def _chooser(found: ErrorDetails, model: type[BaseModel]) -> list[str]:
    """Return the field that tells which of several is meant, where the mistake is about that."""
    if found["type"] not in _NO_CHOICE:
        return []
    return [
        each["discriminator"]["propertyName"]
        for each in _at(_schema(model), found["loc"])
        if "discriminator" in each
    ][:1]


def among(name: str, known: Collection[str]) -> str:
    """Return which names there are and which of them may have been meant, to follow a sentence."""
    close = get_close_matches(name, sorted(known), 1)
    meant = f"; did you mean {close[0]!r}?" if close else ";"
    return f"{meant} there are: {', '.join(sorted(known))}" if known else ""
