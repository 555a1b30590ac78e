"""What can go wrong, one function each: it strikes, says what it did, and mends what must be mended."""

import contextlib
import random
import resource
import shutil
import signal
import threading
from collections.abc import Callable

import psutil
import psycopg

from api.bell import bell
from ovfarm.errors import Unavailable
from ovfarm.teams import CollectGarbage
from storage.garbage import collect
from tests.chaos.proxy import Mood
from tests.chaos.world import LEASE_S, Kind, World, faketime

Fault = Callable[[World, random.Random], str]
_FULL_BYTES = 64 << 10


def _later(world: World, seconds: float, mend: Callable[[], None]) -> None:
    timer = threading.Timer(seconds, mend)
    timer.daemon = True
    timer.start()
    world.mending.append(timer)


def _victim(world: World, dice: random.Random) -> str:
    return dice.choice(sorted(set(world.workers) - world.stopped) or sorted(world.workers))


def kill_worker(world: World, dice: random.Random) -> str:
    name = _victim(world, dice)
    world.workers[name].kill()
    return f"kill -9 {name}"


def end_worker(world: World, dice: random.Random) -> str:
    name = _victim(world, dice)
    world.workers[name].terminate()
    return f"SIGTERM to {name}"


def stop_worker(world: World, dice: random.Random) -> str:
    """Pause a node for longer than its lease: a zombie wakes."""
    name = _victim(world, dice)
    process = world.workers[name]
    process.send_signal(signal.SIGSTOP)
    world.stopped.add(name)

    def resume() -> None:
        process.send_signal(signal.SIGCONT)
        world.stopped.discard(name)

    _later(world, 1.6 * LEASE_S, resume)
    return f"SIGSTOP {name} for 1.6 leases"


def skew_worker(world: World, dice: random.Random) -> str:
    """Start a node again with a clock that is ten minutes off."""
    name, offset = _victim(world, dice), dice.choice(("+10m", "-10m"))
    world.extra[name].update(faketime(offset))
    world.workers[name].kill()
    return f"{name} restarts with its clock {offset} off"


def fail_upload(world: World, dice: random.Random) -> str:
    name = _victim(world, dice)
    world.extra[name]["OVFARM_FAIL"] = f"uploaded:error:{dice.randint(1, 3)}"
    world.workers[name].terminate()
    return f"{name} restarts, and one of its uploads fails"


def fill_disk(world: World, dice: random.Random) -> str:
    """Let a live node write no file beyond some bytes, as on a full disk, for two seconds."""
    name = _victim(world, dice)
    pid = world.workers[name].pid
    _limit(pid, _FULL_BYTES)
    _later(world, 2.0, lambda: _limit(pid, resource.RLIM_INFINITY))
    return f"the disk of {name} is full for 2 s"


def _limit(pid: int, size: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
        of_it = [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
        for one in of_it if size == resource.RLIM_INFINITY else [pid]:
            # A step has a bound of its own, which not even root may raise everywhere.
            _, hard = resource.prlimit(one, resource.RLIMIT_FSIZE)
            soft = hard if size == resource.RLIM_INFINITY else size
            resource.prlimit(one, resource.RLIMIT_FSIZE, (soft, hard))


def kill_api(world: World, dice: random.Random) -> str:
    del dice
    world.stack.api.kill()
    return "kill -9 of the API"


def double_rings(world: World, dice: random.Random) -> str:
    ring, count = bell(world.settings()), dice.randint(20, 100)
    for _ in range(count):
        ring("cpu")
    return f"{count} rings too many"


def drop_rings(world: World, dice: random.Random) -> str:
    del dice
    if world.services.redis is not None:
        with contextlib.suppress(OSError):
            world.services.redis.say("FLUSHALL")
        return "FLUSHALL"
    shutil.rmtree(world.stack.home / "broker" / "messages", ignore_errors=True)
    (world.stack.home / "broker" / "messages").mkdir(exist_ok=True)
    return "all rings are lost"


def collect_garbage(world: World, dice: random.Random) -> str:
    """Collect while everybody works, with a grace that only the young survive by."""
    del dice
    order = CollectGarbage(apply=True, grace_s=30.0)
    database = world.database()
    try:
        found = collect(database, world.blobs(), world.stack.home, order)
    except Unavailable as away:
        return f"a collection that broke off: {away.message[:60]}"
    finally:
        database.close()
    return f"a collection: {found.blobs} blobs"


def restart_redis(world: World, dice: random.Random) -> str:
    redis = world.services.redis
    assert redis is not None
    redis.kill()
    seconds = dice.uniform(0.5, 2.0)
    _later(world, seconds, redis.start)
    return f"Redis is killed for {seconds:.1f} s"


def crash_postgres(world: World, dice: random.Random) -> str:
    postgres = world.services.postgres
    assert postgres is not None
    postgres.stop(signal.SIGQUIT)
    world.leaving.wait(dice.uniform(0.2, 1.5))
    postgres.start()
    return "Postgres crashes and recovers"


def kill_backend(world: World, dice: random.Random) -> str:
    """End the connections of some processes in whatever they are doing."""
    del dice
    postgres = world.services.postgres
    assert postgres is not None
    with psycopg.connect(f"{postgres.url.replace('+psycopg', '')}/postgres", autocommit=True) as connection:
        rows = connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'farm'"
        )
        return f"{len(rows.fetchall())} database connections are cut"


def slow_store(world: World, dice: random.Random) -> str:
    return _store(world, Mood.SLOW, dice.uniform(1, 4))


def refuse_store(world: World, dice: random.Random) -> str:
    said = _store(world, Mood.REFUSE, dice.uniform(1, 4))
    if world.services.store is not None:
        world.services.store.cut()
    return said


def _store(world: World, mood: Mood, seconds: float) -> str:
    store = world.services.store
    assert store is not None
    store.mood = mood
    _later(world, seconds, lambda: setattr(store, "mood", Mood.KIND))
    return f"the store is {mood} for {seconds:.1f} s"


COMMON: tuple[Fault, ...] = (
    kill_worker, kill_worker, stop_worker, end_worker, fail_upload, fill_disk, kill_api, double_rings,
    drop_rings, collect_garbage,
)  # fmt: skip
OF_THE_SCALE: tuple[Fault, ...] = (
    restart_redis, crash_postgres, kill_backend, slow_store, refuse_store, skew_worker,
)  # fmt: skip


def faults(kind: Kind) -> tuple[Fault, ...]:
    """Return what can strike a stack; on files, where all share one clock, none is skewed."""
    return COMMON if kind is Kind.EMBEDDED else (*COMMON, *OF_THE_SCALE)
