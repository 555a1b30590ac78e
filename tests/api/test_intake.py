"""What the intake tells of content alone: honest files are let in, however their bytes happen to fall."""

import io
import json
import random
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from api.intake import configs, safetensors
from api.intake.archives import unpacked
from api.intake.content import Content, content
from api.intake.models import model_format
from ovfarm.catalog import ModelFormat
from ovfarm.errors import InvalidInput
from tests.hostile.graphs import safetensors as written
from tests.hostile.payloads import zipped

BOUND = 1 << 30


class InMemory:
    """A file of some bytes."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = len(data)

    def at(self, start: int, length: int) -> bytes:
        return self.data[start : start + length]


@pytest.mark.parametrize("kind", ["f32", "u8", "i8", "f16"])
def test_honest_weights_are_never_taken_for_anything_else(kind: str) -> None:
    dice = np.random.default_rng(0)
    for _ in range(5000):
        whole = kind in {"u8", "i8"}
        drawn = dice.integers(-128, 128, 256) if whole else dice.normal(size=128)
        weights = drawn.astype({"f32": "<f4", "f16": "<f2", "u8": "u1", "i8": "i1"}[kind]).tobytes()
        assert content(InMemory(weights), "weights.bin") in {Content.OTHER, Content.ONNX}


def test_honest_companions_are_told() -> None:
    config = json.dumps({"mean": {"r": 0.5}, "auto_map": {}, "trust_remote_code": False}).encode()
    assert content(InMemory(config), "config.json") is Content.JSON
    configs.check("config.json", InMemory(config))
    tensors = written(
        {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, "__metadata__": {}}, b"\0" * 8
    )
    assert content(InMemory(tensors)) is Content.SAFETENSORS
    safetensors.check("model.safetensors", InMemory(tensors))
    vocabulary = json.dumps({"vocab": {f"word{n}": n for n in range(400_000)}}).encode()
    assert len(vocabulary) > 4 << 20
    for name in ("tokenizer.json", "vocab.json"):
        configs.check(name, InMemory(vocabulary))


BESIDE = {"config.json": b"{}", "model.safetensors": written({}, b"")}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("chat_template.jinja", "{{ bos_token }}{% for message in messages %}{{ message }}{% endfor %}"),
        ("chat_template.jinja", "{%- if tools %}\n{{- '<|im_start|>system' }}\n{%- endif %}"),
        ("chat_template.jinja", "{# a comment #}{{ messages }}"),
        ("additional_chat_templates/tool.jinja", "[INST]{{ messages[0] }}[/INST]"),
        ("vocab.txt", "[PAD]\n[unused0]\n[UNK]\nthe\n"),
        ("README.md", "[![a badge](x.svg)](y)\n"),
        ("merges.txt", "{ a\n[ b\n"),
    ],
)
def test_text_that_begins_as_json_does_is_text(name: str, text: str) -> None:
    files = {path: InMemory(data) for path, data in {**BESIDE, name: text.encode()}.items()}
    assert model_format(files) is ModelFormat.HUGGINGFACE


def test_a_chat_template_has_a_bound() -> None:
    files = {path: InMemory(data) for path, data in BESIDE.items()}
    files["chat_template.jinja"] = InMemory(b"{{ a }}" * 40_000)
    with pytest.raises(InvalidInput, match="a chat template has at most 262144"):
        model_format(files)


def packed(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "archive"
    path.write_bytes(data)
    (tmp_path / "files").mkdir()
    return path


def tar(*members: tuple[tarfile.TarInfo, bytes], mode: str = "w", form: int = tarfile.PAX_FORMAT) -> bytes:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode=mode, format=form) as archive:  # type: ignore[call-overload] # any mode
        for info, data in members:
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return whole.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", **pax: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.pax_headers = kind, link, pax
    return info


@pytest.mark.parametrize("mode", ["zip", "w", "w:gz", "w:bz2", "w:xz"])
def test_an_archive_of_a_model_is_unpacked(mode: str, tmp_path: Path) -> None:
    files = {"m.xml": b"<net/>", "sub/m.bin": random.Random(0).randbytes(3 << 20)}  # noqa: S311 - bytes
    if mode == "zip":
        data = zipped(files, method=zipfile.ZIP_DEFLATED)
    else:
        folder = (member("sub", tarfile.DIRTYPE), b"")
        data = tar(folder, *((member(f"./{name}"), body) for name, body in files.items()), mode=mode)
    found = unpacked(packed(tmp_path, data), tmp_path / "files", BOUND)
    assert {name: path.read_bytes() for name, path in found.items()} == files


def _zip_link() -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        info = zipfile.ZipInfo("link")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    return whole.getvalue()


BAD = {
    "a link in a zip": _zip_link(),
    "a traversal in a zip": zipped({"../x": b""}),
    "an absolute name": zipped({"/x": b""}),
    "two names": zipped({"a": b"", "A": b""}),
    "a bomb": zipped({"x": b"\0" * (110 << 20)}, method=zipfile.ZIP_DEFLATED),
    "too much": zipped({"x": b"\0" * 2000}),
    "nothing": zipped({}),
    "a link": tar((member("l", tarfile.SYMTYPE, "/etc/passwd"), b"")),
    "a hard link": tar((member("l", tarfile.LNKTYPE, "/etc/passwd"), b"")),
    "a device": tar((member("d", tarfile.CHRTYPE), b"")),
    "a pipe": tar((member("p", tarfile.FIFOTYPE), b"")),
    "a traversal": tar((member("../../x"), b"x")),
    "a name in a header": tar((member("x", path="../../x"), b"x")),
    "a header without end": tar((member("x", comment="c" * (2 << 20)), b"x")),
    "a cut end": tar((member("x"), b"x" * 5000))[:2000],
    "no archive": b"hello",
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_archive_is_refused_and_leaves_nothing_outside(name: str, tmp_path: Path) -> None:
    bound = 1000 if name == "too much" else BOUND
    with pytest.raises(InvalidInput) as refused:
        unpacked(packed(tmp_path, BAD[name]), tmp_path / "files", bound)
    assert refused.value.code == "archive_refused"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["archive", "files"]


@pytest.mark.timeout(20)
@pytest.mark.parametrize("key", ["model_type", "chat_template"])
def test_a_config_is_looked_at_once_however_deep(key: str) -> None:
    """A document of three megabytes, 900 deep, held a thread for minutes when each level was spelled out."""
    inner = '{"x":"' + "a" * 3_000_000 + '"}'
    nested = f'{{"{key}":' * 900 + inner + "}" * 900
    configs.check("config.json", InMemory(nested.encode()))
