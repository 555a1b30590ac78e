"""Which files are models and datasets: told by their first bytes, never by their names."""

from collections.abc import Mapping

from ovfarm.errors import InvalidInput
from ovfarm.jobs import ModelFormat

HEAD_BYTES = 4096
_ZIP = b"PK\x03\x04"
_REFUSED: tuple[tuple[bytes, str, str], ...] = (
    (_ZIP, "a ZIP archive (PyTorch, TorchScript, torch.export and Keras files are such)",
     "export the model as ONNX or OpenVINO IR; these archives run code when they are opened"),
    (b"\x80\x02", "a Python pickle", "a pickle runs code when it is opened; export the model as ONNX"),
    (b"\x80\x03", "a Python pickle", "a pickle runs code when it is opened; export the model as ONNX"),
    (b"\x80\x04", "a Python pickle", "a pickle runs code when it is opened; export the model as ONNX"),
    (b"\x80\x05", "a Python pickle", "a pickle runs code when it is opened; export the model as ONNX"),
    (b"\x89HDF\r\n\x1a\n", "HDF5 (Keras)", "export the model as ONNX"),
    (b"\x93NUMPY", "a NumPy array", "this is data: register it with POST /v1/datasets"),
)  # fmt: skip


def model_format(heads: Mapping[str, bytes]) -> ModelFormat:
    """Return the format of a set of files by name and first bytes; raises InvalidInput."""
    for name, head in heads.items():
        _refuse(name, head)
    irs = [name for name, head in heads.items() if _is_ir(head)]
    if irs:
        return _whole_ir(irs, heads)
    if any(_is_onnx(head) for head in heads.values()):
        return ModelFormat.ONNX
    raise InvalidInput(
        f"none of these files is a model: {', '.join(sorted(heads))}",
        pointer="/files",
        code="model_format_refused",
        hint="the farm reads ONNX (.onnx, with its external data) and OpenVINO IR (.xml and .bin)",
    )


def _refuse(name: str, head: bytes) -> None:
    for magic, what, hint in _REFUSED:
        if head.startswith(magic):
            raise InvalidInput(
                f"{name} is {what}, which the farm does not open",
                pointer=f"/files/{name.replace('~', '~0').replace('/', '~1')}",
                code="model_format_refused",
                hint=hint,
            )


def _is_ir(head: bytes) -> bool:
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    return text.startswith(b"<") and b"<net" in text


def _is_onnx(head: bytes) -> bool:
    """Tell an ONNX ModelProto: field 1 is ir_version, a small varint; others follow in its range."""
    return len(head) > 2 and head[0] == 0x08 and head[1] < 0x80 and head[2] & 7 in {0, 2}


def _whole_ir(irs: list[str], heads: Mapping[str, bytes]) -> ModelFormat:
    if len(irs) > 1:
        raise InvalidInput(
            f"these are {len(irs)} models: {', '.join(sorted(irs))}",
            pointer="/files",
            code="model_format_refused",
            hint="register one at a time",
        )
    weights = irs[0].removesuffix(".xml") + ".bin"
    if weights not in heads:
        raise InvalidInput(
            f"{irs[0]} has no weights: {weights} is missing",
            pointer="/files",
            code="weights_missing",
            hint="upload both files of the IR under the same name",
        )
    return ModelFormat.IR


def check_dataset(heads: Mapping[str, bytes]) -> None:
    """Accept one ``.npz``; raises InvalidInput with the way to make one."""
    hint = "write one with numpy.savez(path, INPUT=array, labels=array)"
    if len(heads) != 1:
        raise InvalidInput(
            f"a dataset is one .npz file, these are {len(heads)}",
            pointer="/files",
            code="dataset_format_refused",
            hint=hint,
        )
    ((name, head),) = heads.items()
    if not (head.startswith(_ZIP) and b".npy" in head[:512]):
        raise InvalidInput(
            f"{name} is not an .npz of NumPy arrays",
            pointer=f"/files/{name.replace('~', '~0').replace('/', '~1')}",
            code="dataset_format_refused",
            hint=hint,
        )
