"""The corpus: kinds of hostile files times their disguises, each with the code that its owner is told."""

import json
import zipfile
from collections.abc import Iterator

import numpy as np

from tests.hostile import graphs
from tests.hostile.formats import formats
from tests.hostile.hostile import CANARY_PORT, CONVERTED, As, Hostile, hostile
from tests.hostile.payloads import DISGUISES, OTHERS, PICKLES, ZIPS, npz, pickled, zipped

REFUSED, OUTSIDE, MISSING = "model_format_refused", "external_data_outside", "weights_missing"
UNREADABLE, COMPLEX, NO_MEMORY = "model_unreadable", "model_too_complex", "out_of_memory"
REMOTE, CONFIG, NAME = "remote_code_refused", "config_unreadable", "file_name_refused"
DATA, DATA_FORMAT = "dataset_unreadable", "dataset_format_refused"


def corpus() -> list[Hostile]:
    """Return all hostile files; the same at every call."""
    return [
        *_programs(), *_polyglots(), *_external_data(), *_irs(), *_bombs(), *_headers(), *_configs(),
        *_names(), *_datasets(), *formats(), *_fragments(), *_unfit(),
    ]  # fmt: skip


def _programs() -> Iterator[Hostile]:
    for kind, content in {**PICKLES, **ZIPS, **OTHERS}.items():
        for name in DISGUISES:
            yield hostile(f"{kind} as {name}", {name: content}, REFUSED)
        yield hostile(f"{kind} beside a model", {"model.onnx": graphs.plain(), "w.bin": content}, REFUSED)


