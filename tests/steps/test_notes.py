"""What goes wrong in silence elsewhere is said aloud here, with its number, and with what helps."""

from pathlib import Path

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from ovfarm.advice import patched
from ovfarm.hints import HINTS
from ovfarm.patches import Patch
from ovfarm.results import Note, NoteCode
from tests.steps.conftest import network
from tests.steps.makers import X, dataset, saved, scaled, wired
from tests.steps.runs import Given
from tests.steps.test_methods import attention

CONVERT, EVALUATE = {"kind": "convert"}, {"kind": "evaluate"}
COARSE = {"kind": "compress", "mode": "int2_sym", "group_size": -1, "all_layers": True}


def user(tmp_path: Path, **data: dict[str, object]) -> Given:
    written = {role: dataset(tmp_path / role, **arrays) for role, arrays in data.items()}
    return Given(tmp_path, saved(tmp_path / "m", network()), **written)


def touching(note: Note, name: str) -> Patch:
    (found,) = (patch for patch in note.patches if name in patch.touched)
    return found


def test_accuracy_that_is_lost_is_said_with_both_numbers(tmp_path: Path) -> None:
    given = user(tmp_path, evaluation={})
    spec = given.spec([CONVERT, COARSE, EVALUATE])
    note = given.notes(spec)[NoteCode.ACCURACY_LOST]
    assert "from 100.00% (reference) to" in note.message
    assert "on 64 rows" in note.message
    assert note.hint == HINTS[NoteCode.ACCURACY_LOST].words
    assert touching(note, "compress.ratio").overrides == {"compress.ratio": 0.8}
    after = given.notes(patched(spec, touching(note, "recipe")))
    assert NoteCode.ACCURACY_LOST not in after


def test_outputs_that_are_far_are_said_without_labels(tmp_path: Path) -> None:
    given = user(tmp_path, evaluation={"x": X})
    spec = given.spec([CONVERT, COARSE, EVALUATE])
    note = given.notes(spec)[NoteCode.OUTPUTS_DIFFER]
    assert "cosine distance 0." in note.message
    assert NoteCode.OUTPUTS_DIFFER not in given.notes(patched(spec, touching(note, "recipe")))


def test_a_model_that_keeps_what_it_knows_is_not_complained_of(tmp_path: Path) -> None:
    given = user(tmp_path, evaluation={})
    notes = given.notes(given.spec([CONVERT, {"kind": "compress"}, EVALUATE]))
    assert not {NoteCode.ACCURACY_LOST, NoteCode.OUTPUTS_DIFFER} & notes.keys()


def test_a_transformer_that_nobody_told_is_told_by_its_patch(tmp_path: Path) -> None:
    x = np.random.default_rng(1).normal(size=(32, 8, 64)).astype(np.float32)
    given = Given(tmp_path, saved(tmp_path / "m", attention()), calibration=dataset(tmp_path / "d", x=x))
    spec = given.spec([CONVERT, {"kind": "quantize", "name": "q", "model_type": "other", "subset_size": 16}])
    note = given.notes(spec)[NoteCode.TRANSFORMER_NOT_TOLD]
    assert "1 attention layers" in note.message
    (patch,) = note.patches
    assert patch.overrides == {"q.model_type": "transformer"}
    assert NoteCode.TRANSFORMER_NOT_TOLD not in given.notes(patched(spec, patch))


def test_few_rows_to_calibrate_on_are_counted(tmp_path: Path) -> None:
    given = user(tmp_path, calibration={"x": X[:20]})
    spec = given.spec([CONVERT, {"kind": "quantize"}])
    note = given.notes(spec)[NoteCode.LITTLE_CALIBRATION_DATA]
    assert "calibrated on 20 rows" in note.message
    # All rows that there are were taken, so that more of them are no advice.
    assert [patch.recipe for patch in note.patches] == ["int8-weights"]
    without = patched(spec, touching(note, "recipe"))
    assert NoteCode.LITTLE_CALIBRATION_DATA not in given.notes(without)


