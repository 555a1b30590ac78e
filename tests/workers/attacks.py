"""What a hostile step might try on its node: a zygote that has imported this runs them in place of probes."""

import ctypes
import gc
import json
import os
import resource
import signal
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path

from ovfarm.recipes import Probe
from ovfarm.results import StepResult
from workers.offspring import Offspring
from workers.protocol import Bench
from workers.steps import probe

MIB = b"x" * (1 << 20)
_SHM = {"x86_64": 29, "aarch64": 194}
Attack = Callable[[Bench], None]


def _reply(body: bytes) -> None:
    """Say something on the socket that the reply goes over."""
    for fd in range(3, 64):
        try:
            channel = socket.socket(fileno=os.dup(fd))
        except OSError:
            continue
        channel.setblocking(True)
        channel.sendall(struct.pack("!I", len(body)) + body)


def die_of_a_nameless_signal(_: Bench) -> None:
    os.kill(os.getpid(), 40)
    time.sleep(5)


def die_while_reading(bench: Bench) -> None:
    bench.report("read", 0, 1)
    time.sleep(0.2)
    os.kill(os.getpid(), signal.SIGSEGV)


def reply_with_another_frame(_: Bench) -> None:
    _reply(json.dumps({"frame": "escapes", "open": [], "shut": []}).encode())
    os._exit(0)


def reply_just_below_the_bound(_: Bench) -> None:
    failure = {"class": "user", "code": "crashed", "message": "m", "evidence": "e"}
    body = json.dumps({"frame": "failure", "failure": failure})
    _reply(body.encode() + b" " * ((1 << 20) - len(body)))
    long = {
        "frame": "result",
        "result": {"notes": [{"code": "emulated", "message": "x" * ((1 << 20) - 200)}]},
    }
    _reply(json.dumps(long).encode())
    os._exit(0)


def nest_folders(bench: Bench) -> None:
    os.chdir(bench.outputs)
    for _ in range(1100):
        os.mkdir("d")  # noqa: PTH102 - deeper than a path can be
        os.chdir("d")
    time.sleep(20)


def hide_a_folder(bench: Bench) -> None:
    (bench.outputs / "d").mkdir(mode=0o300)
    for number in range(16):
        (bench.outputs / "d" / str(number)).write_bytes(MIB)
    time.sleep(20)


def write_without_a_name(bench: Bench) -> None:
    with (bench.outputs / "f").open("wb") as file:
        (bench.outputs / "f").unlink()
        for _ in range(64):
            file.write(MIB)
        file.flush()
        time.sleep(20)


def leave_countless_files(bench: Bench) -> None:
    for number in range(60_000):
        (bench.outputs / str(number)).touch()
    time.sleep(20)


def fill_the_namespace(_: Bench) -> None:
    while True:
        os.fork()


def outrun_the_undertaker(bench: Bench) -> None:
    """Leave a process that is always just being born: its parent is gone before it can be killed."""
    if os.fork() == 0:
        while True:
            if os.fork():
                os._exit(0)
            os.setsid()
    (bench.outputs / "probe.json").write_text("{}")


def _refused(work: Callable[[], object]) -> None:
    try:
        work()
    except PermissionError:
        return
    raise RuntimeError("it went through")


def change_a_mode(bench: Bench) -> None:
    _refused(lambda: bench.outputs.parent.parent.chmod(0))


def limit_the_zygote(_: Bench) -> None:
    _refused(lambda: resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (3, 3)))


def slow_the_zygote(_: Bench) -> None:
    idle = os.sched_param(0)
    _refused(lambda: os.sched_setscheduler(os.getppid(), os.SCHED_IDLE, idle))
    _refused(lambda: os.setpriority(os.PRIO_PROCESS, os.getppid(), 19))


def leave_memory_behind(_: Bench) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.shmget(0, 1 << 20, 0o1666) >= 0:
        raise RuntimeError("it went through")
    _refused(lambda: os.memfd_create("x"))


def run_what_it_wrote(bench: Bench) -> None:
    program = bench.outputs / "program"
    descriptor = os.open(program, os.O_WRONLY | os.O_CREAT, 0o755)
    os.write(descriptor, Path("/bin/true").read_bytes())
    os.close(descriptor)
    _refused(lambda: os.execv(program, [str(program)]))  # noqa: S606 - it must not start


def look_at_siblings(_: Bench) -> None:
    if any(isinstance(each, Offspring) and vars(each) for each in gc.get_objects()):
        raise RuntimeError("it went through")


ATTACKS: dict[str, Attack] = {
    attack.__name__: attack
    for attack in (
        die_of_a_nameless_signal, die_while_reading, reply_with_another_frame, reply_just_below_the_bound,
        nest_folders, hide_a_folder, write_without_a_name, leave_countless_files, fill_the_namespace,
        outrun_the_undertaker, change_a_mode,
        limit_the_zygote, slow_the_zygote, leave_memory_behind, run_what_it_wrote, look_at_siblings,
    )
}  # fmt: skip
_probe = probe.run


def _run(params: Probe, bench: Bench) -> StepResult:
    attack = ATTACKS.get(params.token)
    if attack is None:
        return _probe(params, bench)
    attack(bench)
    return StepResult()


probe.run = _run
