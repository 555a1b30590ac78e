"""What gates and choices say."""

from ovfarm.failures import FailureCode as C
from ovfarm.hints.hint import Hint, Remedy, Topic
from ovfarm.hints.notes import CLOSER
from ovfarm.results import NoteCode as N

_NOTHING = "nothing to do"
_TWICE = Remedy(why="allow twice the drop, if that is bearable", times={"evaluate.max_drop": 2})

GATES: dict[C | N, Hint] = {
    N.GATE_PASSED: Hint(topic=Topic.ACCURACY, means="The drop is within max_drop.", words=_NOTHING),
    N.GATE_FAILED: Hint(
        topic=Topic.ACCURACY,
        means="The drop is more than max_drop, so what comes after this gate is not done.",
        words="set a larger max_drop if the drop is bearable, or keep more in floating point",
        patches=CLOSER,
    ),
    N.NOT_REACHED: Hint(
        topic=Topic.OPERATION,
        means="A gate before this step did not pass, so it did nothing.",
        words="look at the gate that the message names",
    ),
    N.NOT_NEEDED: Hint(
        topic=Topic.OPERATION,
        means="The step is for when a gate fails, and the gate passed.",
        words=_NOTHING,
    ),
    N.CHOSEN: Hint(topic=Topic.ACCURACY, means="Which variant was taken, and why.", words=_NOTHING),
    N.NOTHING_PASSED: Hint(
        topic=Topic.ACCURACY,
        means="No gate passed, so the reference was taken as it came.",
        words="allow a larger max_drop, or give more calibration data",
        patches=(
            _TWICE,
            Remedy(why="more calibration data, if there are so many rows", times={"quantize.subset_size": 3}),
        ),
    ),
}
