import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovfarm.hardware import Device, Isa, Offer, Versions
from ovfarm.keys import canonical_json, digest_of, step_key
from ovfarm.recipes import (
    Benchmark,
    Compress,
    Convert,
    Evaluate,
    IgnoredScope,
    Package,
    Quantize,
    StepParams,
)

OFFER = Offer(
    device=Device.CPU,
    device_name="Testium",
    isa=(Isa.VNNI,),
    memory_bytes=1 << 34,
    cores=2,
    versions=Versions(openvino="2026.4.1", nncf="3.4.0", python="3.11"),
)
SCOPE = IgnoredScope(types=("MatMul",))
INPUTS = {"model": "a" * 64, "calibration": "b" * 64}


def key(params: StepParams, offer: Offer = OFFER, **inputs: str) -> str:
    return step_key(params, INPUTS | inputs, offer)


def test_names_do_not_change_the_work() -> None:
    assert key(Quantize(name="a", model="x")) == key(Quantize(name="b", model="y"))


def test_one_parameter_one_byte_one_tool_is_other_work() -> None:
    newer = OFFER.versions.model_copy(update={"nncf": "3.4.1"})
    keys = {
        key(Quantize()),
        key(Quantize(subset_size=299)),
        key(Quantize(), calibration="c" * 64),
        key(Quantize(), OFFER.model_copy(update={"versions": newer})),
        key(Quantize(), OFFER.model_copy(update={"isa": ()})),
    }
    assert len(keys) == 5


def test_a_scope_that_need_not_match_is_other_work() -> None:
    loose = SCOPE.model_copy(update={"must_match": False})
    assert key(Quantize(ignored_scope=loose)) != key(Quantize(ignored_scope=SCOPE))


def test_place_counts_only_where_it_changes_the_outcome() -> None:
    other = OFFER.model_copy(update={"device_name": "Otherium", "isa": (), "cores": 4})
    assert key(Convert(), other) == key(Convert())
    assert key(Package(), other) == key(Package())
    assert key(Evaluate(), other) != key(Evaluate())
    assert key(Benchmark(), OFFER.model_copy(update={"cores": 1.5})) != key(Benchmark())
    assert key(Evaluate(), OFFER.model_copy(update={"cores": 1.5})) == key(Evaluate())
    half = OFFER.model_copy(update={"default_precision": "bf16"})
    assert key(Evaluate(), half) == key(Evaluate())
    assert key(Evaluate(precision="default"), half) != key(Evaluate(precision="default"))


@pytest.mark.parametrize(
    ("params", "golden"),
    [
        (Convert(), "f5da95f73393b71594786c587b14f127d13f2fd332ea982edb70e8c76e9f2f2f"),
        (Quantize(), "851e6c7ed73ad987f572e0c76731613955f235b0c19c1d72e0e7cac6f401400c"),
        (Quantize(ignored_scope=SCOPE), "877d79ed5028bd9d59a8a3e97a09979e7d6a4f2b7f9be61473645bda104bbe7d"),
        (Compress(), "01b8f692922360abae66b32133ffc6381548625ee8885c1382f6d3d997f17a43"),
        (
            Compress(mode="int4_sym", ignored_scope=SCOPE),
            "f6af806e86d8d5e6e522ee37e2b01178fbd5bf81cc9b09ec3c308af06722493a",
        ),
    ],
)
def test_keys_stay_what_they_were(params: StepParams, golden: str) -> None:
    assert key(params) == golden


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=5))
def test_the_canonical_spelling_ignores_order(value: dict[str, int | str]) -> None:
    backwards = dict(reversed(value.items()))
    assert canonical_json(dict(value)) == canonical_json(dict(backwards))
    assert digest_of(dict(value)) == digest_of(dict(backwards))
