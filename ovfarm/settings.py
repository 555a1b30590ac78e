"""Settings: read once at each process's edge from ``OVFARM_*`` variables, and passed down from there."""

from pathlib import Path

import platformdirs
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from ovfarm.hardware import Device
from ovfarm.shapes import Name


class Settings(BaseSettings):
    """The farm's settings; every default is the embedded farm's. Times in seconds, sizes in bytes."""

    model_config = SettingsConfigDict(env_prefix="OVFARM_", frozen=True, extra="ignore")

    home: Path = Field(default=Path(platformdirs.user_data_dir("ovfarm")))
    database_url: str = ""
    broker_url: str = ""
    store_url: str = ""

    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    max_body_bytes: int = Field(default=256 * 1024, ge=1024)
    max_blob_bytes: int = Field(default=64 << 30, ge=1)

    node_name: str = ""
    device: Device = Device.CPU
    pools: tuple[Name, ...] = ()
    slots: int = Field(default=1, ge=1, le=64)
    lease_s: float = Field(default=30.0, gt=0)
    poll_s: float = Field(default=10.0, gt=0)
    sweep_s: float = Field(default=2.0, gt=0)
    drain_s: float = Field(default=30.0, ge=0)
    recycle_after: int = Field(default=100, ge=1)
    cache_bytes: int = Field(default=20 << 30, ge=0)
    probe_steps: bool = False

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
    def url(self) -> str:
        """Where the API listens."""
        return f"http://{self.host}:{self.port}"
