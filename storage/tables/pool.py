"""Needs, device clocks, hosts and nodes."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Integer
from sqlalchemy.orm import Mapped, mapped_column

from ovfarm.hardware import Device, Need, Offer
from ovfarm.jobs import NodeState
from storage.columns import BigIntegerKey, Shape
from storage.tables.row import Row


class NeedRow(Row):
    """A need that some step has asked for; nodes match it once and remember the key."""

    __tablename__ = "needs"
    key: Mapped[str] = mapped_column(primary_key=True)
    need: Mapped[Need] = mapped_column(Shape[Need](Need))
    created_at: Mapped[datetime]


class DeviceClock(Row):
    """The virtual time of one class of devices; its row serialises the claims of that class."""

    __tablename__ = "device_clocks"
    device: Mapped[Device] = mapped_column(primary_key=True)
    virtual_time: Mapped[float]


class Host(Row):
    """A machine. A benchmark that waits reserves it, so that nothing new starts there."""

    __tablename__ = "hosts"
    name: Mapped[str] = mapped_column(primary_key=True)
    reserved_for: Mapped[UUID | None]
    reserved_until: Mapped[datetime | None]


class Node(Row):
    """One worker process for one device of one host; ``cordoned`` by an operator it takes nothing new.

    ``steps`` are the kinds and versions of its offer, apart by spaces; a release that does not say has none.
    """

    __tablename__ = "nodes"
    seq: Mapped[int] = mapped_column(BigIntegerKey, primary_key=True, autoincrement=True)
    id: Mapped[UUID] = mapped_column(unique=True)
    name: Mapped[str] = mapped_column(unique=True)
    host: Mapped[str] = mapped_column(ForeignKey("hosts.name"))
    device: Mapped[Device]
    state: Mapped[NodeState]
    cordoned: Mapped[bool]
    offer: Mapped[Offer] = mapped_column(Shape[Offer](Offer))
    steps: Mapped[str]
    slots: Mapped[int] = mapped_column(Integer)
    started_at: Mapped[datetime]
    seen_at: Mapped[datetime]


class NodeNeed(Row):
    """A need that a node serves."""

    __tablename__ = "node_needs"
    node_id: Mapped[UUID] = mapped_column(ForeignKey("nodes.id"), primary_key=True)
    need_key: Mapped[str] = mapped_column(ForeignKey("needs.key"), primary_key=True)
