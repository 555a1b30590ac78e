import json
import shutil
from pathlib import Path

import openvino as ov
import pytest

from ovfarm.recipes import Benchmark
from ovfarm.results import Verdict
from tests.steps.conftest import Benches, network
from workers.kit import device, model_cache
from workers.protocol import StepFailed
from workers.steps import benchmark

FIXTURES = Path(__file__).parents[1] / "fixtures"
QUICK = Benchmark(time_budget_s=1.2)


@pytest.fixture
def large(tmp_path: Path) -> Path:
    folder = tmp_path / "large"
    folder.mkdir()
    ov.save_model(network(hidden=200_000), folder / "model.xml", compress_to_fp16=False)
    return folder


def test_three_arms_with_intervals_and_samples(model: Path, bench: Benches) -> None:
    made = bench(model=model, reference=model)
    result = benchmark.run(QUICK, made)
    latencies = {m.subject: m for m in result.measurements if m.name == "latency"}
    assert set(latencies) == {"reference_f32", "reference_default", "candidate"}
    assert latencies["reference_f32"].conditions.precision == "f32"
    for latency in latencies.values():
        assert 0 < (latency.ci_low or 0) <= latency.value <= (latency.ci_high or 0)
        assert latency.conditions.properties["PERFORMANCE_HINT"] == "LATENCY"
        assert latency.conditions.threads
    raw = json.loads((made.outputs / "samples.json").read_text())
    assert {len(rounds) for rounds in raw["rounds"].values()} == {len(raw["rounds"]["candidate"])}
    samples = sum(len(block) for block in raw["rounds"]["candidate"])
    assert samples == latencies["candidate"].conditions.samples
    names = {m.name for m in result.measurements}
    assert {"latency_p90", "latency_p95", "latency_p99", "compile_time", "load_time", "peak_memory"} <= names


def test_a_model_cache_is_measured_where_it_is_asked_for(
    large: Path, bench: Benches, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = bench(model=large, reference=large)
    asked = QUICK.model_copy(update={"model_cache": True})
    result = benchmark.run(asked, made)
    (cached,) = (m for m in result.measurements if m.name == "load_time_cached")
    assert (cached.subject, cached.unit) == ("candidate", "s")
    assert cached.value > 0
    assert "set CACHE_DIR" in next(note.message for note in result.notes if note.code == "model_cache")
    assert [path.name for path in made.outputs.iterdir()] == ["samples.json"], "the cache stays behind"
    assert "slow_to_load" not in {note.code for note in benchmark.run(QUICK, made).notes}
    monkeypatch.setattr(model_cache, "SLOW_S", 0.0)
    assert "slow_to_load" in {note.code for note in benchmark.run(QUICK, made).notes}


def test_throughput_keeps_several_requests_in_flight(model: Path, bench: Benches) -> None:
    params = QUICK.model_copy(update={"hint": "throughput"})
    result = benchmark.run(params, bench(model=model, reference=model))
    for found in (m for m in result.measurements if m.name == "throughput"):
        assert found.conditions.hint == "throughput"
        assert found.conditions.batch == 8
        assert found.conditions.requests == int(
            found.conditions.properties["OPTIMAL_NUMBER_OF_INFER_REQUESTS"]
        )
        assert str(found.conditions.streams) == found.conditions.properties["NUM_STREAMS"]
        assert 0 < (found.ci_low or 0) <= found.value <= (found.ci_high or 0)
    own = benchmark.run(
        QUICK.model_copy(update={"hint": "throughput", "batch": 4}), bench(model=model, reference=model)
    )
    assert {m.conditions.batch for m in own.measurements if m.name == "throughput"} == {4}


def test_the_default_hint_is_none(model: Path, bench: Benches) -> None:
    result = benchmark.run(QUICK.model_copy(update={"hint": "default"}), bench(model=model, reference=model))
    latency = next(m for m in result.measurements if m.name == "latency")
    assert (latency.conditions.requests, latency.conditions.batch) == (1, 1)


def test_a_thousand_times_smaller_model_is_faster_and_the_other_way_round(
    model: Path, large: Path, bench: Benches
) -> None:
    assert benchmark.run(QUICK, bench(model=model, reference=large)).verdict is Verdict.FASTER
    assert benchmark.run(QUICK, bench(model=large, reference=model)).verdict is Verdict.SLOWER


def test_a_model_is_not_faster_than_itself(model: Path, bench: Benches) -> None:
    lenient = QUICK.model_copy(update={"margin": 0.5})
    verdict = benchmark.run(lenient, bench(model=model, reference=model)).verdict
    assert verdict in {Verdict.EQUIVALENT, Verdict.INCONCLUSIVE}


def test_a_fixed_batch_cannot_be_changed(tmp_path: Path, bench: Benches) -> None:
    fixed = network()
    fixed.reshape([2, 16])
    folder = tmp_path / "fixed"
    folder.mkdir()
    ov.save_model(fixed, folder / "model.xml", compress_to_fp16=False)
    with pytest.raises(StepFailed, match="fixed at 2"):
        benchmark.run(Benchmark(batch=8), bench(model=folder, reference=folder))


def test_a_device_that_is_not_there_is_named(model: Path, bench: Benches) -> None:
    made = bench(model=model)
    elsewhere = type(made)(made.inputs, made.outputs, made.report, made.parts, openvino_device="NPU")
    with pytest.raises(StepFailed, match="no NPU"):
        device.compiled(network(), elsewhere, pin_f32=False)


def test_a_model_that_is_no_ir_is_timed_as_it_came(bench: Benches, tmp_path: Path) -> None:
    shutil.copy(FIXTURES / "tensorflow" / "network.tflite", tmp_path)
    result = benchmark.run(QUICK, bench(model=tmp_path, reference=tmp_path))
    assert result.verdict in set(Verdict)
    assert "one_network" not in {note.code for note in result.notes}
