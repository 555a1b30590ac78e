"""Seccomp: system calls that no step needs, refused by the kernel before they begin.

A filter of classic BPF as in the kernel's documentation ("Seccomp BPF"). It must be in place before a
process has threads, because it binds the calling thread and those that come from it.
"""

import ctypes
import errno
import os
import platform
import struct
from dataclasses import dataclass

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _MODE_FILTER = 38, 22, 2
_LOAD, _EQUALS, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_AT_NUMBER, _AT_ARCHITECTURE, _AT_FIRST_ARGUMENT = 0, 4, 16
_X32 = 0x40000000
# CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET.
_NEW_NAMESPACES = 0x7E020000
_CLONE3 = 435
# The same everywhere: io_uring, pidfd_getfd, the new mount calls, memfd_secret, fchmodat2.
_EVERYWHERE = (425, 426, 427, 438, 428, 429, 430, 431, 432, 433, 442, 447, 452)


@dataclass(frozen=True, slots=True)
class _Machine:
    """A machine's audit number and the numbers of its calls.

    ``of_others`` take a process first and are refused for any but the caller itself (0).
    """

    audit: int
    clone: int
    refused: tuple[int, ...]
    of_others: tuple[int, ...]


# socket connect ptrace pivot_root mount umount2 init_module kexec_load kexec_file_load add_key request_key
# keyctl unshare perf_event_open open_by_handle_at setns process_vm_readv process_vm_writev kcmp
# finit_module bpf userfaultfd; then what Landlock leaves: the modes, owners and attributes of files
# (chmod chown lchown fchmod fchown fchmodat fchownat setxattr lsetxattr fsetxattr); then memory that
# outlives its process or that no limit counts (shmget msgget semget memfd_create); setpriority, ioprio_set.
_MACHINES = {
    "x86_64": _Machine(
        0xC000003E,
        56,
        (41, 42, 101, 155, 165, 166, 175, 246, 320, 248, 249, 250, 272, 298, 304, 308, 310, 311, 312, 313,
         321, 323, 90, 92, 94, 91, 93, 268, 260, 188, 189, 190, 29, 68, 64, 319, 141, 251),
        (302, 144, 142, 314),
    ),
    "aarch64": _Machine(
        0xC00000B7,
        220,
        (198, 203, 117, 41, 40, 39, 105, 104, 294, 217, 218, 219, 97, 241, 265, 268, 270, 271, 272, 273,
         280, 282, 52, 53, 54, 55, 5, 6, 7, 194, 186, 190, 279, 140, 30),
        (261, 119, 118, 274),
    ),
}  # fmt: skip


def known() -> bool:
    """Tell whether there is a filter for this machine."""
    return platform.machine() in _MACHINES


def _instruction(code: int, value: int, on_true: int = 0, on_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, on_true, on_false, value)


def _program(machine: _Machine) -> bytes:
    eperm, enosys = _ERRNO | errno.EPERM, _ERRNO | errno.ENOSYS
    program = [
        _instruction(_LOAD, _AT_ARCHITECTURE),
        _instruction(_EQUALS, machine.audit, 1, 0),
        _instruction(_RETURN, _KILL),
        _instruction(_LOAD, _AT_NUMBER),
        _instruction(_AT_LEAST, _X32, 0, 1),
        _instruction(_RETURN, _KILL),
        # The C library falls back to clone, whose flags a filter can read.
        _instruction(_EQUALS, _CLONE3, 0, 1),
        _instruction(_RETURN, enosys),
    ]
    for number in (*machine.refused, *_EVERYWHERE):
        program += [_instruction(_EQUALS, number, 0, 1), _instruction(_RETURN, eperm)]
    for number in machine.of_others:
        program += [
            _instruction(_EQUALS, number, 0, 4),
            _instruction(_LOAD, _AT_FIRST_ARGUMENT),
            _instruction(_EQUALS, 0, 1, 0),
            _instruction(_RETURN, eperm),
            _instruction(_RETURN, _ALLOW),
        ]
    program += [
        _instruction(_EQUALS, machine.clone, 0, 3),
        _instruction(_LOAD, _AT_FIRST_ARGUMENT),
        _instruction(_ANY_BIT, _NEW_NAMESPACES, 0, 1),
        _instruction(_RETURN, eperm),
        _instruction(_RETURN, _ALLOW),
    ]
    return b"".join(program)


def refuse() -> None:
    """Refuse network, tracing, mounts, namespaces, keys and loaders from now on; raises OSError."""
    machine = _MACHINES.get(platform.machine())
    if machine is None:
        raise OSError(errno.ENOSYS, f"no filter is written for {platform.machine()}", "seccomp")
    program = _program(machine)
    code = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in ((_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (_PR_SET_SECCOMP, _MODE_FILTER, header, 0, 0)):
        if libc.prctl(*arguments):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), "seccomp")
