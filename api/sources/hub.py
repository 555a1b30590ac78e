"""``hf://org/name@revision[/folder]``: a repository of the Hugging Face hub at one commit."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, ValidationError

from api.sources.fetch import Fetched, Fetcher
from ovfarm.errors import InvalidInput, Unavailable

HUB = "https://huggingface.co"
_FORM = re.compile(r"^hf://([\w.-]{1,96}/[\w.-]{1,96})(?:@([\w.-]{1,100}))?(?:/([\w./-]{1,200}))?$")
_COMMIT = re.compile(r"^[0-9a-f]{40}$")
_MAX_LISTING, _MAX_FILES = 20 << 20, 1000
# What a model is made of; what runs code when it is opened, or is code, is not even asked for.
_WANTED = (
    ".json",
    ".jsonl",
    ".txt",
    ".model",
    ".onnx",
    ".onnx_data",
    ".xml",
    ".bin",
    ".safetensors",
    ".jinja",
)
_UNWANTED = re.compile(r"(pytorch_model|training_args|optimizer|scheduler|rng_state|flax_model|tf_model)")


@dataclass(frozen=True, slots=True)
class Repository:
    """What is asked for; ``revision`` may be a branch, a tag or a commit."""

    name: str
    revision: str
    folder: str


class _File(BaseModel):
    model_config = ConfigDict(extra="ignore")

    rfilename: str


class _Listing(BaseModel):
    model_config = ConfigDict(extra="ignore")

    sha: str
    siblings: tuple[_File, ...]


def repository(source: str) -> Repository:
    """Return what a source asks for; raises InvalidInput with the form."""
    match = _FORM.match(source)
    parts = match.groups(default="") if match else ()
    if not match or ".." in source:
        raise InvalidInput(
            f"{source[:200]!r} names no repository",
            pointer="/source",
            code="source_refused",
            hint="hf://org/name, hf://org/name@revision or hf://org/name@revision/folder",
        )
    return Repository(parts[0], parts[1] or "main", parts[2].strip("/"))


def fetched(
    fetcher: Fetcher, asked: Repository, into: Path, bound: int, token: str
) -> tuple[str, dict[str, Fetched]]:
    """Return the commit and the files below the folder, by name; raises InvalidInput, Unavailable.

    The revision is resolved once; everything is asked for by its commit. A repository that has moved
    to another owner is not followed.
    """
    listing = _listed(fetcher, asked, into, token)
    files: dict[str, Fetched] = {}
    for path, name in _wanted(listing, asked.folder):
        url = f"{HUB}/{asked.name}/resolve/{listing.sha}/{quote(path)}"
        files[name] = fetcher.download(url, into / str(len(files)), bound, token=token)
        bound -= files[name].size
    if not files:
        raise InvalidInput(
            f"{asked.name} has no model files" + (f" in {asked.folder}" if asked.folder else ""),
            pointer="/source",
            code="source_refused",
            hint=f"the farm asks for {', '.join(_WANTED)}",
        )
    return listing.sha, files


def _listed(fetcher: Fetcher, asked: Repository, into: Path, token: str) -> _Listing:
    url = f"{HUB}/api/models/{asked.name}/revision/{quote(asked.revision, safe='')}"
    answer = fetcher.download(url, into / "listing", _MAX_LISTING, token=token, redirects=0)
    try:
        listing = _Listing.model_validate_json(answer.path.read_bytes())
    except ValidationError:
        raise Unavailable(f"the hub's answer about {asked.name} is no listing", code="source") from None
    if not _COMMIT.match(listing.sha) or len(listing.siblings) > _MAX_FILES:
        raise Unavailable(f"the hub names no commit of {asked.name}, or too many files", code="source")
    if _COMMIT.match(asked.revision) and listing.sha != asked.revision:
        raise Unavailable(f"the hub answers for another commit than {asked.revision}", code="source")
    return listing


def _wanted(listing: _Listing, folder: str) -> Iterator[tuple[str, str]]:
    """Yield the path and the name of each file that is asked for; without a folder, those at the top."""
    for file in listing.siblings:
        path = file.rfilename
        head, _, name = path.rpartition("/")
        inside = path.startswith(f"{folder}/") if folder else not head
        if inside and name.endswith(_WANTED) and not _UNWANTED.match(name):
            yield path, path.removeprefix(f"{folder}/") if folder else path
