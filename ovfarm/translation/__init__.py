"""Recipes of others in today's words: configurations of NNCF, POT and optimum-intel, and programs.

What had an equal becomes a step of a recipe; what has none is said, with what took its place. Nothing is
dropped in silence: whatever nobody read of a configuration is named.
"""

from typing import Any

from ovfarm.errors import InvalidInput
from ovfarm.recipes import Kind
from ovfarm.translation import nncf, pot, today
from ovfarm.translation.calls import calls
from ovfarm.translation.made import Translation, recipe_of
from ovfarm.translation.parsing import parsed
from ovfarm.translation.programs import answers
from ovfarm.translation.sections import Section, dropped

__all__ = ["Translation", "translate"]

_SEVERAL = frozenset({"quantization_configs", "weight_quantization_config", "full_quantization_config"})
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
    "knowledge_distillation": (
        "distillation belongs to the training loop, in torch; submit the model that comes of it"
    ),
    "BootstrapNAS": "architecture search is gone from NNCF",
}


def translate(text: str) -> Translation:
    """Return what an old configuration or program means today; raises InvalidInput when it is neither."""
    found = parsed(text)
    try:
        if isinstance(found, dict) and found.get("compression") is not None:
            return _Configuration(Section(found)).translated()
        if isinstance(found, dict) and (inner := _optimum(found)) is not None:
            return _of_optimum(inner, whole=inner is found)
        return _of_program(text)
    except (AttributeError, RecursionError, TypeError, ValueError) as odd:
        raise InvalidInput(f"a section of it is not of the known form: {odd}") from None


def _optimum(found: dict[str, Any]) -> dict[str, Any] | None:
    """Return the configuration of optimum-intel in a file, None where there is none.

    Other libraries have a ``quantization_config`` as well, of weights that they have packed already.
    """
    inner = found.get("quantization_config", found)
    if not isinstance(inner, dict) or "version" in inner:
        return None
    if several := inner.keys() & _SEVERAL:
        raise InvalidInput(
            f"{', '.join(sorted(several))}: there are several configurations in it",
            hint="translate each by itself; a recipe has a step for each (or take the recipe auto)",
        )
    known = inner.get("quant_method") in {None, "default", "awq", "hybrid"}
    return inner if known and ("bits" in inner or "weight_format" in inner) else None


def _of_optimum(inner: dict[str, Any], *, whole: bool) -> Translation:
    notes = [] if whole else ["of this file the section quantization_config was read"]
    asked = today.section(inner)
    kind, given = today.configuration(asked, notes)
    recipe = recipe_of(kind, given, notes)
    notes += dropped(asked.left(), today.REASONS)
    return Translation(recipe=recipe, notes=tuple(notes))


def _of_program(text: str) -> Translation:
    """Return the recipe of the first call of today in a program, and what is said of those that are gone."""
    notes = list(answers(text))
    found = list(calls(text))
    if not notes and not found:
        raise InvalidInput(
            "this is neither an NNCF nor a POT configuration, and no call that is gone was found in it",
            hint="give the JSON or YAML with its 'compression' section, or the program itself",
        )
    recipe = None
    for call in found[:1]:
        asked = today.section(call.plain)
        kind, given = today.CALLS[call.name](asked, notes)
        recipe = recipe_of(kind, given, notes)
        notes.append(f"the recipe is that of {call.name}")
        notes += dropped(asked.left(), today.REASONS)
        notes += dropped(call.others.items(), today.worked_out(call.others))
    if len(found) > 1:
        more = ", ".join(call.name for call in found[1:])
        notes.append(f"the first call was taken, and not {more}: give each by itself")
    return Translation(recipe=recipe, notes=tuple(notes))


class _Configuration:
    """Walks a configuration once; its sections remember what was read."""

    def __init__(self, root: Section) -> None:
        self._root = root
        self._notes: list[str] = []
        self._reasons: dict[str, str] = {}
        self._quantize: dict[str, Any] | None = None

    def translated(self) -> Translation:
        """Return the recipe and the notes; what nobody read is named last."""
        for one in self._root.sections("compression"):
            # POT keeps its algorithms one level lower, and beside them what holds for all.
            for algorithm in one.sections("algorithms") if "algorithms" in one else [one]:
                self._algorithm(algorithm, one)
        if self._quantize is not None and "accuracy_aware_training" in self._root:
            training = self._root.section("accuracy_aware_training")
            self._quantize |= {"accuracy": nncf.accuracy(training, self._notes)}
        recipe = None if self._quantize is None else recipe_of(Kind.QUANTIZE, self._quantize, self._notes)
        self._notes += dropped(self._root.left(), self._reasons or nncf.REASONS)
        if recipe is None:
            raise InvalidInput(
                f"nothing of this configuration becomes a recipe: {' | '.join(self._notes)}",
                hint="take one of today's recipes: ovfarm recipes ls",
            )
        return Translation(recipe=recipe, notes=tuple(self._notes))

    def _algorithm(self, algorithm: Section, around: Section) -> None:
        name = str(algorithm.take("algorithm") or algorithm.take("name") or "")
        if name == "quantization":
            self._reasons = nncf.REASONS | self._reasons
            self._add(nncf.quantization(algorithm, self._root, self._notes))
        elif name.endswith("Quantization"):
            self._reasons = pot.REASONS | self._reasons
            self._add(pot.quantization(name, algorithm.section("params"), around, self._notes))
        else:
            gone = _GONE_ALGORITHMS.get(name, "unknown, left out with all that it says")
            self._notes.append(f"{name or 'an algorithm without a name'}: {gone}")
            algorithm.finish()

    def _add(self, asked: dict[str, Any]) -> None:
        if self._quantize is not None:
            self._notes.append("there are several quantizations: where they differ, the last one counts")
        given = {name: value for name, value in asked.items() if value is not None}
        if (device := given.get("target_device")) is not None:
            given["target_device"] = _device(device, self._notes)
        self._quantize = (self._quantize or {}) | given


def _device(name: object, notes: list[str]) -> str:
    device = _DEVICES.get(str(name).upper())
    if device is None:
        notes.append(f"target_device {str(name)[:60]!r} is unknown: the quantizers are those of any device")
    return device or "any"
