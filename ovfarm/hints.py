"""What to do next, by failure code; a step's own, more precise hint wins."""

from ovfarm.failures import FailureCode as C

HINTS: dict[C, str] = {
    C.CRASHED: "the step's child died; it is tried on other nodes, and the log's end is attached",
    C.BAD_REPLY: "the step's child babbled: its memory may be damaged; the log's end is attached",
    C.OUT_OF_MEMORY: "ask for a larger node with limits.memory_gib, or take a smaller batch or subset",
    C.TIMEOUT: "raise limits.step_timeout_s, or lower samples, subset_size or time_budget_s",
    C.NODE_LOST: "the node stopped answering; the step was given to another one",
    C.POISON: "this step killed its child on every attempt; check the model, then ask the operator",
    C.STORE: "the object store does not answer; the operator sees why with: ./farm doctor",
    C.STORE_CORRUPT: "stored bytes no longer match their digest; upload the file again",
    C.NODE_DISK_FULL: "the node's scratch disk is full; the operator frees space or moves OVFARM_HOME",
    C.UPSTREAM: "mend the step that failed before this one",
}