def _polyglots() -> Iterator[Hostile]:
    for name in ("model.onnx", "model", "model.pb"):
        yield hostile(f"onnx and zip as {name}", {name: graphs.with_zip(graphs.plain())}, REFUSED)
        yield hostile(f"onnx then zip as {name}", {name: graphs.plain() + ZIPS["torch"]}, REFUSED)
    weights = np.ones(4, np.float32).tobytes()
    commented = graphs.ir() + b"<!--" + ZIPS["pt2"] + b"-->"
    yield hostile("ir and zip", {"m.xml": commented, "m.bin": weights}, REFUSED)
    yield hostile("ir, its weights and zip", {"m.xml": graphs.ir(), "m.bin": weights + ZIPS["pt2"]}, REFUSED)
    good = graphs.safetensors({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, b"\0" * 4)
    yield hostile("safetensors and zip", {"model.safetensors": good + ZIPS["torch"]}, REFUSED)


def _external_data() -> Iterator[Hostile]:
    places = (
        "../secret", "a/../../secret", "/etc/passwd", "/proc/self/environ", "/dev/zero", "//etc/passwd",
        "../in/model/../../secret",
    )  # fmt: skip
    for place in places:
        yield hostile(f"weights at {place}", {"m.onnx": graphs.external(place)}, OUTSIDE, MISSING)
    data = {"w.bin": b"\0" * 64}
    for key, value in (
        ("offset", "4096"),
        ("offset", "-64"),
        ("length", "1" + "0" * 15),
        ("length", "-1"),
        ("offset", str(2**64 - 1)),
    ):
        content = graphs.external("w.bin", **{key: value})
        yield hostile(f"weights with {key} {value}", {"m.onnx": content, **data}, MISSING, UNREADABLE)
    yield hostile("weights that are missing", {"m.onnx": graphs.external("gone.bin")}, MISSING)
    yield hostile(
        "weights at a URL", {"m.onnx": graphs.external(f"http://127.0.0.1:{CANARY_PORT}/w")}, MISSING, OUTSIDE
    )


def _irs() -> Iterator[Hostile]:
    weights = np.ones(4, np.float32).tobytes()
    lies: dict[str, dict[str, object]] = {
        "an offset beyond the file": {"offset": 1 << 20},
        "an offset that wraps": {"offset": 2**64 - 8},
        "a negative offset": {"offset": -16},
        "a size beyond the file": {"size": 1 << 30},
        "a size of another shape": {"size": 4},
        "a shape that overflows": {"shape": "4294967296,4294967296", "dims": "<dim>4294967296</dim>" * 2},
        "a negative shape": {"shape": "-1,4"},
        "an unknown type": {"type": "f99"},
        "an unknown operation": {"op": "Frobnicate"},
        "an operation of an extension": {"op": "Custom", "opset": "extension"},
        "a cycle": {"edges": '<edge from-layer="2" from-port="2" to-layer="2" to-port="0"/>'},
        "an edge to nowhere": {"edges": '<edge from-layer="0" from-port="0" to-layer="99" to-port="0"/>'},
    }
    for name, lie in lies.items():
        codes = (UNREADABLE, MISSING, "unsupported_operation", NO_MEMORY)
        yield hostile(f"ir with {name}", {"m.xml": graphs.ir(**lie), "m.bin": weights}, *codes)
    entity = b'<?xml version="1.0"?><!DOCTYPE net [<!ENTITY x SYSTEM "http://127.0.0.1:24713/x">]>'
    yield hostile("ir with an entity", {"m.xml": entity + graphs.ir()[21:], "m.bin": weights}, REFUSED)
    yield hostile("ir without weights", {"m.xml": graphs.ir()}, MISSING)
    yield hostile("ir with short weights", {"m.xml": graphs.ir(), "m.bin": b"\0" * 4}, MISSING, UNREADABLE)
    yield hostile("ir with no weights in the file", {"m.xml": graphs.ir(), "m.bin": b""}, MISSING)
    deep = graphs.ir(before="<a>" * 300_000 + "</a>" * 300_000)
    yield hostile("ir that is deep", {"m.xml": deep, "m.bin": weights}, UNREADABLE, CONVERTED)
    yield hostile(
        "two irs", {"a.xml": graphs.ir(), "a.bin": b"", "b.xml": graphs.ir(), "b.bin": b""}, REFUSED
    )


def _bombs() -> Iterator[Hostile]:
    for depth in (9, 10, 12):
        yield hostile(f"if in if, {depth} deep", {"m.onnx": graphs.nested(depth)}, COMPLEX)
    for length in (100_001, 200_000):
        yield hostile(f"a chain of {length}", {"m.onnx": graphs.chain(length)}, COMPLEX)
    for power in (34, 36, 40, 62):
        content = graphs.constant_of_shape(1 << power)
        yield hostile(f"a constant of 2^{power}", {"m.onnx": content}, NO_MEMORY, UNREADABLE, CONVERTED)
        yield hostile(
            f"tiled 2^{power} times", {"m.onnx": graphs.tiled(1 << power)}, NO_MEMORY, CONVERTED, UNREADABLE
        )
    bodies = graphs.ir(before="<body>" * 20 + "<layer />" + "</body>" * 20)
    yield hostile("ir with bodies in bodies", {"m.xml": bodies, "m.bin": b"\0" * 16}, COMPLEX)
    layers = graphs.ir(before="<layer id='9'/>" * 100_001)
    yield hostile("ir with too many layers", {"m.xml": layers, "m.bin": b"\0" * 16}, COMPLEX)


def _headers() -> Iterator[Hostile]:
    one = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    bad = {
        "header of 2^40": graphs.safetensors(b"{}", length=1 << 40),
        "header of 101 MB": graphs.safetensors(b"{" + b" " * 2000, length=101 << 20),
        "header cut short": graphs.safetensors(b'{"a": 1}', length=5000),
        "end beyond the file": graphs.safetensors(
            {"a": {**one, "data_offsets": [0, 400], "shape": [100]}}, b"\0" * 4
        ),
        "overlap": graphs.safetensors({"a": one, "b": one}, b"\0" * 4),
        "hole": graphs.safetensors({"a": {**one, "data_offsets": [4, 8]}}, b"\0" * 8),
        "overflow": graphs.safetensors({"a": {**one, "shape": [1 << 32, 1 << 32]}}, b"\0" * 4),
        "shape of another size": graphs.safetensors({"a": {**one, "shape": [2]}}, b"\0" * 4),
        "unknown type": graphs.safetensors({"a": {**one, "dtype": "X9"}}, b"\0" * 4),
        "negative offsets": graphs.safetensors({"a": {**one, "data_offsets": [-4, 0]}}, b"\0" * 4),
        "no object": graphs.safetensors(b'{"a": [' + b"[" * 100_000),
        "a number for a tensor": graphs.safetensors({"a": 7}, b"\0" * 4),
    }
    for name, content in bad.items():
        for file in ("model.safetensors", "model.bin"):
            yield hostile(
                f"safetensors with {name} as {file}", {file: content}, "safetensors_refused", REFUSED
            )


def _configs() -> Iterator[Hostile]:
    beside = {"model.onnx": graphs.plain()}
    remote: dict[str, object] = {
        "auto_map": {"AutoModel": "evil.Model"}, "_attn_implementation_internal": "evil/kernel",
        "trust_remote_code": True, "custom_pipelines": {"x": "evil"}, "custom_code": "evil.py",
    }  # fmt: skip
    for key, value in remote.items():
        for file in ("config.json", "tokenizer_config.json", "sub/config.json", "notes.txt"):
            content = json.dumps({"a": [{"deep": {key: value}}]}).encode()
            yield hostile(f"{key} in {file}", {**beside, file: content}, REMOTE)
    for kind in ("llava-qwen2", "phi3_v", "videochat_flash_qwen", "funasr"):
        yield hostile(
            f"config of {kind}", {**beside, "config.json": json.dumps({"model_type": kind}).encode()}, REMOTE
        )
    index = json.dumps({"_class_name": "P", "unet": ["evil_module", "Net"]}).encode()
    yield hostile("a pipeline's module", {**beside, "model_index.json": index}, REMOTE)
    unreadable = {
        "deep": b"[" * 200_000, "nan": b'{"a": NaN}', "digits": b'{"a": ' + b"9" * 6000 + b"}",
        "no utf-8": b'{"a": "\xff\xfe"}', "cut": b'{"a": ', "large": b'{"a": "' + b"x" * (5 << 20) + b'"}',
        "template": json.dumps({"chat_template": "{% for a in range(9) %}" * 20_000}).encode(),
    }  # fmt: skip
    for name, content in unreadable.items():
        for file in ("config.json", "tokenizer_config.json"):
            yield hostile(f"{name} {file}", {**beside, file: content}, CONFIG)
    for name in (
        "json.py",
        "sitecustomize.py",
        "diffusers.py",
        "sub/modeling.py",
        "numpy.so",
        "x.pyc",
        "y.dll",
    ):
        yield hostile(f"a model with {name}", {**beside, name: b"import os\n"}, REFUSED)


def _names() -> Iterator[Hostile]:
    bad = (
        "../m.onnx", "/m.onnx", "a/../../m.onnx", "./m.onnx", "a//m.onnx", "m\x00.onnx", "m\n.onnx",
        "<b>.onnx", "m\u202exnno.onnx", "m;rm -rf.onnx", "a" * 300 + ".onnx", "\x1b[31mred.onnx",
        "m\ud800.onnx", "C:\\m.onnx",
    )  # fmt: skip
    for name in bad:
        yield hostile(f"the name {name!r}", {name: graphs.plain()}, NAME)


def _npy(header: str, body: bytes = b"") -> bytes:
    told = header.encode().ljust(118) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(told).to_bytes(2, "little") + told + body


def _array(shape: str, body: bytes = b"") -> bytes:
    return _npy(f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}", body)


def _datasets() -> Iterator[Hostile]:
    good = npz(x=np.zeros((4, 4), np.float32))
    objects = np.array([None], dtype=object)
    inside = {
        "an object array": npz(x=objects),
        "a header of 2^40": zipped({"x.npy": _array("(1099511627776,)")}),
        "a header that is code": zipped({"x.npy": _npy("__import__('os').system('true')")}),
        "a header that is deep": zipped({"x.npy": _npy("(" * 100)}),
        "a version of the future": zipped({"x.npy": b"\x93NUMPY\x09\x00" + b"\0" * 100}),
        "a pickle for an array": zipped({"x.npy": pickled(2)}),
        "an array that is cut": zipped({"x.npy": _array("(4, 4)", b"\0" * 8)}),
        "nothing in its array": zipped({"x.npy": b""}),
        "a negative shape": zipped({"x.npy": _array("(-4, 4)", b"\0" * 64)}),
    }  # fmt: skip
    for name, content in inside.items():
        yield hostile(f"data with {name}", {"d.npz": content}, DATA, "dataset_shape", of=As.DATASET)
    encrypted = bytearray(good)
    at = good.rfind(b"PK\x01\x02")
    encrypted[at + 8] |= 1
    outside = {
        "a bomb": zipped({"x.npy": b"\0" * (120 << 20)}, method=zipfile.ZIP_DEFLATED),
        "a nested archive": zipped({"x.npz": good}),
        "a traversal": zipped({"../x.npy": b""}),
        "an absolute name": zipped({"/x.npy": b""}),
        "a hidden name": zipped({".npy": b""}),
        "too many arrays": zipped({f"a{n}.npy": b"" for n in range(1001)}),
        "an encrypted array": bytes(encrypted),
        "a packing of its own": zipped({"x.npy": b"x" * 100}, method=zipfile.ZIP_LZMA),
        "its end cut off": good[:-30],
        "its directory damaged": good[:at] + b"XXXX" + good[at + 4 :],
        "no array": zipped({}),
        "a pickle": pickled(4),
        "text": b"a,b\n1,2\n",
        "nothing": b"",
    }
    for name, content in outside.items():
        yield hostile(f"data of {name}", {"d.npz": content}, DATA_FORMAT, of=As.DATASET)
    alone = _array("(1,)", b"\0" * 4)
    yield hostile("data of an array alone", {"d.npz": alone}, DATA, "dataset_shape", of=As.DATASET)
    yield hostile("data of two files", {"a.npz": good, "b.npz": b"PK\x03\x04"}, DATA_FORMAT, of=As.DATASET)


def _fragments() -> Iterator[Hostile]:
    """What is cut off anywhere is said to be so; the empty file too."""
    whole = graphs.plain()
    for part in range(1, 12):
        cut = whole[: len(whole) * part // 12]
        yield hostile(f"{part}/12 of a model", {"m.onnx": cut}, UNREADABLE, REFUSED)
    for size in (0, 1, 2, 7):
        yield hostile(f"{size} bytes", {"m.onnx": whole[:size]}, REFUSED, UNREADABLE)
    for word in (b"\0" * 4096, b"\xff" * 4096, b"hello", b"<html><net>", b"\x08\x09" + b"\x80" * 100):
        yield hostile(f"{word[:6]!r}…", {"m.onnx": word}, REFUSED, UNREADABLE, MISSING)


def _unfit() -> Iterator[Hostile]:
    """Models that are sound and cannot be fed with rows, or do not answer with rows."""
    four = [("x", "float", ["n", 4])]
    relu: list[graphs.Node] = [("Relu", ["x"], ["y"], {})]
    shape, axis, none = ("s", [1, 4]), ("a", [0]), ("b", [1])
    reshape: list[graphs.Node] = [("Reshape", ["x", "s"], ["y"], {})]
    total = [("ReduceSum", ["x"], ["y"], {"keepdims": 0})]
    column = [("ReduceSum", ["x", "a"], ["y"], {"keepdims": 1})]
    slice_of_nothing: list[graphs.Node] = [("Slice", ["x", "a", "a", "b"], ["y"], {})]
    cases = {
        "a fixed reshape": (graphs.made(reshape, four, shape), "inference_failed"),
        "one number for an output": (graphs.made(total, four), "output_shape"),
        "one row for all": (graphs.made(column, four, axis), "output_shape"),
        "an empty output": (graphs.made(slice_of_nothing, four, axis, none), "output_shape"),
        "batches of nothing": (graphs.made(relu, [("x", "float", [0, 4])]), "model_unusable"),
        "one number for an input": (graphs.made(relu, [("x", "float", [])]), "model_unusable"),
        "no inputs": (graphs.made([("Identity", ["s"], ["y"], {})], [], shape), "model_unusable"),
        "strings": (
            graphs.made([("Identity", ["x"], ["y"], {})], [("x", "string", ["n", 4])]),
            "model_unusable",
        ),
    }
    for name, (content, code) in cases.items():
        yield hostile(f"a model with {name}", {"m.onnx": content}, code, evaluated=True)
    named = graphs.made([("Relu", ["x"], ["y\x01"], {})], four, output="y\x01")
    yield hostile("a control character in a name", {"m.onnx": named}, UNREADABLE)
    odd = graphs.made([("Relu", ["xQZ"], ["y"], {})], [("xQZ", "float", ["n", 4])]).replace(
        b"xQZ", b"x\xff\xfe"
    )
    yield hostile("a name that is no UTF-8", {"m.onnx": odd}, UNREADABLE)
    padded = b" " * 4097 + b'{"auto_map": {"AutoModel": "evil.Model"}}'
    yield hostile("auto_map behind spaces", {"m.onnx": graphs.plain(), "config.json": padded}, REMOTE)
    large = b'{"a": "' + b"x" * (5 << 20) + b'", "auto_map" : {}}'
    yield hostile(
        "auto_map in a large tokenizer", {"m.onnx": graphs.plain(), "tokenizer.json": large}, REMOTE
    )
    both = {"a": graphs.plain(), "a/b": b"x"}
    yield hostile("a file that is a folder", both, NAME)
