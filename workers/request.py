"""From a claim to what the child is asked: folders laid out, limits worked out."""

import math
from pathlib import Path

from pydantic import TypeAdapter

from ovfarm.hardware import SandboxLevel
from ovfarm.keys import digest_of
from ovfarm.recipes import StepParams
from storage.claims import Claim
from storage.inputs import Input
from workers.inputs import lay_out
from workers.protocol import ChildLimits, StepRequest
from workers.workplace import Workplace

RECIPE = "recipe"
_GRACE_CPU_S = 10
_LINEAGE: TypeAdapter[tuple[StepParams, ...]] = TypeAdapter(tuple[StepParams, ...])


def recipe_digest(claim: Claim) -> str:
    """Return the digest of the recipe that made the model of a package."""
    return digest_of(_LINEAGE.dump_python(claim.lineage, mode="json"))


def step_request(place: Workplace, claim: Claim, ins: tuple[Input, ...], folder: Path) -> StepRequest:
    """Lay out the inputs under ``folder`` and return the request; raises Unavailable, OSError."""
    outputs = folder / "out"
    outputs.mkdir(parents=True)
    folders = lay_out(ins, place.blobs, place.cache, folder / "in")
    if claim.lineage:
        folders[RECIPE] = _write_recipe(claim, folder / "in" / RECIPE)
    return StepRequest(
        params=claim.params,
        inputs=folders,
        parts={given.role: given.part.value for given in ins},
        outputs=outputs,
        log=folder / "log.txt",
        openvino_device=place.node.offer.openvino_device,
        torch_programs=claim.need.torch_programs and place.node.offer.torch_programs,
        limits=_limits(place, claim),
    )


def _write_recipe(claim: Claim, folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "recipe.json").write_bytes(_LINEAGE.dump_json(claim.lineage, indent=1))
    return folder


def _limits(place: Workplace, claim: Claim) -> ChildLimits:
    offer = place.node.offer
    memory = claim.memory_gib << 30 if claim.memory_gib else offer.memory_bytes
    inside = offer.sandbox is SandboxLevel.FULL
    return ChildLimits(
        timeout_s=claim.timeout_s,
        cpu_s=round(claim.timeout_s * max(offer.cores, 1)) + _GRACE_CPU_S,
        # Drivers of GPUs and NPUs reserve address space by the terabyte and use little of it.
        memory_bytes=memory if offer.openvino_device == "CPU" else None,
        file_bytes=place.settings.max_blob_bytes,
        # Outside a namespace of its own the kernel would count all processes of the node's user.
        processes=most_processes(offer.cores, place.settings.slots) if inside else None,
        scratch_bytes=place.settings.scratch_bytes,
    )


def most_processes(cores: float, slots: int) -> int:
    """Return how many threads and processes all children of a node may have together.

    OpenVINO takes a thread for each core in each compiled model, and a benchmark compiles three.
    """
    return 256 + 8 * math.ceil(cores) * slots
