"""ovfarm: a farm that makes models fast on Intel hardware, with numbers you can trust."""

from ovfarm.version import VERSION

__all__ = ["VERSION"]
