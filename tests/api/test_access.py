"""Keys over HTTP: who gets in, who sees what, and what an operator may."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.operate import operate
from api.serving import serve
from ovfarm.cli.supervise import free_port
from ovfarm.errors import InvalidInput
from ovfarm.hardware import Device
from ovfarm.settings import Settings
from ovfarm.teams import AddKey, AddTeam, IssuedKey, Order, Role
from storage.database import Database
from storage.nodes import register
from tests.api.conftest import Server
from tests.api.test_blobs import IR
from tests.api.test_blobs import register as registered
from tests.storage.farm import CPU

PROBE = {"recipe": {"name": "p", "steps": [{"kind": "probe", "name": "p"}]}}


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    return Settings(
        home=tmp_path / "home",
        database_url=database_url,
        port=free_port(),
        require_keys=True,
        probe_steps=True,
    )


@pytest.fixture
def door(settings: Settings) -> Iterator[Callable[..., httpx.Client]]:
    server = Server(settings)
    server.start()
    clients: list[httpx.Client] = []

    def enter(team: str, role: Role = Role.MEMBER, **bounds: Any) -> httpx.Client:
        order(settings, AddTeam(team=team, **bounds))
        issued = IssuedKey.model_validate_json(order(settings, AddKey(team=team, role=role)))
        headers = {"Authorization": f"Bearer {issued.secret}"}
        clients.append(httpx.Client(base_url=settings.url, headers=headers, timeout=10))
        return clients[-1]

    yield enter
    for client in clients:
        client.close()
    server.stop()


def order(settings: Settings, asked: Order) -> str:
    return operate(settings, asked.model_dump_json())


def test_without_a_key_nothing_is_told(settings: Settings, door: Callable[..., httpx.Client]) -> None:
    del door
    paths = ["/v1/jobs", "/v1/nodes", "/v1/models", f"/v1/artifacts/art_{'0' * 32}", "/metrics"]
    for headers in ({}, {"Authorization": "Bearer ovf_x_y"}, {"Authorization": "Basic eA=="}):
        for path in paths:
            refused = httpx.get(settings.url + path, headers=headers)
            assert refused.status_code == 401, path
            assert refused.headers["www-authenticate"] == "Bearer"
            assert refused.json()["code"] == "unauthorized"
    assert httpx.get(f"{settings.url}/healthz").status_code == 204


def test_a_team_sees_nothing_of_another(door: Callable[..., httpx.Client]) -> None:
    mine, theirs = door("mine"), door("theirs")
    model = registered(mine, "/v1/models", IR).json()
    job = mine.post("/v1/jobs", json=PROBE).json()
    digest = next(iter(model["manifest"]["files"].values()))["digest"]
    paths = [f"/v1/jobs/{job['id']}{end}" for end in ("", "/why", "/result", "/artifacts")]
    paths.append(f"/v1/models/{model['id']}")
    for path in paths:
        assert theirs.get(path).status_code == 404, path
    assert theirs.head(f"/v1/blobs/{digest}").status_code == 404
    assert mine.head(f"/v1/blobs/{digest}").status_code == 200
    asked = {"digests": [digest]}
    assert theirs.post("/v1/blobs/missing", json=asked).json() == asked
    assert mine.post("/v1/blobs/missing", json=asked).json() == {"digests": []}
    assert theirs.post(f"/v1/jobs/{job['id']}/cancel").status_code == 404
    assert theirs.get("/v1/jobs").json()["items"] == []
    assert theirs.get("/v1/models").json() == []
    stolen = theirs.post("/v1/jobs", json={"model": model["id"], "recipe": "int4"})
    assert (stolen.status_code, stolen.json()["code"]) == (422, "unknown_reference")
    assert mine.get(paths[0]).status_code == 200


def test_only_operators_steer_nodes_and_read_metrics(
    settings: Settings, door: Callable[..., httpx.Client]
) -> None:
    member, operator = door("members"), door("ops", Role.OPERATOR)
    database = Database(settings.database)
    with database.write() as session:
        register(session, "node-1", "host", CPU, 1)
        register(session, "npu-1", "host", CPU.model_copy(update={"device": Device.NPU, "emulated": True}), 1)
    database.close()
    node = member.get("/v1/nodes").json()[0]
    path = f"/v1/nodes/{node['id']}"
    for verb in ("drain", "resume"):
        refused = member.post(f"{path}/{verb}")
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert operator.post(f"{path}/drain").json()["state"] == "draining"
    assert operator.post(f"{path}/resume").json()["state"] == "online"
    assert operator.post(f"/v1/nodes/nod_{'0' * 32}/drain").status_code == 404
    assert member.get("/metrics").status_code == 403
    member.post("/v1/jobs", json=PROBE)
    text = operator.get("/metrics").text
    for line in (
        'ovfarm_queued_steps{need="cpu"} 1.0',
        'ovfarm_steps{state="queued"} 1.0',
        'ovfarm_nodes{device="npu",state="online"} 1.0',
        "ovfarm_lease_expirations_total 0.0",
        'ovfarm_device_seconds_total{device="cpu",team="members"} 0.0',
    ):
        assert line in text, line


def test_a_quota_is_a_429_with_a_time(door: Callable[..., httpx.Client]) -> None:
    small = door("small", max_queued=1)
    assert small.post("/v1/jobs", json=PROBE).status_code == 202
    refused = small.post("/v1/jobs", json=PROBE)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "30")
    assert refused.json()["code"] == "quota_exceeded"


def test_an_idempotency_key_makes_a_post_repeatable(door: Callable[..., httpx.Client]) -> None:
    client = door("lab")
    key = {"Idempotency-Key": "a-1"}
    first, again = (client.post("/v1/jobs", json=PROBE, headers=key).json()["id"] for _ in range(2))
    assert first == again
    other = client.post("/v1/jobs", json={**PROBE, "priority": 1}, headers=key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert client.post("/v1/jobs", json=PROBE, headers={"Idempotency-Key": "a b"}).status_code == 422
    assert len(client.get("/v1/jobs").json()["items"]) == 1


def test_why_is_one_sentence(door: Callable[..., httpx.Client]) -> None:
    client = door("lab")
    job = client.post("/v1/jobs", json=PROBE).json()["id"]
    found = client.get(f"/v1/jobs/{job}/why").json()
    assert found["sentence"] == "p: waiting: no node offers cpu; it starts when one joins or comes back"
    assert found["slots"] == 0


def test_other_machines_get_in_only_with_keys(settings: Settings) -> None:
    with pytest.raises(InvalidInput, match="without any key"):
        serve(settings.model_copy(update={"host": "0.0.0.0", "require_keys": False}))  # noqa: S104 - refused


def test_what_is_no_order_is_refused_in_words(settings: Settings) -> None:
    with pytest.raises(InvalidInput, match="that is no order"):
        operate(settings, "{}")
