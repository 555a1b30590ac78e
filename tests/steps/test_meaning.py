"""What an output holds is told by the words of its name, and its own scale says what a difference is."""

from pathlib import Path

import numpy as np
import pytest
from openvino import opset13 as ops

from ovfarm.recipes import Evaluate
from tests.steps.conftest import Benches
from tests.steps.makers import dataset, saved
from tests.steps.test_outputs import Build, model, times
from workers.kit import classification, gates
from workers.kit.classification import Kind
from workers.steps import evaluate


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("logits", Kind.CLASSES),
        ("logits_per_image", Kind.CLASSES),
        ("image_class", Kind.CLASSES),
        ("features/classifier/BiasAdd:0", Kind.UNKNOWN),
        ("resample/out", Kind.UNKNOWN),
        ("last_hidden_state", Kind.NUMBERS),
        ("imageFeatures", Kind.NUMBERS),
        ("text_embeds", Kind.NUMBERS),
        ("pred_boxes", Kind.NUMBERS),
        ("predicted_depth", Kind.NUMBERS),
        ("out_sample", Kind.NUMBERS),
        ("y", Kind.UNKNOWN),
    ],
)
def test_a_name_tells_by_the_words_of_its_last_part(name: str, kind: Kind) -> None:
    made = model([-1, 8], times(4, 0), names=(name,))
    assert classification.meaning(made.outputs[0]).kind is kind


def unlikely(shift: float) -> Build:
    """Return a sigmoid near zero, of which little is left to vary."""
    return lambda x: ops.sigmoid(ops.add(times(2, 1)(x), ops.constant(np.float32(shift))))


def test_a_chance_near_zero_does_not_decide_for_all(tmp_path: Path, bench: Benches) -> None:
    """An output that hardly varies has little spread, and a small difference is much of little."""
    rows = dataset(
        tmp_path / "rows", x=0.05 * np.random.default_rng(5).normal(size=(64, 8)).astype(np.float32)
    )
    mine, theirs = (
        saved(
            tmp_path / str(shift), model([-1, 8], times(4, 0), unlikely(shift), names=("logits", "objects"))
        )
        for shift in (-12.0, -10.0)
    )
    made = bench(model=mine, reference=theirs, evaluation=rows)
    evaluate.run(Evaluate(max_drop=0.01), made)
    assert gates.read(made.outputs).passed
