"""Bundles a model with what proves and explains it."""

import hashlib
import json
import platform
from importlib.metadata import version
from pathlib import Path

from pydantic import JsonValue

from ovfarm.gates import CHOSEN_FILE
from ovfarm.recipes import Kind, Package
from ovfarm.results import Chosen, Measurement, Port, StepResult, Unit
from workers.kit import canonical, networks, whole
from workers.kit.described import PIPELINE, described
from workers.protocol import Bench

_USE = """\
Load this model with plain OpenVINO:

    import openvino
    model = openvino.Core().read_model("model.xml")
    compiled = openvino.compile_model(model, "AUTO")

manifest.json holds the sha256 of every file, the recipe that made the model, and the tool versions.
"""
_PROOF = (
    "manifest.json holds the sha256 of every file, the recipe that made the model, and the tool versions.\n"
)
_USE_PACKAGE = (
    """\
This folder is laid out as optimum-intel writes it ({name}). Load it with

    from optimum.intel import OVModelFor...      # the class of the model's task
    model = OVModelFor....from_pretrained(".")
{generate}
or each network with plain OpenVINO: openvino.Core().read_model("openvino_model.xml").

"""
    + _PROOF
)
_GENERATE = """
or, to generate text without Python libraries but OpenVINO's own:

    import openvino_genai
    pipe = openvino_genai.LLMPipeline(".", "CPU")
    print(pipe.generate("Hello", max_new_tokens=20))
"""
_USE_PIPELINE = (
    """\
This folder is laid out as optimum-intel writes pipelines of diffusers. Load it with

    from optimum.intel import OVDiffusionPipeline
    pipe = OVDiffusionPipeline.from_pretrained(".")

"""
    + _PROOF
)


def run(params: Package, bench: Bench) -> StepResult:
    """Write the IR, ``manifest.json`` and ``USE.txt``; the same model and recipe give the same bytes."""
    source = bench.inputs["model"]
    about = whole.counted(source)
    bench.report("copy", 0, 2)
    networks.copy(source, bench.outputs, {Path(CHOSEN_FILE)})
    (bench.outputs / "USE.txt").write_text(_use(source))
    recipe = bench.inputs.get("recipe")
    lineage = json.loads((recipe / "recipe.json").read_bytes()) if recipe else []
    manifest: dict[str, JsonValue] = {
        "format": "ovfarm-package/1",
        "files": {name: _entry(path) for name, path in _files(bench.outputs).items()},
        "recipe": lineage,
        **_chosen(lineage, source),
        "tools": {
            "openvino": version("openvino"),
            "nncf": version("nncf"),
            "python": platform.python_version(),
        },
        "inputs": [_port(port) for port in about.ports if port.direction == "input"],
        "outputs": [_port(port) for port in about.ports if port.direction == "output"],
        "element_types": dict(sorted(about.element_types.items())),
    }
    (bench.outputs / "manifest.json").write_text(json.dumps(manifest, indent=1, sort_keys=True))
    bench.report("copy", 2, 2)
    size = sum(path.stat().st_size for path in _files(bench.outputs).values())
    return StepResult(
        measurements=(Measurement(name="size", subject=params.kind, value=size, unit=Unit.BYTES),),
        canonical_digest=canonical.digest(source),
        element_types=dict(sorted(about.element_types.items())),
    )


def _files(folder: Path) -> dict[str, Path]:
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path for path in found}


def _chosen(lineage: list[dict[str, JsonValue]], source: Path) -> dict[str, JsonValue]:
    """Return which variant a choice took, when one made this model."""
    if not lineage or lineage[-1]["kind"] != Kind.CHOOSE:
        return {}
    chosen = Chosen.model_validate_json((source / CHOSEN_FILE).read_bytes())
    return {"chosen": chosen.model_dump(mode="json")}


def _entry(path: Path) -> dict[str, JsonValue]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"sha256": digest, "size": path.stat().st_size}


def _port(port: Port) -> dict[str, JsonValue]:
    place: dict[str, JsonValue] = {"network": port.network} if port.network else {}
    return {"name": port.name, "shape": port.shape, "type": port.element_type, **place}


def _use(source: Path) -> str:
    """Return how to load the model: by OpenVINO alone, or by the libraries whose layout it has."""
    if not networks.is_package(source):
        return _USE
    if (source / PIPELINE).exists():
        return _USE_PIPELINE
    name = described(source).architecture or "its class"
    return _USE_PACKAGE.format(name=name, generate=_GENERATE if _talks(source) else "")


def _talks(source: Path) -> bool:
    alone = list(networks.networks(source)) == [networks.ALONE]
    return alone and (source / networks.TOKENIZER).exists() and (source / "generation_config.json").exists()
