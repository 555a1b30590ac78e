"""Bundles a model with what proves and explains it."""

import hashlib
import json
import platform
import shutil
from importlib.metadata import version
from pathlib import Path

import openvino as ov
from pydantic import JsonValue

from ovfarm.gates import CHOSEN_FILE
from ovfarm.recipes import Kind, Package
from ovfarm.results import Chosen, Measurement, StepResult, Unit
from workers.kit import ir
from workers.protocol import Bench

_USE = """\
Load this model with plain OpenVINO:

    import openvino
    model = openvino.Core().read_model("model.xml")
    compiled = openvino.compile_model(model, "AUTO")

manifest.json holds the sha256 of every file, the recipe that made the model, and the tool versions.
"""


def run(params: Package, bench: Bench) -> StepResult:
    """Write the IR, ``manifest.json`` and ``USE.txt``; the same model and recipe give the same bytes."""
    source = bench.inputs["model"]
    model = ir.read(source)
    for done, name in enumerate(("model.xml", "model.bin")):
        bench.report("copy", done, 2)
        shutil.copyfile(source / name, bench.outputs / name)
    (bench.outputs / "USE.txt").write_text(_USE)
    recipe = bench.inputs.get("recipe")
    lineage = json.loads((recipe / "recipe.json").read_bytes()) if recipe else []
    manifest: dict[str, JsonValue] = {
        "format": "ovfarm-package/1",
        "files": {path.name: _entry(path.read_bytes()) for path in sorted(bench.outputs.iterdir())},
        "recipe": lineage,
        **_chosen(lineage, source),
        "tools": {
            "openvino": version("openvino"),
            "nncf": version("nncf"),
            "python": platform.python_version(),
        },
        "inputs": [_port(port) for port in model.inputs],
        "outputs": [_port(port) for port in model.outputs],
        "element_types": dict(ir.element_types(model).items()),
    }
    (bench.outputs / "manifest.json").write_text(json.dumps(manifest, indent=1, sort_keys=True))
    bench.report("copy", 2, 2)
    size = sum(path.stat().st_size for path in bench.outputs.iterdir())
    return StepResult(
        measurements=(Measurement(name="size", subject=params.kind, value=size, unit=Unit.BYTES),),
        canonical_digest=ir.canonical_digest(bench.outputs),
        element_types=ir.element_types(model),
    )


def _chosen(lineage: list[dict[str, JsonValue]], source: Path) -> dict[str, JsonValue]:
    """Return which variant a choice took, when one made this model."""
    if not lineage or lineage[-1]["kind"] != Kind.CHOOSE:
        return {}
    chosen = Chosen.model_validate_json((source / CHOSEN_FILE).read_bytes())
    return {"chosen": chosen.model_dump(mode="json")}


def _entry(content: bytes) -> dict[str, JsonValue]:
    return {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}


def _port(port: ov.Output) -> dict[str, JsonValue]:
    names = sorted(port.get_names())
    return {
        "name": names[0] if names else "",
        "shape": port.get_partial_shape().to_string(),
        "type": port.get_element_type().get_type_name(),
    }
