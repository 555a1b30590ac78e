"""What an old configuration did not say: the defaults of its tool, and the units of its numbers."""

import json

import pytest

from ovfarm.translation import translate
from tests.core.test_translation import POT, quantize


@pytest.mark.parametrize(
    ("drop", "more"), [(0.5, "if the metric was from 0 to 1, set max_drop=0.5"), (2, "")]
)
def test_an_absolute_drop_is_said_to_be_read_as_per_cent(drop: float, more: str) -> None:
    config = {
        "compression": {"algorithm": "quantization"},
        "accuracy_aware_training": {
            "params": {
                "maximal_absolute_accuracy_degradation": drop, "maximal_relative_accuracy_degradation": 3,
            }
        },
    }  # fmt: skip
    control = quantize(json.dumps(config)).accuracy
    assert control is not None
    assert (control.max_drop, control.drop_type) == (drop / 100, "absolute")
    said = " | ".join(translate(json.dumps(config)).notes)
    assert f"an absolute drop of {drop:g} was read as per cent: max_drop {drop / 100:g}" in said
    assert more in said
    assert "maximal_relative_accuracy_degradation=3" in said


def test_what_an_old_configuration_left_to_its_tool_is_what_it_was() -> None:
    """Today's defaults are others: mixed, 300 rows."""
    bare = {"compression": {"algorithms": [{"name": "DefaultQuantization", "params": {}}]}}
    step = quantize(json.dumps(bare))
    assert (step.preset, step.subset_size, step.advanced.overflow_fix) == ("performance", 100_000, None)
    assert "what POT took by itself is written out: preset=performance, subset_size=100000" in "".join(
        translate(json.dumps(bare)).notes
    )
    step = quantize('{"compression": {"algorithm": "quantization"}}')
    assert (step.preset, step.subset_size, step.advanced.overflow_fix) == ("performance", 256, "enable")
    assert "what NNCF took by itself is written out: preset=performance, subset_size=256" in "".join(
        translate('{"compression": {"algorithm": "quantization"}}').notes
    )
    asked = '{"compression": {"algorithm": "quantization", "preset": "mixed", "target_device": "VPU"}}'
    step = quantize(asked)
    assert (step.preset, step.subset_size, step.advanced.overflow_fix) == ("mixed", 256, None)
    wide = '{"compression": {"algorithm": "quantization", "activations": {"bits": 16}}}'
    assert quantize(wide).advanced.overflow_fix is None


def test_pots_preset_accuracy_becomes_the_nearest_and_that_is_said() -> None:
    old = POT.replace("preset: performance", "preset: accuracy")
    assert quantize(old).preset == "mixed"
    assert "preset accuracy had asymmetric weights" in " | ".join(translate(old).notes)


def test_accuracy_aware_training_without_a_bound_had_one() -> None:
    config = {"compression": {"algorithm": "quantization"}, "accuracy_aware_training": {"mode": "early_exit"}}
    control = quantize(json.dumps(config)).accuracy
    assert control is not None
    assert (control.max_drop, control.drop_type) == (0.01, "relative")
