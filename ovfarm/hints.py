"""What to do next, by failure code; a step's own, more precise hint wins."""

from ovfarm.failures import FailureCode as C

HINTS: dict[C, str] = {
    C.CRASHED: "the step's child died; it is tried on other nodes, and the log's end is attached",
    C.READER_CRASHED: "the file is damaged in a way that its reader does not survive: check it where it was "
    "made, or send the model as ONNX or OpenVINO IR",
    C.BAD_REPLY: "the step's child babbled: its memory may be damaged; the log's end is attached",
    C.OUT_OF_MEMORY: "ask for a larger node with limits.memory_gib, or take a smaller batch or subset",
    C.TOO_MANY_PROCESSES: "a step works with threads; nothing that the farm runs starts so many processes",
    C.SCRATCH_FULL: "the step wrote more than a step may; ask the operator for a larger OVFARM_SCRATCH_BYTES",
    C.NODE_SANDBOX: "the node could not confine the step; the operator asks: ./farm doctor --sandbox",
    C.TIMEOUT: "raise limits.step_timeout_s, or lower samples, subset_size or time_budget_s",
    C.NODE_LOST: "the node stopped answering; the step was given to another one",
    C.POISON: "this step killed its child on every attempt; check the model, then ask the operator",
    C.STORE: "the object store does not answer; the operator sees why with: ./farm doctor",
    C.STORE_CORRUPT: "stored bytes no longer match their digest; upload the file again",
    C.NODE_DISK_FULL: "the node's scratch disk is full; the operator frees space or moves OVFARM_HOME",
    C.UPSTREAM: "mend the step that failed before this one",
}
