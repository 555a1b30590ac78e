"""Files of the object store, read a little at a time and only where somebody looks."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ovfarm.results import Manifest
from storage.blobs import Blobs

_BLOCK = 1 << 17


@dataclass(eq=False, slots=True)
class Stored:
    """One blob; its first and last blocks are kept, because several checks look at both."""

    blobs: Blobs
    digest: str
    size: int
    _kept: dict[tuple[int, int], bytes] = field(default_factory=dict)

    def at(self, start: int, length: int) -> bytes:
        """Return up to ``length`` bytes from ``start``; raises Unavailable."""
        length = min(length, self.size - start)
        if length <= 0:
            return b""
        if (start, length) not in self._kept:
            found = b"".join(self.blobs.stream(self.digest, start, length))
            if length > _BLOCK:
                return found
            self._kept[start, length] = found
        return self._kept[start, length]


def stored(blobs: Blobs, manifest: Manifest) -> Mapping[str, Stored]:
    """Return the files of a manifest by name."""
    return {name: Stored(blobs, entry.digest, entry.size) for name, entry in manifest.files.items()}
