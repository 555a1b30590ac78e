"""JSON beside a model: bounded, strict, and without anything that would have code fetched or run."""

import json
import re
from collections.abc import Iterator

from api.intake.content import Bytes
from api.intake.refusal import refused
from ovfarm.errors import InvalidInput

# A vocabulary is large, and so is the index of a great many weights; nothing else that describes a model is.
_MAX_TOKENIZER, _MAX_OTHER, _MAX_TEMPLATE = 100 << 20, 4 << 20, 256 << 10
_LARGE = {"tokenizer.json", "vocab.json", "model.safetensors.index.json"}
_REMOTE_KEYS = {"auto_map", "_attn_implementation_internal", "trust_remote_code", "custom_code"}
_REMOTE_PREFIX = "custom_pipeline"
_REMOTE_WORD = re.compile(
    rb'"(?:' + b"|".join(re.escape(key.encode()) for key in sorted(_REMOTE_KEYS)) + rb')"\s*:'
)
_BLOCK, _LONGEST_WORD = 1 << 20, 200
# Their exporters name a second repository in the config and load it with its code.
REMOTE_TYPES = frozenset({"llava-qwen2", "llava_qwen2", "phi3_v", "videochat_flash_qwen", "funasr"})
_HINT = "export the model where its code is trusted, and upload the ONNX or IR that comes of it"
_INDEX_PARTS = {None, "diffusers", "transformers", "onnxruntime.transformers"}


def check(name: str, file: Bytes) -> None:
    """Raise InvalidInput for a config that is too large, no JSON, or asks for remote code.

    Only what is called JSON has to be: chat templates, vocabularies and pages begin with brackets too.
    """
    promised = name.endswith(".json")
    bound = _MAX_TOKENIZER if name.rsplit("/", 1)[-1] in _LARGE else _MAX_OTHER
    if promised and file.size > bound:
        raise _unreadable(name, f"has {file.size} bytes; a config has at most {bound}")
    if file.size > _MAX_OTHER:
        _scan(name, file)
        return
    try:
        found = json.loads(file.at(0, file.size), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        if promised:
            raise _unreadable(name, "is not JSON, or nested too deeply") from None
        return
    for key, value in _pairs(found):
        _check_pair(name, key, value)


def check_template(name: str, file: Bytes) -> None:
    """Raise InvalidInput for a chat template that is larger than any is."""
    if file.size > _MAX_TEMPLATE:
        raise _unreadable(name, f"has {file.size} bytes; a chat template has at most {_MAX_TEMPLATE}")


def _scan(name: str, file: Bytes) -> None:
    """Look for the words alone: a large vocabulary as objects would take the memory of a small machine."""
    overlap = b""
    for at in range(0, file.size, _BLOCK):
        block = overlap + file.at(at, _BLOCK)
        if match := _REMOTE_WORD.search(block):
            raise refused(name, f"asks for code with {match.group()!r}", _HINT, "remote_code_refused")
        overlap = block[-_LONGEST_WORD:]


def _check_pair(name: str, key: str, value: object) -> None:
    remote = key in _REMOTE_KEYS or key.startswith(_REMOTE_PREFIX)
    if remote and value not in (None, False, {}, [], ""):
        raise refused(name, f"asks for code with {key!r}", _HINT, "remote_code_refused")
    if key == "model_type" and isinstance(value, str) and value in REMOTE_TYPES:
        words = f"is of the type {value!r}, whose export loads code from another repository"
        raise refused(name, words, _HINT, "remote_code_refused")
    if key == "chat_template" and _length(value) > _MAX_TEMPLATE:
        raise _unreadable(name, f"has a chat template of more than {_MAX_TEMPLATE} characters")
    # Pipelines name the modules of their parts, and whatever is named is imported.
    if name.rsplit("/", 1)[-1] == "model_index.json" and _imports(value):
        raise refused(
            name, f"has a part {key[:80]!r} of a module that it names", _HINT, "remote_code_refused"
        )


def _length(template: object) -> int:
    """Return the length of a chat template, or of all those of a list."""
    several = template if isinstance(template, list) else [template]
    texts = (each.get("template") if isinstance(each, dict) else each for each in several)
    return sum(len(text) for text in texts if isinstance(text, str))


def _imports(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and value[0] not in _INDEX_PARTS


def _pairs(found: object) -> Iterator[tuple[str, object]]:
    """Yield every key with its value, at any depth; no recursion, because the depth is a stranger's."""
    waiting = [found]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield from value.items()
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


def _no_constant(word: str) -> object:
    raise ValueError(word)


def _unreadable(name: str, words: str) -> InvalidInput:
    return refused(name, words, "upload the files as they were saved", "config_unreadable")
