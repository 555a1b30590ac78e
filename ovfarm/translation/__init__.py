"""Old recipes in today's words: NNCF and POT configurations, and calls that tutorials still show.

What had an equal becomes a step of a recipe; what has none is said, with what took its place. Nothing is
dropped in silence: whatever nobody read of a configuration is named.
"""

from typing import Any

from pydantic import ValidationError

from ovfarm.errors import InvalidInput
from ovfarm.fields import mistake
from ovfarm.presets import PRESETS
from ovfarm.recipes import Quantize, Recipe
from ovfarm.shapes import Document
from ovfarm.translation import nncf, pot
from ovfarm.translation.parsing import parsed
from ovfarm.translation.programs import answers
from ovfarm.translation.sections import Section, dropped

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


class Translation(Document):
    """A recipe of today, where there is one, and what there is to say of the rest."""

    recipe: Recipe | None
    notes: tuple[str, ...]


def translate(text: str) -> Translation:
    """Return what an old configuration or program means today; raises InvalidInput when it is neither."""
    found = parsed(text)
    if isinstance(found, dict) and "compression" in found:
        try:
            return _Configuration(Section(found)).translated()
        except (AttributeError, TypeError, ValueError) as odd:
            raise InvalidInput(f"the 'compression' section is not of the known form: {odd}") from None
    notes = tuple(answers(text))
    if not notes:
        raise InvalidInput(
            "this is neither an NNCF nor a POT configuration, and no call that is gone was found in it",
            hint="give the JSON or YAML with its 'compression' section, or the program itself",
        )
    return Translation(recipe=None, notes=notes)


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
        recipe = None if self._quantize is None else _recipe(self._quantize, self._notes)
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


def _recipe(quantize: dict[str, Any], notes: list[str]) -> Recipe:
    try:
        step = Quantize.model_validate(quantize)
    except ValidationError as invalid:
        raise InvalidInput(mistake(invalid, Quantize)) from None
    notes.append("it needs calibration data: register an .npz of real samples, or give --data")
    if step.accuracy:
        notes.append("accuracy control needs evaluation data with an array 'labels'")
    like = PRESETS["int8"]
    steps = tuple(step if one.kind is step.kind else one for one in like.steps)
    return like.model_copy(
        update={"name": "translated", "title": "from an older configuration", "steps": steps}
    )


def _device(name: object, notes: list[str]) -> str:
    device = _DEVICES.get(str(name).upper())
    if device is None:
        notes.append(f"target_device {str(name)[:60]!r} is unknown: the quantizers are those of any device")
    return device or "any"
