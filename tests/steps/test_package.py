import hashlib
import json
from pathlib import Path

import openvino as ov

from ovfarm.recipes import Package
from tests.steps.conftest import Benches
from workers.steps import package


def test_a_package_proves_and_explains_its_model(tmp_path: Path, model: Path, bench: Benches) -> None:
    recipe = tmp_path / "recipe"
    recipe.mkdir()
    (recipe / "recipe.json").write_text('[{"kind": "convert"}]')
    made = bench(model=model, recipe=recipe)
    package.run(Package(), made)
    manifest = json.loads((made.outputs / "manifest.json").read_text())
    assert set(manifest["files"]) == {"model.xml", "model.bin", "USE.txt"}
    for name, entry in manifest["files"].items():
        content = (made.outputs / name).read_bytes()
        assert entry == {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
    assert manifest["recipe"] == [{"kind": "convert"}]
    assert manifest["inputs"] == [{"name": "x", "shape": "[?,16]", "type": "f32"}]
    assert set(manifest["tools"]) == {"openvino", "nncf", "python"}
    ov.Core().read_model(made.outputs / "model.xml")


def test_the_same_model_gives_the_same_bytes(model: Path, bench: Benches) -> None:
    one, two = bench(model=model), bench(model=model)
    package.run(Package(), one)
    package.run(Package(), two)
    for path in one.outputs.iterdir():
        assert path.read_bytes() == (two.outputs / path.name).read_bytes()
