"""What a child prints, in a file of its step: the beginning and the latest words, however much is between.

The zygote never reads it: what it read would be in the memory of every child that it forks later.
"""

import os
import stat
from pathlib import Path

_HEAD, _TAIL = 64 << 10, 256 << 10
_LONGEST = 512 << 10
_EVIDENCE = 4000


class ChildLog:
    """``descriptor`` is where a child writes to; it is the caller's to hand over."""

    def __init__(self, path: Path) -> None:
        self.descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        # A file that is opened to append to can only be appended to.
        self._mending = os.open(path, os.O_RDWR)

    def bound(self) -> None:
        """Take the middle out when there is too much; what moves does so in the kernel."""
        size = os.fstat(self._mending).st_size
        if size <= _LONGEST:
            return
        gap = f"\n… {size - _HEAD - _TAIL} bytes left out …\n".encode()
        os.pwrite(self._mending, gap, _HEAD)
        into, left = _HEAD + len(gap), _TAIL
        while left and (moved := os.copy_file_range(self._mending, self._mending, left, size - left, into)):
            into, left = into + moved, left - moved
        os.ftruncate(self._mending, into)

    def close(self) -> None:
        """Bound it a last time and let go of it."""
        self.bound()
        os.close(self._mending)
        os.close(self.descriptor)


def evidence(path: Path) -> str | None:
    """Return the last words of a log, or None; a link that somebody put in its place is not followed."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        info = os.fstat(file.fileno())
        if not stat.S_ISREG(info.st_mode):
            return None
        file.seek(max(info.st_size - _EVIDENCE, 0))
        return file.read(_EVIDENCE).decode(errors="replace") or None
