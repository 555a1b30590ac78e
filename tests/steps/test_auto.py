"""``auto`` takes optimum-intel's configuration of a model and names it; unknown models get INT8."""

import importlib
import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from ovfarm.advice import patched
from ovfarm.catalog import ModelFormat
from ovfarm.failures import Failure, FailureCode
from ovfarm.hardware import Toolkit
from ovfarm.jobs import JobSpec
from ovfarm.plan import SourceModel, plan
from ovfarm.recipes import Compress, Convert, IgnoredScope
from ovfarm.tuning import AdvancedCompression
from tests.core.test_plan import MODEL
from tests.coverage.architectures import BY_NAME, build
from tests.steps.conftest import Benches, network
from tests.steps.makers import saved
from tests.steps.runs import Given
from workers.kit import defaults
from workers.protocol import Bench
from workers.steps import compress, convert

# The table's entry for it: INT4 asymmetric, groups of 64, a fifth of the layers in INT8, AWQ.
KNOWN = "meta-llama/Llama-3.1-8B"


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a small decoder as IR."""
    outputs = tmp_path_factory.mktemp("ir")
    source = build(BY_NAME["llama"], tmp_path_factory.mktemp("llama"))
    convert.run(Convert(task="auto"), Bench({"model": source}, outputs, lambda *_: None, {}))
    return outputs


def test_a_known_model_is_compressed_as_optimum_intel_does(decoder: Path, bench: Benches) -> None:
    result = compress.run(Compress(mode="auto", known_as=KNOWN), bench(model=decoder))
    note, mixed = result.notes
    assert (note.code, mixed.code) == ("auto", "weights_mixed")
    assert KNOWN in note.message
    assert "int4_asym, ratio=0.8, group_size=64" in note.message
    assert "awq=True" in note.message
    assert {"u4", "u8"} <= result.element_types.keys()


def test_a_model_is_known_by_the_name_it_was_saved_under(decoder: Path, bench: Benches) -> None:
    config = json.loads((decoder / "config.json").read_text())
    (decoder / "config.json").write_text(json.dumps({**config, "_name_or_path": KNOWN}))
    result = compress.run(Compress(mode="auto"), bench(model=decoder))
    assert KNOWN in result.notes[0].message


def test_an_unknown_model_gets_eight_bits(model: Path, bench: Benches) -> None:
    result = compress.run(Compress(mode="auto"), bench(model=model))
    assert "has no configuration for this model" in result.notes[0].message
    assert "u8" in result.element_types
    assert "u4" not in result.element_types


def test_the_planner_tells_whose_model_it_is_and_who_has_the_table() -> None:
    origin = SourceModel(1, ModelFormat.HUGGINGFACE, f"hf://{KNOWN}@{'0' * 40}")
    steps = {step.name: step for step in plan(JobSpec(model=MODEL, recipe="auto"), origin)}
    made = steps["compress"]
    assert isinstance(made.params, Compress)
    assert made.params.known_as == KNOWN
    assert made.need.toolkit is Toolkit.HUGGINGFACE


def test_auto_brings_its_own_parameters() -> None:
    with pytest.raises(ValidationError, match="ratio: mode auto brings its own"):
        Compress(mode="auto", ratio=0.5)


NOWHERE = Path("/nonexistent")
# INT4 for all but attention and router, and INT8 for those in a second run.
TWICE = "openai/gpt-oss-20b"


def asked(known_as: str, *, with_data: bool = False, **fields: object) -> tuple[list[Compress], str]:
    params = Compress.model_validate({"mode": "auto", "known_as": known_as, **fields})
    passes, note = defaults.resolved(params, NOWHERE, with_data=with_data)
    return [one.params for one in passes], note.message


def rows_of_the_table() -> list[tuple[str, dict[str, object]]]:
    asked("nobody/knows")  # imports the table, without the warnings of its libraries about each other
    table = importlib.import_module("optimum.intel.openvino.configuration")
    names = ("_DEFAULT_4BIT_WQ_CONFIGS", "_DEFAULT_8BIT_WQ_CONFIGS", "_DEFAULT_INT8_FQ_CONFIGS")
    return [(name, config) for each in names for name, config in getattr(table, each).items()]


def leaves(found: object) -> set[str]:
    """Return the names of what a configuration sets, however deep."""
    if not isinstance(found, dict):
        return set()
    return {key for key, value in found.items() if not isinstance(value, dict)} | {
        name for value in found.values() for name in leaves(value)
    }


def test_nothing_of_any_configuration_is_dropped_in_silence() -> None:
    """What a row of the table sets is a parameter, or its name stands in the note."""
    is_parameter = {
        "bits", "sym", "weight_only", "ratio", "group_size", "group_size_fallback", "all_layers",
        "backup_precision", "quant_method", "scale_estimation", "dataset", "names", "patterns", "types",
        "validate",
    }  # fmt: skip
    for name, config in rows_of_the_table():
        passes, words = asked(name)
        several = config.get("quantization_configs", {})
        language = several.get("lm_model", {}) if isinstance(several, dict) else {}
        for left in leaves(language or config) - is_parameter:
            assert f"{left}=" in words, (name, left)
        for network_name in several if isinstance(several, dict) else ():
            assert not language or network_name == "lm_model" or network_name in words, name
        assert ("has no configuration" in words) == (passes[0].mode == "int8_asym"), name


def test_a_configuration_of_two_runs_is_two_runs(decoder: Path, bench: Benches) -> None:
    passes, words = asked(TWICE)
    assert [one.mode for one in passes] == ["int4_sym", "int8_asym"]
    assert "ignoring .*self_attn.* .*router.*; then for what is left int8_asym" in words
    ended = compress.run(
        Compress(mode="auto", known_as=TWICE, group_size_fallback="adjust"), bench(model=decoder)
    )
    assert {"i4", "u8"} <= ended.element_types.keys()
    # All linear layers of attention are of 8 bits, and none stays in floating point.
    both = compress.run(Compress(mode="int4_sym", group_size_fallback="adjust"), bench(model=decoder))
    assert ended.element_types["i4"] < both.element_types["i4"]
    assert ended.element_types.get("f32", 0) <= both.element_types.get("f32", 0)
    (absent,) = (note.message for note in ended.notes if "does not have" in note.message)
    assert absent.endswith(": .*router.*")


def test_what_is_always_ignored_is_ignored_here_too() -> None:
    (passes, note) = defaults.resolved(
        Compress(mode="auto", known_as="google/gemma-4-26B-A4B-it"), NOWHERE, with_data=False
    )
    assert passes[0].scope.patterns == (".*router.*",)
    assert "not taken: dq_group_size=64" in note.message
    (passes, note) = defaults.resolved(
        Compress(mode="auto", known_as="Qwen/Qwen3-Embedding-0.6B"), NOWHERE, with_data=False
    )
    assert len(passes[0].scope.names) == 2
    assert "has no configuration for this model; its general one, int8_asym, ignoring" in note.message


def test_a_users_ignored_scope_stays_beside_that_of_the_table(decoder: Path, bench: Benches) -> None:
    mine = IgnoredScope(patterns=(".*mlp.*",))
    ended = compress.run(
        Compress(mode="auto", known_as=TWICE, ignored_scope=mine, group_size_fallback="adjust"),
        bench(model=decoder),
    )
    plain = compress.run(
        Compress(mode="auto", known_as=TWICE, group_size_fallback="adjust"), bench(model=decoder)
    )
    assert ended.element_types.get("f32", 0) > plain.element_types.get("f32", 0)


def test_a_configuration_of_activations_is_named_and_not_taken() -> None:
    passes, note = defaults.resolved(
        Compress(mode="auto", known_as="FacebookAI/roberta-large"), NOWHERE, with_data=True
    )
    assert passes[0].params.mode == "int8_asym"
    assert "smooth_quant_alpha=0.5" in note.message
    assert [patch.recipe for patch in note.patches] == ["int8"]
    several = Compress(mode="auto", known_as="google-t5/t5-small")
    assert not defaults.resolved(several, NOWHERE, with_data=False, alone=False)[1].patches


def test_what_data_would_have_done_is_said() -> None:
    name = "Qwen/Qwen2.5-1.5B-Instruct"
    (without,), words = asked(name)
    assert (without.awq, without.scale_estimation) == (True, False)
    assert "tuned with calibration data (wikitext2), and there is none here: AWQ and the choice" in words
    assert "without its scale estimation" in words
    (with_data,), words = asked(name, with_data=True)
    assert with_data.scale_estimation
    assert "on the job's own calibration data, where it was tuned with wikitext2" in words
    _, words = asked("TinyLlama/TinyLlama-1.1B-Chat-v1.0", with_data=True)
    assert "AWQ by the job's calibration data, where optimum-intel goes by the weights alone" in words


def test_what_no_configuration_has_is_the_users_to_set() -> None:
    finer = AdvancedCompression(min_adjusted_group_size=8)
    (one,), words = asked(KNOWN, advanced=finer, group_size_fallback="adjust")
    assert (one.advanced, one.group_size_fallback) == (finer, "adjust")
    assert "group_size_fallback=adjust" in words
    (one,), words = asked("nobody/knows", advanced=finer, group_size_fallback="adjust")
    assert "advanced, group_size_fallback is for fewer than 8 bits and was left out" in words
    (one,), _ = asked("inceptionai/jais-13b")
    assert one.group_size_fallback == "adjust"


def test_groups_that_do_not_fit_are_answered_with_what_auto_takes(tmp_path: Path) -> None:
    given = Given(tmp_path, saved(tmp_path / "m", network(hidden=96)))
    every_layer = {"kind": "compress", "mode": "auto", "known_as": "psmathur/orca_mini_3b"}
    spec = given.spec([{"kind": "convert"}, every_layer])
    ended = given.run(spec)
    assert isinstance(ended, Failure)
    assert ended.code is FailureCode.GROUP_SIZE
    assert (
        ended.hint == "--set compress.group_size_fallback=adjust makes smaller groups where they are needed"
    )
    touched = {name for patch in ended.patches for name in patch.touched}
    assert touched == {"compress.group_size_fallback", "recipe"}
    assert not isinstance(given.run(patched(spec, ended.patches[0])), Failure)