def test_few_rows_to_judge_by_are_counted(tmp_path: Path) -> None:
    given = user(tmp_path, evaluation={"x": X[:29]})
    note = given.notes(given.spec([CONVERT, COARSE, EVALUATE]))[NoteCode.LITTLE_EVALUATION_DATA]
    assert note.message == "judged on 29 rows: one of them makes 3% of the result"
    enough = user(tmp_path / "more", evaluation={"x": X[:30]})
    assert NoteCode.LITTLE_EVALUATION_DATA not in enough.notes(enough.spec([CONVERT, COARSE, EVALUATE]))


def test_a_precision_that_was_not_asked_for_is_said(tmp_path: Path) -> None:
    """A CPU is given halved weights and computes in the precision that it likes best, without a word."""
    default = ov.compile_model(network(), "CPU").get_property("INFERENCE_PRECISION_HINT").get_type_name()
    given = user(tmp_path, evaluation={})
    halved = given.notes(
        given.spec([CONVERT, {"kind": "convert", "name": "half", "weights": "fp16"}, {"kind": "benchmark"}])
    )
    assert (NoteCode.REDUCED_PRECISION in halved) == (default != "f16")
    if default != "f16":
        told = halved[NoteCode.REDUCED_PRECISION].message
        assert told == f"the weights are FP16, and this device computes in {default}"


def vast(x: ov.Node) -> ov.Node:
    weights = np.full((16, 4), 1e6, np.float32)
    return ops.matmul(x, ops.constant(weights), transpose_a=False, transpose_b=False)


def test_weights_that_do_not_fit_the_type_asked_for_are_said(tmp_path: Path) -> None:
    given = Given(tmp_path, saved(tmp_path / "m", wired(vast)))
    spec = given.spec([{**CONVERT, "weights": "fp16"}])
    note = given.notes(spec)[NoteCode.WIDE_WEIGHTS]
    assert note.message == "NOT ALL WEIGHTS ARE IN fp16, as was asked: of 64 weights 64 are in f32"
    after = given.notes(patched(spec, touching(note, "convert.weights")))
    assert NoteCode.WIDE_WEIGHTS not in after
    fitting = user(tmp_path / "fitting")
    assert NoteCode.WIDE_WEIGHTS not in fitting.notes(fitting.spec([{**CONVERT, "weights": "fp16"}]))


def test_scales_in_half_precision_are_no_halved_weights(tmp_path: Path) -> None:
    given = user(tmp_path, evaluation={})
    small = {"kind": "compress", "mode": "int4_sym", "all_layers": True, "group_size": 16}
    notes = given.notes(given.spec([CONVERT, small, {"kind": "benchmark"}]))
    assert NoteCode.REDUCED_PRECISION not in notes


def test_accuracy_at_the_device_s_precision_names_it(tmp_path: Path) -> None:
    default = ov.compile_model(network(), "CPU").get_property("INFERENCE_PRECISION_HINT").get_type_name()
    given = user(tmp_path, evaluation={})
    spec = given.spec([CONVERT, {**EVALUATE, "precision": "default"}])
    notes = given.notes(spec)
    assert (NoteCode.REDUCED_PRECISION in notes) == (default != "f32")
    if default != "f32":
        assert f"computes in {default}" in notes[NoteCode.REDUCED_PRECISION].message
        (patch,) = notes[NoteCode.REDUCED_PRECISION].patches
        assert NoteCode.REDUCED_PRECISION not in given.notes(patched(spec, patch))


def test_no_step_halves_weights_that_it_was_not_told_to(tmp_path: Path) -> None:
    """OpenVINO writes FP16 unless told otherwise."""
    given = Given(tmp_path, saved(tmp_path / "m", wired(scaled)), calibration=dataset(tmp_path / "d"))
    ended = given.run(given.spec([CONVERT, {"kind": "quantize", "subset_size": 20}]))
    assert isinstance(ended, dict)
    assert ended["convert"].element_types == {"f32": 16 * 4 + 4}
    assert "f16" not in ended["quantize"].element_types
    assert ended["quantize"].element_types["i8"] == 16 * 4
