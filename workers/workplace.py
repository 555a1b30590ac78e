"""What one node works with: its place in the pool, its database, its store, its zygote, its folders."""

from dataclasses import dataclass
from pathlib import Path

from ovfarm.settings import Settings
from storage.blobs import Blobs
from storage.database import Database
from storage.nodes import NodeIdentity
from workers.health import Health
from workers.isolate import Zygote


@dataclass(frozen=True, slots=True)
class Workplace:
    """Everything that an attempt needs, passed down instead of looked up."""

    settings: Settings
    database: Database
    blobs: Blobs
    zygote: Zygote
    node: NodeIdentity
    health: Health

    @property
    def scratch(self) -> Path:
        """The folder for the files of running attempts; wiped when the node starts."""
        return self.settings.home / "scratch" / self.node.name

    @property
    def cache(self) -> Path:
        """The node's own copies of blobs."""
        return self.settings.home / "cache"
