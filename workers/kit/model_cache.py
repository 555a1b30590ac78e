"""What OpenVINO's model cache saves: the time in which a service that starts again has its model.

Source: docs.openvino.ai, "Model Caching Overview". A cache is of one device, driver and release, so it
travels with no package: whoever serves the model sets ``CACHE_DIR`` there.
"""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import openvino as ov

from ovfarm.recipes import Benchmark
from ovfarm.results import Measurement, Note, NoteCode, Unit
from workers.kit.arms import CANDIDATE, Arm
from workers.protocol import Bench

# Below it nobody who starts a service waits for its model.
SLOW_S = 1.0


def looked_at(params: Benchmark, bench: Bench, arm: Arm) -> tuple[Measurement | Note, ...]:
    """Return what is to be said of the time in which the candidate is ready; times in seconds."""
    ready_s = arm.load_s + arm.compile_s
    if params.model_cache:
        return tuple(_cached(bench, arm, ready_s))
    if ready_s > SLOW_S:
        words = f"it takes {ready_s:.1f} s to load and compile the model, each time that it is served anew"
        return (Note(code=NoteCode.SLOW_TO_LOAD, message=words),)
    return ()


def _cached(bench: Bench, arm: Arm, ready_s: float) -> Iterator[Measurement | Note]:
    """Yield how long it takes to read and import what the compiled model exports: what the cache does.

    The cache itself sets the mode of its files, which no sandboxed step may.
    """
    if "EXPORT_IMPORT" not in ov.Core().get_property(bench.openvino_device, "OPTIMIZATION_CAPABILITIES"):
        yield Note(code=NoteCode.MODEL_CACHE, message="this device keeps no cache of compiled models")
        return
    with tempfile.TemporaryDirectory(dir=bench.outputs) as cache:
        blob = Path(cache) / "blob"
        blob.write_bytes(arm.compiled.export_model().getbuffer())
        size = blob.stat().st_size
        began = time.perf_counter()
        ov.Core().import_model(blob.read_bytes(), bench.openvino_device)
        took_s = time.perf_counter() - began
    yield Measurement(name="load_time_cached", subject=CANDIDATE, value=took_s, unit=Unit.SECONDS)
    words = (
        f"from a model cache of {size / 1e6:.1f} MB it is ready in {took_s:.2f} s instead of {ready_s:.2f} s"
    )
    yield Note(code=NoteCode.MODEL_CACHE, message=f"{words}: set CACHE_DIR where it is served")
