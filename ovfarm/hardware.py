"""What a step asks of a device, what a node offers, and which queue carries the bell between them."""

from enum import StrEnum
from typing import Annotated

from pydantic import BeforeValidator, Field, model_validator

from ovfarm.shapes import Document, Name, Text, unsaid

WAKE_TASK = "ovfarm.wake"


class Device(StrEnum):
    """A class of devices; ``auto`` is any node that can serve the step."""

    CPU = "cpu"
    GPU = "gpu"
    NPU = "npu"
    AUTO = "auto"


def _modern(value: object) -> object:
    """Name today's device for the names that tutorials still use."""
    if not isinstance(value, str):
        return value
    text = value.strip().lower()
    if text in {"vpu", "myriad", "hddl", "keembay"}:
        raise ValueError("VPU devices left OpenVINO with 2023.0; its successor is named 'npu'")
    return text


DeviceName = Annotated[Device, BeforeValidator(_modern)]


class Isa(StrEnum):
    """Instruction-set features that change which kernels run, and so speed and rounding."""

    AVX2 = "avx2"
    AVX512 = "avx512f"
    VNNI = "avx512_vnni"
    AVX_VNNI = "avx_vnni"
    BF16 = "avx512_bf16"
    FP16 = "avx512_fp16"
    AMX_INT8 = "amx_int8"
    AMX_BF16 = "amx_bf16"
    NEON = "asimd"


class Toolkit(StrEnum):
    """What not every node has installed."""

    HUGGINGFACE = "huggingface"  # torch, transformers, optimum-intel and OpenVINO's tokenizers


class Need(Document):
    """What a step asks of the node that runs it. Memory is in whole GiB.

    ``torch_programs`` asks for a node that loads TorchScript and torch.export programs.
    """

    device: DeviceName = Device.CPU
    pool: Name | None = None
    memory_gib: Annotated[int, Field(ge=1, le=4096)] | None = None
    isa: tuple[Isa, ...] = ()
    toolkit: Annotated[Toolkit | None, Field(exclude_if=unsaid)] = None
    torch_programs: bool = Field(default=False, exclude_if=unsaid)

    @model_validator(mode="before")
    @classmethod
    def _from_key(cls, value: object) -> object:
        """Take the canonical text for the document that it stands for."""
        return _parsed(value) if isinstance(value, str) else value

    @property
    def key(self) -> str:
        """The canonical text: equal needs have equal keys, and steps are queued by it."""
        parts = [str(self.device)]
        if self.pool:
            parts.append(f"pool={self.pool}")
        if self.memory_gib:
            parts.append(f"memory={self.memory_gib}")
        parts += [f"isa={feature}" for feature in sorted(set(self.isa))]
        if self.toolkit:
            parts.append(f"toolkit={self.toolkit}")
        if self.torch_programs:
            parts.append("torch_programs=true")
        return "/".join(parts)

    @property
    def queue(self) -> str:
        """The Celery queue whose workers are rung for it; a ring too many is harmless."""
        device = Device.CPU if self.device is Device.AUTO else self.device
        return f"{device}.{self.pool}" if self.pool else str(device)


def _parsed(text: str) -> dict[str, object]:
    """Return the fields of a need from its key: ``gpu/pool=lab/memory=32/isa=amx_int8``."""
    device, *parts = text.split("/")
    fields: dict[str, object] = {"device": device}
    isa: list[str] = []
    for part in parts:
        name, _, value = part.partition("=")
        if name == "isa":
            isa.append(value)
        elif name in {"pool", "memory", "toolkit", "torch_programs"}:
            fields["memory_gib" if name == "memory" else name] = value
        else:
            raise ValueError(f"{part!r} is none of pool=NAME, memory=GIB, isa=FEATURE, toolkit=NAME")
    return {**fields, "isa": tuple(isa)}


class SandboxLevel(StrEnum):
    """What stands between an uploaded file and a node, the weakest first."""

    NONE = "none"  # processes and limits
    LANDLOCK = "landlock"  # each child has its own files and no network
    FULL = "full"  # that, inside bubblewrap: no other process, no home, another user


class SandboxMode(StrEnum):
    """Which sandbox a node is to have: the strongest that works, exactly this one, or none."""

    AUTO = "auto"
    FULL = "full"
    LANDLOCK = "landlock"
    OFF = "off"


class Versions(Document):
    """The tools on a node, as their packages name them; those of a toolkit that it has not are empty."""

    openvino: str
    nncf: str
    python: str
    torch: str = ""
    transformers: str = ""
    optimum_intel: str = ""
    openvino_tokenizers: str = ""


class Offer(Document):
    """What one node has: one device of one host. Memory is in bytes, quota in cores.

    ``steps`` are the kinds that its release can run, each with its version: ``convert/1``.
    ``emulated`` says that the CPU stands in for the device; without ``all_teams`` a node serves the
    default team alone, because it has no sandbox for what others upload. ``torch_programs`` says that its
    operator lets it load PyTorch programs, and that its sandbox is full.
    """

    device: Device
    device_name: Text
    openvino_device: str = "CPU"
    architecture: Text = ""
    capabilities: tuple[str, ...] = ()
    default_precision: str = "f32"
    isa: tuple[Isa, ...] = ()
    memory_bytes: int = Field(ge=0)
    cores: float = Field(gt=0)
    pools: tuple[Name, ...] = ()
    versions: Versions
    sandbox: SandboxLevel = SandboxLevel.NONE
    all_teams: bool = True
    torch_programs: bool = Field(default=False, exclude_if=unsaid)
    emulated: bool = False
    steps: tuple[str, ...] = ()

    def fits(self, need: Need) -> bool:
        """Tell whether this node may run a step with ``need``."""
        return (
            need.device in {Device.AUTO, self.device}
            and (need.pool is None or need.pool in self.pools)
            and (need.memory_gib or 0) << 30 <= self.memory_bytes
            and set(need.isa) <= set(self.isa)
            and (need.toolkit is None or need.toolkit in self.toolkits)
            and (self.torch_programs or not need.torch_programs)
        )

    @property
    def toolkits(self) -> frozenset[Toolkit]:
        """What is installed here beyond what every node has."""
        return frozenset({Toolkit.HUGGINGFACE} if self.versions.optimum_intel else ())

    @property
    def queues(self) -> tuple[str, ...]:
        """The Celery queues that this node listens to."""
        return (str(self.device), *(f"{self.device}.{pool}" for pool in self.pools))
