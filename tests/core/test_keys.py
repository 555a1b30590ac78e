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
        (Convert(), "15c8a99ee576937d78c76965a24f0eee9ec59d674776e19e7721b24d2be99b5f"),
        (Quantize(), "35ca8accaad2eec47dfb4a9eff490d80a397e0ed4e62940d41c443ff2ac51a74"),
        (Quantize(ignored_scope=SCOPE), "af7631c0ed22eeb25d74f7307cca38b6371f302a04065a6e1492fd38bcaa9141"),
        (Compress(), "95ce472c3264b7ce2961d338a62fd07b12de5c5721c235855fd4f03025062781"),
        (
            Compress(mode="int4_sym", ignored_scope=SCOPE),
            "42ed42924cf251b7ac9dfc93aa6786ca26cf721bd967bbe8ea6b28776a72688b",
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
