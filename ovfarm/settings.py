"""Settings: read once at each process's edge from ``OVFARM_*`` variables, and passed down from there."""

from enum import StrEnum
from pathlib import Path

import platformdirs
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from ovfarm.errors import InvalidInput
from ovfarm.hardware import Device, SandboxMode
from ovfarm.shapes import Name


def _stand_ins(text: str) -> dict[Device, Device]:
    pairs: dict[Device, Device] = {}
    for pair in filter(None, text.split(",")):
        device, colon, by = pair.strip().partition(":")
        if not colon or device not in {Device.GPU, Device.NPU} or by != Device.CPU:
            raise ValueError(f"{pair!r} is neither gpu:cpu nor npu:cpu")
        pairs[Device(device)] = Device(by)
    return pairs


def read() -> "Settings":
    """Return the settings; raises InvalidInput that names the variable that is wrong."""
    try:
        return Settings()
    except (ValidationError, SettingsError) as invalid:
        found = invalid.errors(include_url=False)[0] if isinstance(invalid, ValidationError) else None
        where = f"OVFARM_{str(found['loc'][0]).upper()}: {found['msg']}" if found else str(invalid)
        raise InvalidInput(where, hint="docs/operate.md has all settings") from None


def embedded(home: Path, port: int) -> "Settings":
    """Return the settings of a farm of its own in ``home``, whatever the variables say."""
    usual = {
        name: field.get_default(call_default_factory=True, validated_data={})
        for name, field in Settings.model_fields.items()
    }
    return Settings.model_validate({**usual, "home": home, "port": port})


class Preload(StrEnum):
    """What a node imports once, before its first step: all of it takes 6 s and holds 0.5 GB."""

    AUTO = "auto"  # all of it, where it is installed
    NONE = "none"  # nothing: the least memory, and each step waits for its own imports
    CORE = "core"  # OpenVINO and NNCF; a Hugging Face model then waits for its imports
    HUGGINGFACE = "huggingface"  # torch, transformers and optimum-intel as well


class LogFormat(StrEnum):
    """How a process writes its log: for people, or one JSON object a line."""

    TEXT = "text"
    JSON = "json"


class Settings(BaseSettings):
    """The farm's settings; every default is the embedded farm's. Times in seconds, sizes in bytes."""

    model_config = SettingsConfigDict(env_prefix="OVFARM_", frozen=True, extra="ignore")

    home: Path = Field(default=Path(platformdirs.user_data_dir("ovfarm")))
    database_url: str = ""
    broker_url: str = ""
    store_url: str = ""
    s3_endpoint: str = ""
    s3_region: str = "us-east-1"
    s3_access_key_id: str = ""
    s3_secret_access_key: SecretStr = SecretStr("")

    log: LogFormat = LogFormat.TEXT
    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    require_keys: bool = False
    max_body_bytes: int = Field(default=4 << 20, ge=1024)
    max_blob_bytes: int = Field(default=64 << 30, ge=1)

    source_hosts: tuple[str, ...] = ("huggingface.co", "*.hf.co")
    hub_tokens: dict[Name, SecretStr] = {}

    node_name: str = ""
    device: Device = Device.CPU
    emulate: str = ""
    pools: tuple[Name, ...] = ()
    slots: int = Field(default=1, ge=1, le=64)
    lease_s: float = Field(default=30.0, gt=0)
    poll_s: float = Field(default=10.0, gt=0)
    sweep_s: float = Field(default=2.0, gt=0)
    drain_s: float = Field(default=30.0, ge=0)
    recycle_after: int = Field(default=1000, ge=1)
    cache_bytes: int = Field(default=20 << 30, ge=0)
    probe_steps: bool = False
    preload: Preload = Preload.AUTO
    sandbox: SandboxMode = SandboxMode.AUTO
    torch_programs: bool = False
    scratch_bytes: int = Field(default=128 << 30, ge=1 << 20)

    @field_validator("emulate")
    @classmethod
    def _pairs(cls, text: str) -> str:
        """Check ``gpu:cpu,npu:cpu`` when it is read, not when it is used."""
        _stand_ins(text)
        return text

    @property
    def emulated(self) -> dict[Device, Device]:
        """Which class of devices stands in for which."""
        return _stand_ins(self.emulate)

    @property
    def database(self) -> str:
        """The SQLAlchemy URL: SQLite in the farm's home unless another is set."""
        return self.database_url or f"sqlite:///{self.home / 'farm.sqlite'}"

    @property
    def broker(self) -> str:
        """The Celery broker URL: the file system in the farm's home unless another is set."""
        return self.broker_url or "filesystem://"

    @property
    def store(self) -> str:
        """The object store's URL: files in the farm's home unless another is set."""
        return self.store_url or (self.home / "store").absolute().as_uri()

    @property
    def s3(self) -> dict[str, str]:
        """What an S3 client is set up with, as obstore names it; empty parts come from its environment."""
        given = {
            "endpoint": self.s3_endpoint,
            "region": self.s3_region,
            "access_key_id": self.s3_access_key_id,
            "secret_access_key": self.s3_secret_access_key.get_secret_value(),
        }
        return {name: value for name, value in given.items() if value}

    @property
    def url(self) -> str:
        """Where the API listens."""
        return f"http://{self.host}:{self.port}"
