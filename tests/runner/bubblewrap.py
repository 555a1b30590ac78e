"""Bubblewrap for the tests of the sandbox: what is there, else (Debian, root) what is installed."""

import shutil

from tests.runner import apt


class NoBubblewrap(Exception):
    """There is no bubblewrap, and it could not be installed."""


def bubblewrap() -> None:
    """See that ``bwrap`` is there; raises NoBubblewrap."""
    if shutil.which("bwrap"):
        return
    if not apt.can_install():
        raise NoBubblewrap("bubblewrap is not installed; install it (Debian: apt-get install bubblewrap)")
    if words := apt.install("bubblewrap"):
        raise NoBubblewrap(words)
