"""Which networks a folder holds: one ``model.xml``, or the parts of a Hugging Face model with their company.

The names are optimum-intel's, so that ``OVModel…from_pretrained`` and ``openvino_genai`` take the folder
as it is: ``openvino_model.xml``, ``openvino_encoder_model.xml``, ``unet/openvino_model.xml``. Tokenizers
are IR as well, but no networks: they travel along, as the configuration does.
"""

import re
import shutil
from collections.abc import Set as AbstractSet
from pathlib import Path

from ovfarm.failures import FailureClass, FailureCode
from ovfarm.gates import CHOSEN_FILE
from workers.kit.described import CONFIG, PIPELINE
from workers.protocol import failed

ALONE = "model"
# What a compression has measured of activations: a folder beside its model, and no part of it.
STATISTICS = "statistics"
TOKENIZER = "openvino_tokenizer.xml"
_CONFIGURED = (CONFIG, PIPELINE)
_TOKENIZERS = re.compile(r"openvino_(de)?tokenizer(_\d+)?$")
# Those that the others serve, the most important first.
_LARGEST = ("language_model", "decoder_model", "decoder_with_past_model", "unet", "transformer", "model")


def networks(folder: Path) -> dict[str, Path]:
    """Return the IRs of a folder by name, relative to it: ``model``, or ``encoder_model`` and its like."""
    found = (path.relative_to(folder) for path in sorted(folder.rglob("*.xml")))
    return {_name(path): path for path in found if not _TOKENIZERS.match(path.stem)}


def is_package(folder: Path) -> bool:
    """Tell a folder in optimum-intel's layout, whose file names mean something, from a lone IR."""
    return any((folder / name).exists() for name in _CONFIGURED)


def _name(path: Path) -> str:
    stem = path.stem.removeprefix("openvino_")
    folder = path.parent.as_posix()
    return stem if folder == "." else folder if stem == ALONE else f"{folder}/{stem}"


def check_one(folder: Path, verb: str) -> None:
    """Raise StepFailed for a model of several networks where only one can be worked on."""
    found = networks(folder)
    if len(found) > 1:
        raise failed(
            FailureClass.USER,
            FailureCode.SEVERAL_NETWORKS,
            f"the model has {len(found)} networks ({', '.join(found)}), and {verb} works on one",
            hint="compress without data works on all of them: take the recipe int8-weights or int4",
        )


def principal(folder: Path) -> str:
    """Return the name of the network that does most of the work; a model that is no IR yet is one."""
    found = networks(folder)
    return next((name for name in (*_LARGEST, *found) if name in found), ALONE)


def home(folder: Path, name: str) -> Path:
    """Return the folder of a network's own configuration: in a pipeline each has one."""
    return (folder / networks(folder).get(name, Path(ALONE))).parent


def generates(name: str) -> bool:
    """Tell the networks that run once for each token or each step of denoising, and hold most weights."""
    return name in _LARGEST


def carry(source: Path, target: Path) -> None:
    """Copy what goes with the networks: tokenizers, configuration, templates."""
    left = {file for path in networks(source).values() for file in (path, path.with_suffix(".bin"))}
    left.add(Path(CHOSEN_FILE))
    copy(source, target, left)


def copy(source: Path, target: Path, left: AbstractSet[Path] = frozenset()) -> None:
    """Copy all files but those in ``left``: their bytes alone, because a step may change no mode."""
    for path in sorted(file for file in source.rglob("*") if file.is_file()):
        name = path.relative_to(source)
        if name not in left and name.parts[0] != STATISTICS:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target / name)
