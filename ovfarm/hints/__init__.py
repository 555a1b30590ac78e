"""What may help, by the code of a failure or a note; a step's own, more precise words win.

``ovfarm.advice`` binds the patches to a job and leaves out those that its recipe would refuse.
"""

from collections.abc import Mapping

from ovfarm.failures import FailureCode
from ovfarm.hints.data import DATA
from ovfarm.hints.exports import EXPORTS
from ovfarm.hints.farm import FARM
from ovfarm.hints.gates import GATES
from ovfarm.hints.hint import Hint, Remedy, Topic
from ovfarm.hints.methods import METHODS
from ovfarm.hints.models import MODELS
from ovfarm.hints.notes import NOTES
from ovfarm.hints.running import RUNNING
from ovfarm.results import NoteCode

__all__ = ["HINTS", "Hint", "Remedy", "Topic"]

HINTS: Mapping[FailureCode | NoteCode, Hint] = {
    **MODELS,
    **METHODS,
    **DATA,
    **RUNNING,
    **FARM,
    **NOTES,
    **EXPORTS,
    **GATES,
}
