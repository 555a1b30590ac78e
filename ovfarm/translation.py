"""Old recipes in today's words: NNCF and POT configurations, and calls that tutorials still show.

What had an equal becomes a step of a recipe; what has none is said, with what took its place.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from pydantic import ValidationError

from ovfarm.errors import InvalidInput
from ovfarm.presets import PRESETS
from ovfarm.recipes import Quantize, Recipe
from ovfarm.shapes import Document

_COMMENT = re.compile(r"^\s*//.*$", re.MULTILINE)
_DEVICES = {
    "ANY": "any",
    "CPU": "cpu",
    "GPU": "gpu",
    "NPU": "npu",
    "VPU": "npu",
    "TRIAL": "any",
    "CPU_SPR": "cpu_spr",
}
_SPARSE = (
    "unstructured sparsity is nncf.prune now, while a model is trained in torch; an OpenVINO model of it is "
    "neither smaller nor faster, so the farm has no step for it"
)
_GONE_ALGORITHMS = {
    "magnitude_sparsity": _SPARSE,
    "rb_sparsity": _SPARSE,
    "const_sparsity": _SPARSE,
    "movement_sparsity": _SPARSE,
    "filter_pruning": "structured pruning is gone from NNCF; train a smaller model, or quantize this one",
    "binarization": "binarization is gone; the narrowest weights are compress with mode int2_sym",
    "knowledge_distillation": "distillation belongs to the training loop, in torch; submit the model that comes of it",
    "BootstrapNAS": "architecture search is gone from NNCF",
}
# What is found in code, and what to write today. The first words are shown as what was found.
GONE_CALLS: tuple[tuple[str, str], ...] = (
    (r"create_compressed_model", "nncf.quantize(model, nncf.Dataset(...)) and fine-tuning; here: recipe int8"),
    (r"NNCFConfig", "keyword arguments of nncf.quantize; here: ovfarm recipes translate CONFIG.json"),
    (r"quantize_with_tune_runner|nncf\.QuantizationConfig|nncf\.InputInfo", "nncf.quantize(model, nncf.Dataset(...)); here: recipe int8"),
    (r"CompressWeightsMode\.INT8\b", "CompressWeightsMode.INT8_ASYM; here: recipe int8-weights"),
    (r"nncf\.tensorflow", "quantize the OpenVINO IR; here: upload the SavedModel, recipe int8"),
    (r"openvino\.tools\.mo\b|\bmo\s+--|mo\.py", "openvino.convert_model or ovc; here: upload the model, recipe fp16"),
    (r"openvino\.tools\.pot|\bpot\s+-", "nncf.quantize; here: recipe int8, or int8-accurate for AccuracyAware"),
    (r"openvino\.runtime|openvino\.inference_engine|\bIECore\b", "import openvino; core = openvino.Core()"),
    (r"accuracy_check\b|omz_\w+", "gone with openvino-dev; here: the evaluate step"),
    (r"openvino-dev|openvino\[(?:dev|tensorflow|pytorch|onnx)", "pip install openvino nncf: the extras are gone"),
    (r"OVTrainer|INCQuantizer|IPEXModel", "a training loop of your own and nncf.quantize, or OVQuantizer; here: recipe int8"),
    (r"[\"']VPU[\"']|MYRIAD", "device NPU; here: --target npu"),
    (r"pip install ovms", "the model server ships as an image and a binary, not as a package"),
)  # fmt: skip


class Translation(Document):
    """A recipe of today, where there is one, and what there is to say of the rest."""

    recipe: Recipe | None
    notes: tuple[str, ...]


def translate(text: str) -> Translation:
    """Return what an old configuration or program means today; raises InvalidInput when it is neither."""
    found = _parsed(text)
    if isinstance(found, dict) and "compression" in found:
        try:
            return _of_config(found)
        except (AttributeError, TypeError, ValueError) as odd:
            raise InvalidInput(f"the 'compression' section is not of the known form: {odd}") from None
    notes = tuple(_of_code(text))
    if not notes:
        raise InvalidInput(
            "this is neither an NNCF nor a POT configuration, and no call that is gone was found in it",
            hint="give the JSON or YAML with its 'compression' section, or the program itself",
        )
    return Translation(recipe=None, notes=notes)


def _parsed(text: str) -> object:
    try:
        return json.loads(_COMMENT.sub("", text))
    except (ValueError, RecursionError):
        pass
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError):
        return None


def _of_code(text: str) -> Iterator[str]:
    for pattern, today in GONE_CALLS:
        if match := re.search(pattern, text):
            yield f"{match.group().strip()} is gone: {today}"


def _of_config(config: Mapping[str, Any]) -> Translation:
    section = config["compression"]
    algorithms = section.get("algorithms", section) if isinstance(section, dict) else section
    notes: list[str] = []
    quantize: dict[str, Any] | None = None
    for algorithm in algorithms if isinstance(algorithms, list) else [algorithms]:
        if not isinstance(algorithm, dict):
            raise InvalidInput("each algorithm of 'compression' is a section with its parameters")
        name = str(algorithm.get("algorithm") or algorithm.get("name") or "")
        if name in _GONE_ALGORITHMS:
            notes.append(f"{name}: {_GONE_ALGORITHMS[name]}")
        elif name == "quantization":
            quantize = (quantize or {}) | _nncf(algorithm, notes)
        elif name.endswith("Quantization"):
            quantize = (quantize or {}) | _pot(name, algorithm.get("params") or {}, notes)
        else:
            notes.append(f"{name or 'an algorithm without a name'}: unknown, left out")
    if quantize is not None and (control := _control(config)):
        quantize["accuracy"] = control
    return Translation(recipe=_recipe(quantize, notes), notes=tuple(notes))


def _recipe(quantize: dict[str, Any] | None, notes: list[str]) -> Recipe | None:
    if quantize is None:
        return None
    try:
        step = Quantize.model_validate(quantize)
    except ValidationError as invalid:
        problem = invalid.errors(include_url=False)[0]
        raise InvalidInput(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}") from None
    notes.append("it needs calibration data: register an .npz of real samples, or give --data")
    like = PRESETS["int8"]
    steps = tuple(step if one.kind is step.kind else one for one in like.steps)
    return like.model_copy(
        update={"name": "translated", "title": "from an older configuration", "steps": steps}
    )


def _nncf(section: Mapping[str, Any], notes: list[str]) -> dict[str, Any]:
    """Return the parameters of a quantization as NNCF's configurations had it."""
    advanced: dict[str, Any] = {}
    for side in ("weights", "activations"):
        if asked := section.get(side):
            advanced[f"{side}_quantization_params"] = _quantizer(side, asked, notes)
    if overflow := section.get("overflow_fix"):
        advanced["overflow_fix"] = overflow
    if section.get("quantize_outputs"):
        advanced["quantize_outputs"] = True
    samples = (section.get("initializer") or {}).get("range") or {}
    if isinstance(samples, dict) and (kind := samples.get("type")) not in {
        None,
        "mean_min_max",
        "mixed_min_max",
    }:
        notes.append(
            f"range type {kind!r}: set advanced.activations_range_estimator_params if the default is not enough"
        )
    if (section.get("initializer") or {}).get("batchnorm_adaptation"):
        notes.append(
            "batchnorm_adaptation is nncf.batch_norm_adaptation now, in torch, before the model is exported"
        )
    asked = {
        "preset": section.get("preset"),
        "target_device": _device(section.get("target_device")),
        "subset_size": samples.get("num_init_samples") if isinstance(samples, dict) else None,
        "ignored_scope": _scope(section.get("ignored_scopes"), notes),
        "advanced": advanced or None,
    }
    return {name: value for name, value in asked.items() if value is not None}


