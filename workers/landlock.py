"""Landlock: the kernel's bound on which paths this process, and all that it starts, can ever touch.

The layout of the structures and the numbers are those of ``linux/landlock.h`` (kernel documentation,
"Landlock: unprivileged access control"); the system calls have one number on every machine.
"""

import ctypes
import os
import struct
from collections.abc import Iterable
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG = 1
_RULE_PATH_BENEATH = 1
_PR_SET_NO_NEW_PRIVS = 38
_EXECUTE = 0b1
_READ = 0b1101  # execute, read files, list folders
_OF_FILES = 0b111 | 1 << 14 | 1 << 15  # execute, write, read, truncate, ioctl: all that a file can have
# How many rights on files each version knows: truncate came with 3, ioctl on devices with 5.
_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}
_RIGHTS_SINCE_5 = 16
_NETWORK, _SCOPE = 0b11, 0b11  # TCP bind and connect; abstract sockets and signals


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _done(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "landlock")
    return result


def abi() -> int:
    """Return the version of Landlock that this kernel has; 0 when it has none."""
    version = _libc().syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION_FLAG))
    return max(int(version), 0)


def restrict(*, read: Iterable[Path], write: Iterable[Path]) -> None:
    """Leave this process ``read`` to read and run, ``write`` to read and write; the rest is gone for good.

    What is given and does not exist is left out. TCP, signals to processes outside and abstract
    sockets go as well where the kernel knows how. Raises OSError when Landlock is not there.
    """
    version = abi()
    files = (1 << _RIGHTS.get(version, _RIGHTS_SINCE_5)) - 1
    ruleset = _ruleset(version, files)
    try:
        for paths, rights in ((read, _READ), (write, files & ~_EXECUTE)):
            for path in paths:
                if path.exists():
                    _allow(ruleset, path, rights & files)
        _done(_libc().prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        _done(_libc().syscall(_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0)))
    finally:
        os.close(ruleset)


def _ruleset(version: int, files: int) -> int:
    attributes = struct.pack("=QQQ", files, _NETWORK if version >= 4 else 0, _SCOPE if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    return _done(
        _libc().syscall(_CREATE_RULESET, attributes[:size], ctypes.c_size_t(size), ctypes.c_uint32(0))
    )


def _allow(ruleset: int, path: Path, rights: int) -> None:
    handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = struct.pack("=Qi", rights if path.is_dir() else rights & _OF_FILES, handle)
        _done(
            _libc().syscall(
                _ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(_RULE_PATH_BENEATH), rule, ctypes.c_uint32(0)
            )
        )
    finally:
        os.close(handle)
