"""What transformers had to draw at random because the files of a model do not have it.

``PreTrainedModel.from_pretrained`` makes up the weights that it misses and says so in a log: a head for a
task that the model was never trained for answers, and means nothing.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from transformers import PreTrainedModel

from ovfarm.failures import FailureClass, FailureCode
from ovfarm.patches import Patch
from ovfarm.results import Note, NoteCode
from workers.protocol import failed

# Left out by many who publish weights, and of no account in what is usually computed: the second output of
# encoders, what is only used in training, and counters.
_BY_THE_WAY = re.compile(r"(^|\.)pooler\.|masked_spec_embed$|num_batches_tracked$")
_SHOWN = 5


@contextmanager
def missing_weights() -> Iterator[set[str]]:
    """Yield the names of what is missing from the files that are loaded inside; filled as they are."""
    missing: set[str] = set()
    original = PreTrainedModel.from_pretrained.__func__

    def recorded(
        cls: type[PreTrainedModel], /, *given: Any, output_loading_info: bool = False, **named: Any
    ) -> Any:
        model, info = original(cls, *given, output_loading_info=True, **named)
        missing.update(info["missing_keys"])
        return (model, info) if output_loading_info else model

    PreTrainedModel.from_pretrained = classmethod(recorded)
    try:
        yield missing
    finally:
        PreTrainedModel.from_pretrained = classmethod(original)


def judged(missing: set[str], asked: str | None, task: str) -> tuple[Note, ...]:
    """Return what to say of weights that were drawn at random; raises StepFailed when results rest on them.

    ``asked`` is the task that the recipe names, ``task`` what the model was exported for.
    """
    needed = sorted(name for name in missing if not _BY_THE_WAY.search(name))
    if not needed:
        words = f"NOT IN THE FILES, AND DRAWN AT RANDOM: {_listed(sorted(missing))}"
        return (Note(code=NoteCode.RANDOM_WEIGHTS, message=words),) if missing else ()
    chosen = asked not in {None, "auto"}
    patch = Patch(why="the task that it was trained for", overrides={"convert.task": None})
    raise failed(
        FailureClass.USER,
        FailureCode.WEIGHTS_MISSING,
        f"{task} needs weights that the files do not have: {_listed(needed)}",
        hint="take the task that the model was trained for, or upload the model that was trained for this one"
        if chosen
        else "upload all files that save_pretrained wrote; do config.json and the weights belong together?",
        evidence="\n".join(needed),
        patches=(patch,) if chosen else (),
    )


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
