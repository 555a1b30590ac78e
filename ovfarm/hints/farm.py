"""What happens to the farm itself: children that die, nodes that go, stores that do not answer."""

from ovfarm.failures import FailureClass
from ovfarm.failures import FailureCode as C
from ovfarm.hints.hint import Hint, Remedy, Topic
from ovfarm.results import NoteCode as N

_CRASH, _INFRA, _USER = (FailureClass.CRASH,), (FailureClass.INFRA,), (FailureClass.USER,)
_MORE_ATTEMPTS = Remedy(why="more attempts, each on another node", times={"limits.max_attempts": 2})


def _hint(classes: tuple[FailureClass, ...], means: str, words: str, *patches: Remedy) -> Hint:
    return Hint(topic=Topic.OPERATION, classes=classes, means=means, words=words, patches=patches)


FARM: dict[C | N, Hint] = {
    C.CRASHED: _hint(
        _CRASH,
        "The step's process died, or raised what nobody expected.",
        "it is tried on other nodes, and the log's end is attached; tell the operator when it goes on",
    ),
    C.BAD_REPLY: _hint(
        _CRASH,
        "The step's process said what no step says: its memory may be damaged.",
        "it is tried on other nodes, and the log's end is attached",
    ),
    C.BAD_OUTPUT: _hint(
        _CRASH,
        "The step's output is no set of plain files of an allowed size and name.",
        "it is tried on other nodes; check the model, then ask the operator",
    ),
    C.NODE_LOST: _hint(
        _INFRA,
        "The node stopped answering while it ran the step.",
        "the step was given to another one as often as max_attempts allows",
        _MORE_ATTEMPTS,
    ),
    C.NODE_DISK_FULL: _hint(
        _INFRA,
        "The node could not write its scratch files.",
        "the node's scratch disk is full; the operator frees space or moves OVFARM_HOME",
        _MORE_ATTEMPTS,
    ),
    C.NODE_SANDBOX: Hint(
        topic=Topic.INSTALL,
        classes=_INFRA,
        means="The node could not confine the step, so it did not run it.",
        words="the operator asks: ./farm doctor --sandbox",
        patches=(_MORE_ATTEMPTS,),
    ),
    C.STORE: _hint(
        _INFRA,
        "The object store did not answer in time.",
        "the operator sees why with: ./farm doctor",
        _MORE_ATTEMPTS,
    ),
    C.STORE_CORRUPT: _hint(
        _INFRA, "Stored bytes no longer match their digest.", "upload the file again, and tell the operator"
    ),
    C.TOOLCHAIN: Hint(
        topic=Topic.INSTALL,
        classes=_INFRA,
        means="OpenVINO or NNCF cannot be loaded on the node.",
        words="the operator sets the node up again: ./farm setup, then ./farm doctor",
        patches=(_MORE_ATTEMPTS,),
    ),
    C.POISON: _hint(
        (FailureClass.CRASH, FailureClass.INFRA),
        "The step killed its process, or its node, on every attempt; the same work is refused from now on.",
        "check the model, then ask the operator",
    ),
    C.UPSTREAM: _hint(_USER, "A step before this one did not succeed.", "mend the step that failed first"),
    C.CANCELLED: _hint(
        (FailureClass.USER, FailureClass.INFRA),
        "The job was cancelled.",
        "submit it again with: ovfarm jobs retry JOB; steps that had ended come from the cache",
    ),
}
