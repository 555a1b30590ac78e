"""Page tokens: where the next page begins, bound to the filter that it was made for."""

import base64
import binascii
from collections.abc import Collection

from pydantic import Field, ValidationError

from ovfarm.errors import InvalidInput
from ovfarm.shapes import Document


class _Place(Document):
    before: int = Field(ge=0, lt=1 << 63)
    states: tuple[str, ...]


def token(before: int, states: Collection[str]) -> str:
    """Return an opaque token for the page below ``before``."""
    place = _Place(before=before, states=tuple(sorted(states)))
    return base64.urlsafe_b64encode(place.model_dump_json().encode()).decode().rstrip("=")


def opened(text: str, states: Collection[str]) -> int:
    """Return where a page begins; raises InvalidInput for a token of another list."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        place = _Place.model_validate_json(raw)
    except (binascii.Error, ValueError, ValidationError):
        raise InvalidInput(
            "this is not a token that the farm has given", pointer="/page_token", code="bad_token"
        ) from None
    if place.states != tuple(sorted(states)):
        raise InvalidInput(
            "this token belongs to a list with another filter",
            pointer="/page_token",
            code="bad_token",
            hint="keep the filter from page to page, or begin again without a token",
        )
    return place.before
