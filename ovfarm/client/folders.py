"""Which files of a path are a model or a dataset: a file, its weights if they lie beside it, or a folder."""

from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from ovfarm.datasets import MAX_FILES
from ovfarm.errors import InvalidInput
from ovfarm.shapes import FileName

_NAME: TypeAdapter[str] = TypeAdapter(FileName)
# What the weights of a model's file are called, where they are another file.
_WEIGHTS = {".xml": ".bin", ".pdmodel": ".pdiparams"}


def model_files(path: Path) -> dict[str, Path]:
    """Return the files to register by name: a folder's, or one with its weights; raises InvalidInput."""
    if path.is_dir():
        files = {p.relative_to(path).as_posix(): p for p in sorted(path.rglob("*")) if p.is_file()}
        if not files:
            raise InvalidInput(f"{path} is an empty folder")
        return files
    if not path.is_file():
        raise InvalidInput(
            f"there is no file {path}",
            hint="MODEL is a .onnx, an .xml, a folder, an archive, hf://org/name, or a mod_… id",
        )
    weights = path.with_suffix(_WEIGHTS.get(path.suffix, path.suffix))
    return {one.name: one for one in (path, weights) if one.is_file()}


def dataset_files(path: Path) -> dict[str, Path]:
    """Return the files to register by name; raises InvalidInput before anything is uploaded.

    Files that are hidden (``.DS_Store``) are left out.
    """
    if path.is_file():
        return {path.name: path}
    if not path.is_dir():
        raise InvalidInput(
            f"there is no file {path}",
            hint="data is an .npz, .jsonl, .txt, .parquet or .csv, a folder of .npy files or images, or a "
            "dat_… id",
        )
    files = {p.relative_to(path).as_posix(): p for p in sorted(path.rglob("*")) if p.is_file()}
    shown = {
        name: p for name, p in files.items() if not any(part.startswith(".") for part in name.split("/"))
    }
    if not shown:
        raise InvalidInput(f"{path} is an empty folder")
    if len(shown) > MAX_FILES:
        raise InvalidInput(
            f"{path} has {len(shown)} files; a dataset has at most {MAX_FILES}",
            hint="give fewer: hundreds calibrate, thousands judge; or pack numbers into a .parquet",
        )
    for name in shown:
        try:
            _NAME.validate_python(name)
        except ValidationError:
            raise InvalidInput(
                f"the file name {name!r} cannot be kept",
                hint="names are letters, digits and . _ - / up to 200 characters: rename it",
            ) from None
    return shown
