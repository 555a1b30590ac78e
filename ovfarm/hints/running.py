"""Devices, memory and time: what a step needed and did not get."""

from ovfarm.failures import FailureClass
from ovfarm.failures import FailureCode as C
from ovfarm.hints.hint import Hint, Remedy, Topic
from ovfarm.results import NoteCode as N

_LIMIT = (FailureClass.LIMIT,)

RUNNING: dict[C | N, Hint] = {
    C.DEVICE_MISSING: Hint(
        topic=Topic.INSTALL,
        classes=(FailureClass.DEVICE,),
        means="OpenVINO does not find the device on this node.",
        words="the operator installs the device's driver, or serves another device with OVFARM_DEVICE; "
        "see what is there with: ./farm doctor",
        patches=(Remedy(why="try more nodes", times={"limits.max_attempts": 2}),),
    ),
    C.DEVICE_FAILED: Hint(
        topic=Topic.OPERATION,
        classes=(FailureClass.DEVICE,),
        means="The device could not compile the model, or computes wrongly.",
        words="try another target (--target cpu), and static shapes: some devices take no free dimensions",
        patches=(
            Remedy(why="try more nodes", times={"limits.max_attempts": 2}),
            Remedy(why="weights alone, in INT8: any device computes it", recipe="int8-weights"),
        ),
    ),
    C.OUT_OF_MEMORY: Hint(
        topic=Topic.MEMORY,
        classes=_LIMIT,
        means="The step asked for more memory than it may use, or the kernel ended it for want of memory.",
        words="ask for a larger node with limits.memory_gib, or take fewer or smaller samples; calibration "
        "takes one row at a time already, unless the model's own batch is fixed: convert.shapes makes it 1",
        patches=(
            Remedy(why="a node with twice the memory", times={"limits.memory_gib": 2}),
            Remedy(why="fewer samples to calibrate on", times={"quantize.subset_size": 0.3}),
            Remedy(why="fewer samples to calibrate on", times={"compress.subset_size": 0.25}),
            Remedy(
                why="statistics as they come, without keeping the samples of a layer",
                overrides={"quantize.advanced.inplace_statistics": True},
            ),
            Remedy(why="bias correction in one pass", overrides={"quantize.fast_bias_correction": True}),
            Remedy(why="without scale estimation", overrides={"compress.scale_estimation": False}),
            Remedy(why="without GPTQ", overrides={"compress.gptq": False}),
            Remedy(why="without adapters", overrides={"compress.lora_correction": False}),
            Remedy(
                why="AWQ on fewer of the samples", times={"compress.advanced.awq_params.subset_size": 0.25}
            ),
            Remedy(
                why="GPTQ on fewer of the samples, of which it keeps a layer's inputs",
                times={"compress.advanced.gptq_params.subset_size": 0.25},
            ),
            Remedy(
                why="layers ranked by their weights, without activations",
                overrides={"compress.sensitivity_metric": None},
            ),
            Remedy(why="fewer rows to rank layers by", at_most={"quantize.accuracy.ranking_subset_size": 50}),
            Remedy(why="fewer rows, whose outputs are all kept", at_most={"evaluate.samples": 100}),
            Remedy(why="half the batch", times={"benchmark.batch": 0.5}),
            Remedy(
                why="one request at a time: each of those in flight has memory of its own",
                overrides={"benchmark.hint": "latency"},
            ),
            Remedy(why="the weights alone, in INT8, without calibration", recipe="int8-weights"),
        ),
    ),
    C.TIMEOUT: Hint(
        topic=Topic.PERFORMANCE,
        classes=_LIMIT,
        means="The step took longer than limits.step_timeout_s.",
        words="give it more time with limits.step_timeout_s, or fewer samples; compiled models are not "
        "cached between steps, so a model that compiles for long takes that long in each",
        patches=(
            Remedy(why="twice the time", times={"limits.step_timeout_s": 2}),
            Remedy(why="fewer samples to calibrate on", times={"quantize.subset_size": 0.3}),
            Remedy(why="bias correction in one pass", overrides={"quantize.fast_bias_correction": True}),
            Remedy(why="fewer changes to try", at_most={"quantize.accuracy.max_num_iterations": 10}),
            Remedy(why="fewer samples to calibrate on", times={"compress.subset_size": 0.25}),
            Remedy(why="without GPTQ", overrides={"compress.gptq": False}),
            Remedy(why="without scale estimation", overrides={"compress.scale_estimation": False}),
            Remedy(why="fewer rows", at_most={"evaluate.samples": 100}),
            Remedy(why="measure for half as long", times={"benchmark.time_budget_s": 0.5}),
        ),
    ),
    C.SCRATCH_FULL: Hint(
        topic=Topic.MEMORY,
        classes=_LIMIT,
        means="The step wrote more to disk than a step may.",
        words="ask the operator for a larger OVFARM_SCRATCH_BYTES, or write FP16 weights",
        patches=(Remedy(why="half the size", overrides={"convert.weights": "fp16"}),),
    ),
    C.TOO_MANY_PROCESSES: Hint(
        topic=Topic.OPERATION,
        classes=_LIMIT,
        means="The step started more processes than it may.",
        words="a step works with threads; nothing that the farm runs starts so many processes",
    ),
}
