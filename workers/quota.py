"""How much a child has written: looked at now and then, because no limit of the kernel adds files up."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

_EVERY_S = 0.5
_MOST_ENTRIES, _DEEPEST = 50_000, 64
_BLOCK = 512


class Quota:
    """Watches the folder of one step; its inputs, which it cannot write, are not counted."""

    def __init__(self, folder: Path, bound: int) -> None:
        self.bound = bound
        self._folders = [folder / "out", folder / "tmp"]
        self._next_look = 0.0

    def exceeded(self, now: float, pid: int) -> bool:
        """Tell whether more than the bound is there; ``now`` is a monotonic time in seconds.

        Files that process ``pid`` has removed and holds open count; a folder that cannot be looked
        into, or is deep beyond reason, counts as too much.
        """
        if now < self._next_look:
            return False
        self._next_look = now + _EVERY_S
        total: float = sum(_unlinked(pid))
        for entries, size in enumerate(_sizes(self._folders), 1):
            total += size
            if total > self.bound or entries > _MOST_ENTRIES:
                return True
        return total > self.bound


def _sizes(folders: list[Path]) -> Iterator[float]:
    """Yield what each entry takes on the disk (holes take nothing); infinite for what is hidden."""
    waiting = [(str(folder), 0) for folder in folders]
    while waiting:
        path, depth = waiting.pop()
        try:
            entries = list(os.scandir(path))
        except FileNotFoundError:
            continue
        except OSError:
            yield float("inf")
            return
        if depth > _DEEPEST:
            yield float("inf")
            return
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                waiting.append((entry.path, depth + 1))
            yield _taken(entry.path)


def _taken(path: str) -> int:
    try:
        return Path(path).lstat().st_blocks * _BLOCK
    except OSError:
        return 0  # it was removed meanwhile


def _unlinked(pid: int) -> Iterator[int]:
    """Yield what files without a name take, as far as the process holds them open."""
    try:
        descriptors = list(os.scandir(f"/proc/{pid}/fd"))
    except OSError:
        return
    for descriptor in descriptors:
        try:
            info = Path(descriptor.path).stat()
        except OSError:
            continue
        if stat.S_ISREG(info.st_mode) and info.st_nlink == 0:
            yield info.st_blocks * _BLOCK
