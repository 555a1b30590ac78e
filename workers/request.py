"""From a claim to what the child is asked: folders laid out, limits worked out."""

import math
from collections.abc import Iterable
from pathlib import Path

from pydantic import TypeAdapter

from ovfarm import gates
from ovfarm.hardware import SandboxLevel
from ovfarm.keys import digest_of, manifest_digest, works_by_names
from ovfarm.plan import STATISTICS
from ovfarm.recipes import Kind, StepParams
from storage.claims import Claim
from storage.inputs import Input
from workers.inputs import lay_out
from workers.protocol import ChildLimits, StepRequest
from workers.workplace import Workplace

RECIPE, CHOSEN = "recipe", "chosen"
_GRACE_CPU_S = 10
_LINEAGE: TypeAdapter[tuple[StepParams, ...]] = TypeAdapter(tuple[StepParams, ...])


def key_inputs(claim: Claim, ins: Iterable[Input]) -> dict[str, str]:
    """Return what a step's key knows of its inputs: the digest of each, by role.

    It is the canonical one, which leaves names of layers and NNCF's own notes out of a model; of a step
    that goes by these, it is that of the bytes.

    A gate that lets the step begin is left out, because the work is then the same as without it; one
    that stops it, or that a choice tells of, counts with every word. A package also names what was
    chosen, which the model's own digest does not say.
    """
    digests: dict[str, str] = {}
    for given in ins:
        if not gates.is_gate(given.role):
            exact = _reads_more(claim.params, given.role)
            digests[given.role] = manifest_digest(given.manifest) if exact else given.canonical_digest
        elif claim.params.kind is Kind.CHOOSE or not gates.is_open(given.role, given.canonical_digest):
            named = gates.named_gate(claim.params, given.role)
            digests[given.role] = digest_of([manifest_digest(given.manifest), named])
        if claim.params.kind is Kind.PACKAGE and (chosen := given.manifest.files.get(gates.CHOSEN_FILE)):
            digests[CHOSEN] = chosen.digest
    if claim.lineage:
        digests[RECIPE] = digest_of(_LINEAGE.dump_python(claim.lineage, mode="json"))
    return digests


def _reads_more(params: StepParams, role: str) -> bool:
    """Tell whether a step reads of this role what its canonical digest leaves out.

    A choice reads which mode a compression was asked for.
    """
    if params.kind is Kind.CHOOSE or role == STATISTICS:
        return True
    return role == "model" and works_by_names(params)


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
        readings={given.role: given.reading for given in ins},
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