def _quantizer(side: str, asked: Mapping[str, Any], notes: list[str]) -> dict[str, Any]:
    names = {
        "bits": "num_bits",
        "mode": "mode",
        "per_channel": "per_channel",
        "signed": "signedness_to_force",
    }
    found = {names[key]: value for key, value in asked.items() if key in names}
    if int(found.get("num_bits", 8)) < 8:
        notes.append(
            f"{side} of {found.pop('num_bits')} bits: below 8 there is weight compression alone (recipe int4)"
        )
    return found


def _scope(names: object, notes: list[str]) -> dict[str, list[str]] | None:
    if not names:
        return None
    listed = [str(name) for name in (names if isinstance(names, list) else [names])]
    notes.append(
        "ignored_scopes named torch modules; an OpenVINO model has names of its own: check ignored_scope"
    )
    patterns = [name.removeprefix("{re}") for name in listed if name.startswith("{re}")]
    return {"names": [name for name in listed if not name.startswith("{re}")], "patterns": patterns}


def _pot(name: str, params: Mapping[str, Any], notes: list[str]) -> dict[str, Any]:
    """Return the parameters of a quantization as the Post-training Optimization Tool had it."""
    ignored = params.get("ignored") or {}
    types = [str(each.get("type")) for each in ignored.get("operations", []) if isinstance(each, dict)]
    scope = {"names": list(ignored.get("scope", [])), "types": types}
    asked = {
        "preset": params.get("preset"),
        "target_device": _device(params.get("target_device")),
        "subset_size": params.get("stat_subset_size"),
        "fast_bias_correction": params.get("use_fast_bias"),
        "model_type": str(params["model_type"]).lower() if params.get("model_type") else None,
        "ignored_scope": scope if any(scope.values()) else None,
    }
    if name == "AccuracyAwareQuantization":
        asked["accuracy"] = {
            "max_drop": params.get("maximal_drop", 0.01),
            "drop_type": params.get("drop_type", "absolute"),
        }
        notes.append("accuracy control needs evaluation data with an array 'labels'")
    return {key: value for key, value in asked.items() if value is not None}


def _control(config: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return accuracy control as NNCF's accuracy-aware training had it; its shares were in percent."""
    training = config.get("accuracy_aware_training") or {}
    asked = training.get("params") or {}
    for key, kind in (
        ("maximal_relative_accuracy_degradation", "relative"),
        ("maximal_absolute_accuracy_degradation", "absolute"),
    ):
        if key in asked:
            return {"max_drop": float(asked[key]) / 100, "drop_type": kind}
    return {} if training else None


def _device(name: object) -> str | None:
    return None if name is None else _DEVICES.get(str(name).upper(), "any")
