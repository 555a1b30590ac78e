"""The shape that every document of the farm shares, and the small constrained types in them."""

from typing import Annotated
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    StringConstraints,
    ValidationInfo,
    WithJsonSchema,
)


class Document(BaseModel):
    """An immutable value that refuses what it does not know and numbers that JSON cannot carry."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


# The context in which a shape is read that was taken before: a stricter release judges it no more.
READ_BACK = {"read_back": True}


def is_read_back(info: ValidationInfo) -> bool:
    """Tell whether a validator looks at what was taken before."""
    return bool(info.context and info.context.get("read_back"))


def unsaid(value: object) -> bool:
    """Tell what nobody has said: without it in what is written, keys and rows stay what they were."""
    return not value


def _printable(text: str) -> str:
    """Refuse what a database or a terminal cannot keep: NUL, control characters, lone surrogates."""
    if any(ord(c) < 32 or ord(c) == 127 or 0xD800 <= ord(c) <= 0xDFFF for c in text):
        raise ValueError("holds a control character or half of a surrogate pair")
    return text


def shown(text: str) -> str:
    """Return a stranger's words as they can be shown: what steers a terminal is replaced."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


Shown = Annotated[str, BeforeValidator(shown)]
Text = Annotated[str, StringConstraints(max_length=200), AfterValidator(_printable)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]
Label = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._/-]{0,62}$")]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


def _inside(name: str) -> str:
    """Refuse a path that could lead out of its folder."""
    if any(part in {"", ".", ".."} for part in name.split("/")):
        raise ValueError("is not a path inside its own folder")
    return name


FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._/-]{1,200}$"), AfterValidator(_inside)]


def public_id(prefix: str, value: UUID) -> str:
    """Return the id that people see: ``job_`` and 32 hexadecimal digits."""
    return f"{prefix}_{value.hex}"


def parse_id(prefix: str, value: object) -> UUID:
    """Return the UUID of a public id; raises ValueError with the form that is expected."""
    if isinstance(value, UUID):
        return value
    head, _, digits = str(value).partition("_")
    if head != prefix or len(digits) != 32:
        raise ValueError(f"expected {prefix}_ and 32 hexadecimal digits")
    try:
        return UUID(hex=digits)
    except ValueError:
        raise ValueError(f"expected {prefix}_ and 32 hexadecimal digits") from None


def _schema(prefix: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": f"^{prefix}_[0-9a-f]{{32}}$"})


JobId = Annotated[
    UUID,
    BeforeValidator(lambda v: parse_id("job", v)),
    PlainSerializer(lambda v: public_id("job", v), return_type=str),
    _schema("job"),
]
ModelId = Annotated[
    UUID,
    BeforeValidator(lambda v: parse_id("mod", v)),
    PlainSerializer(lambda v: public_id("mod", v), return_type=str),
    _schema("mod"),
]
DatasetId = Annotated[
    UUID,
    BeforeValidator(lambda v: parse_id("dat", v)),
    PlainSerializer(lambda v: public_id("dat", v), return_type=str),
    _schema("dat"),
]
ArtifactId = Annotated[
    UUID,
    BeforeValidator(lambda v: parse_id("art", v)),
    PlainSerializer(lambda v: public_id("art", v), return_type=str),
    _schema("art"),
]
NodeId = Annotated[
    UUID,
    BeforeValidator(lambda v: parse_id("nod", v)),
    PlainSerializer(lambda v: public_id("nod", v), return_type=str),
    _schema("nod"),
]
