"""Which files of a path are a dataset: one file, or a folder with all that is in it."""

from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from ovfarm.datasets import MAX_FILES
from ovfarm.errors import InvalidInput
from ovfarm.shapes import FileName

_NAME: TypeAdapter[str] = TypeAdapter(FileName)


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
