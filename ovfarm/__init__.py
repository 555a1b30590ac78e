"""ovfarm: a farm that makes models fast on Intel hardware, with numbers you can trust."""

from typing import TYPE_CHECKING, Any

from ovfarm.version import VERSION

if TYPE_CHECKING:
    from ovfarm.local import convert_local

__all__ = ["VERSION", "convert_local"]


def __getattr__(name: str) -> Any:
    """Import ``convert_local`` when it is asked for: every module of the farm passes through here."""
    if name == "convert_local":
        from ovfarm.local import convert_local  # noqa: PLC0415 - see above

        return convert_local
    raise AttributeError(name)
