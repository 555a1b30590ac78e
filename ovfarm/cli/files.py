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
    return client.register_model(path.name, path).id


def _id(prefix: str, named: str) -> UUID:
    try:
        return parse_id(prefix, named)
    except ValueError as malformed:
        raise InvalidInput(f"{named}: {malformed}") from None


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
