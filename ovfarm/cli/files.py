"""From what a person names (a file, a folder, an id) to what the farm registers."""

from pathlib import Path
from uuid import UUID

import yaml
from pydantic import ValidationError

from ovfarm.client import Client
from ovfarm.errors import InvalidInput
from ovfarm.fields import mistake
from ovfarm.recipes import Recipe
from ovfarm.shapes import parse_id

_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")


def model(client: Client, named: str) -> UUID:
    """Return the id of a model: an id, a file, folder or archive to upload, or a source to fetch."""
    if named.startswith("mod_"):
        return _id("mod", named)
    if named.startswith(("hf://", "https://")):
        return client.register_source(named.rpartition("/")[2][:200], named).id
    path = Path(named)
    if path.is_file() and path.name.endswith(_ARCHIVES):
        return client.register_archive(path.name, path).id
    return client.register_model(path.name, _model_files(path)).id


def _id(prefix: str, named: str) -> UUID:
    try:
        return parse_id(prefix, named)
    except ValueError as malformed:
        raise InvalidInput(f"{named}: {malformed}") from None


def _model_files(path: Path) -> dict[str, Path]:
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
    weights = path.with_suffix(".bin")
    if path.suffix == ".xml" and weights.is_file():
        return {path.name: path, weights.name: weights}
    return {path.name: path}


def dataset(client: Client, named: str) -> UUID:
    """Return the id of a dataset: given as an id, or uploaded from a file or a folder."""
    if named.startswith("dat_"):
        return _id("dat", named)
    path = Path(named)
    return client.register_dataset(path.name or path.resolve().name, path).id


def recipe(named: str) -> str | Recipe:
    """Return a recipe: the name of one, or a whole one from a YAML or JSON file."""
    path = Path(named)
    if path.suffix not in {".yaml", ".yml", ".json"}:
        return named
    try:
        raw = yaml.safe_load(path.read_text())
        if not isinstance(raw, dict):
            raise InvalidInput(f"{path} is no recipe: it has no section 'steps'")
        return Recipe.model_validate({"name": path.stem} | raw)
    except OSError as missing:
        raise InvalidInput(f"{path} cannot be read: {missing.strerror}") from None
    except yaml.YAMLError as malformed:
        raise InvalidInput(f"{path} is not YAML: {malformed}") from None
    except ValidationError as invalid:
        raise InvalidInput(f"{path}: {mistake(invalid, Recipe)}") from None
