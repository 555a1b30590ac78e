"""``convert_local``: what a program has in its memory becomes a model of the farm, and nothing else does."""

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest

import ovfarm
from ovfarm.errors import InvalidInput
from tests.steps.torch_networks import convolution, embedding, rows, saved
from workers.kit import graph, ir

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore:.*TracerWarning", "ignore::UserWarning"
)


def inputs(path: Path) -> dict[str, str]:
    ports = graph.ports(ir.read(path.parent))
    return {port.name: f"{port.element_type} {port.shape}" for port in ports if port.direction == "input"}


def check_answers(path: Path, network: str, module: Any) -> None:
    import torch

    given = rows(network)
    with torch.no_grad():
        expected = module(*given).numpy()
    compiled = ov.compile_model(ir.read(path.parent), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    np.testing.assert_allclose(compiled([each.numpy() for each in given])[0], expected, atol=1e-5)


def test_a_module_takes_the_sizes_of_its_example_and_any_number_of_rows(tmp_path: Path) -> None:
    module = convolution()
    path = ovfarm.convert_local(module, rows("convolution", 2), folder=tmp_path / "out")
    assert inputs(path) == {"x": "f32 [?,1,16,16]"}
    assert "f32" in ir.element_types(ir.read(path.parent))
    check_answers(path, "convolution", module)


@pytest.mark.parametrize("way", ["tuple", "dict"])
def test_several_inputs_keep_their_types(way: str, tmp_path: Path) -> None:
    ids, mask = rows("embedding")
    example = (ids, mask) if way == "tuple" else {"ids": ids, "mask": mask}
    path = ovfarm.convert_local(
        embedding(), example, folder=tmp_path, shapes={"ids": ("?", "1..8"), "mask": ("?", "1..8")}
    )
    assert inputs(path) == {"ids": "i64 [?,1..8]", "mask": "f32 [?,1..8]"}
    check_answers(path, "embedding", embedding())


@pytest.mark.parametrize("way", ["scripted", "traced"])
def test_torchscript_takes_them_too(way: str, tmp_path: Path) -> None:
    import torch

    saved("embedding", way, tmp_path / "model.pt")
    script = torch.jit.load(tmp_path / "model.pt")
    path = ovfarm.convert_local(script, rows("embedding"), folder=tmp_path / "out")
    assert inputs(path) == {"ids": "i64 [?,5]", "mask": "f32 [?,5]"}
    check_answers(path, "embedding", embedding())


def test_torch_export_brings_its_own(tmp_path: Path) -> None:
    import torch

    saved("embedding", "exported", tmp_path / "model.pt2")
    program = torch.export.load(tmp_path / "model.pt2")
    path = ovfarm.convert_local(program, folder=tmp_path / "out")
    assert inputs(path) == {"ids": "i64 [1..64,5]", "mask": "f32 [1..64,5]"}
    check_answers(path, "embedding", embedding())


def test_the_callers_module_is_left_as_it_was(tmp_path: Path) -> None:
    module = convolution().train()
    module.conv.eval()
    before = hashlib.sha256(b"".join(p.detach().numpy().tobytes() for p in module.parameters())).digest()
    ovfarm.convert_local(module, rows("convolution"), folder=tmp_path)
    assert (module.training, module.conv.training, module.dense.training) == (True, False, True)
    after = hashlib.sha256(b"".join(p.detach().numpy().tobytes() for p in module.parameters())).digest()
    assert before == after


def test_mistakes_are_named(tmp_path: Path) -> None:
    import torch

    module, example = convolution(), rows("convolution")
    cases: list[tuple[dict[str, Any], str]] = [
        ({"module": "model.pt", "folder": tmp_path}, "this is a path"),
        ({"module": module, "example_input": example}, "neither a client nor a folder"),
        ({"module": object(), "folder": tmp_path}, "cannot convert this object"),
        (
            {"module": module, "example_input": example, "folder": tmp_path, "shapes": {"y": (1,)}},
            "no input 'y'",
        ),
        (
            {"module": module, "example_input": example, "folder": tmp_path, "shapes": {"x": ("8..1",)}},
            "shapes: 'x'",
        ),
        (
            {
                "module": module,
                "example_input": example,
                "folder": tmp_path,
                "shapes": {"x": ("?", 3, 16, 16)},
            },
            "cannot take these inputs",
        ),
        ({"module": torch.jit.script(embedding()), "folder": tmp_path}, "nothing tells the type"),
    ]
    for asked, words in cases:
        with pytest.raises(InvalidInput, match=words):
            ovfarm.convert_local(**asked)


def test_without_openvino_it_says_so(tmp_path: Path) -> None:
    """In a process in which OpenVINO cannot be found."""
    program = (
        "import sys; sys.modules['openvino'] = None\n"
        "import ovfarm; from pathlib import Path\n"
        "from ovfarm.errors import Unavailable\n"
        f"try: ovfarm.convert_local(object(), folder=Path({str(tmp_path)!r}))\n"
        "except Unavailable as missing: print(missing.hint)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "pip install openvino"


def test_a_folder_may_be_text(tmp_path: Path) -> None:
    path = ovfarm.convert_local(convolution(), rows("convolution"), folder=str(tmp_path / "out"))
    assert path == tmp_path / "out" / "model.xml"
    assert path.is_file()


def test_weights_alone_are_told_where_they_belong(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="state_dict") as refused:
        ovfarm.convert_local(convolution().state_dict(), rows("convolution"), folder=tmp_path)
    assert "module.load_state_dict(weights)" in (refused.value.hint or "")
