"""An ordinary user for tests that must not run as root, on machines where everything else does."""

import os
import shlex
import stat
import sys
from pathlib import Path

UID = 65533


def as_ordinary_user(root: Path) -> list[str]:
    """Return what to put before a command; nothing when this is an ordinary user already.

    Where the interpreter or the checkout lie in a home that only root may enter, the command gets
    a view of its own of that home, with just these in it: a mount namespace, gone with the command.
    """
    if os.geteuid():
        return []
    needed = [Path(path).resolve() for path in dict.fromkeys((sys.base_prefix, sys.prefix, str(root)))]
    closed = {
        home: [path for path in needed if home in path.parents] for home in map(_closed, needed) if home
    }
    lines = ["set -e", "stage=$(mktemp -d)"]
    for home, paths in closed.items():
        lines += [
            f"mkdir $stage/{n} && mount --bind {shlex.quote(str(p))} $stage/{n}" for n, p in enumerate(paths)
        ]
        lines += [f"mount -t tmpfs -o mode=755 tmpfs {shlex.quote(str(home))}"]
        for number, path in enumerate(paths):
            lines += [
                f"mkdir -p {shlex.quote(str(path))} && mount --bind $stage/{number} {shlex.quote(str(path))}"
            ]
    lines += [f'exec setpriv --reuid={UID} --regid={UID} --clear-groups --inh-caps=-all -- "$@"']
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", "\n".join(lines), "sh"]


def _closed(path: Path) -> Path | None:
    """Return the topmost folder above ``path`` that others may not enter."""
    for above in reversed(path.parents):
        if not above.stat().st_mode & stat.S_IXOTH:
            return above
    return None
