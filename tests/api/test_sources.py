"""Sources: a hub and other hosts that exist in a table only, and everything that would lead inside."""

import ipaddress
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from api.sources import hub
from api.sources.address import Resolve, checked, look_up, public
from api.sources.fetch import Fetcher
from ovfarm.errors import InvalidInput, Unavailable
from tests.api.conftest import Server
from tests.api.test_blobs import put
from tests.hostile.graphs import plain
from tests.hostile.payloads import zipped

COMMIT = "c" * 40
PUBLIC = "93.184.216.34"
HOSTS = ("huggingface.co", "*.hf.co", "files.example")
Answer = Callable[[httpx.Request], httpx.Response]


class World:
    """The internet as far as the farm can tell: names with addresses, and what answers there."""

    def __init__(self, answers: Mapping[str, Answer], names: Mapping[str, list[str]] | None = None) -> None:
        self.asked: list[tuple[str, str, str, str]] = []
        self._answers = answers
        self._names = names or {}

    def resolve(self, host: str) -> list[str]:
        return self._names.get(host, [PUBLIC])

    def fetcher(self) -> Fetcher:
        return Fetcher(HOSTS, inner=httpx.MockTransport(self._answer), resolve=self.resolve)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        name = str(request.extensions["sni_hostname"])
        token = request.headers.get("authorization", "")
        self.asked.append((name, request.url.host, request.url.path, token))
        answer = self._answers.get(f"{name}{request.url.path}")
        return answer(request) if answer else httpx.Response(404)


def says(body: bytes | dict[str, object]) -> Answer:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return lambda _request: httpx.Response(200, stream=httpx.ByteStream(content))


def leads(to: str) -> Answer:
    return lambda _request: httpx.Response(302, headers={"location": to})


def a_hub(*files: str, sha: str = COMMIT, **more: Answer) -> dict[str, Answer]:
    listing = {"sha": sha, "siblings": [{"rfilename": name} for name in files], "private": False}
    answers = {"huggingface.co/api/models/org/net/revision/main": says(listing)}
    answers |= {f"huggingface.co/org/net/resolve/{sha}/{name}": says(name.encode()) for name in files}
    return answers | more


INSIDE = (
    "127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "224.0.0.1",
    "0.0.0.0",  # noqa: S104 - nothing is bound to it
    "255.255.255.255", "192.0.2.1", "198.18.0.1", "240.0.0.1", "::1", "::", "fe80::1", "fe80::1%eth0",
    "fc00::1", "fd00:ec2::254", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "2002:7f00:1::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "ff02::1", "2001:db8::1",
)  # fmt: skip


@pytest.mark.parametrize("address", INSIDE)
def test_no_name_leads_inside(address: str, tmp_path: Path) -> None:
    world = World({}, {"files.example": [PUBLIC, address]})
    with pytest.raises(InvalidInput, match="not a public address"):
        world.fetcher().download("https://files.example/m.onnx", tmp_path / "m", 1000)
    assert world.asked == []


@pytest.mark.parametrize("address", [PUBLIC, "2606:2800:220:1:248:1893:25c8:1946"])
def test_public_addresses_are_connected_to_as_they_were_checked(address: str, tmp_path: Path) -> None:
    assert public(ipaddress.ip_address(address))
    world = World({"files.example/m.onnx": says(b"model")}, {"files.example": [address]})
    got = world.fetcher().download("https://files.example/m.onnx", tmp_path / "m", 1000)
    assert (got.size, got.path.read_bytes()) == (5, b"model")
    assert world.asked == [("files.example", address, "/m.onnx", "")]


FORMS = (
    "http://files.example/m", "https://files.example:8443/m", "https://user:pw@files.example/m", "file:///etc/passwd",
    "ftp://files.example/m", "https://127.0.0.1/m", "https://2130706433/m", "https://0x7f000001/m",
    "https://0177.0.0.1/m", "https://127.1/m", "https://[::1]/m", "https://[::ffff:127.0.0.1]/m",
    "https://169.254.169.254/latest/meta-data", "https://127.0.0.1.nip.io/m", "https://localhost/m",
    "https://files.example.evil/m", "https://evil/files.example", "https://evil#files.example",
    "https://evil?files.example", "https://files.example\\@evil/m", "https://evil/@files.example", "https://",
    "https:///m", "//files.example/m", "gopher://files.example/m", "https://files.example\n.evil/m",
    "https://huggingface.co.evil/m", "https://hf.co/m", "https://ⓗuggingface.co.evil/m",
    "javascript:alert(1)",
)  # fmt: skip


@pytest.mark.parametrize("url", FORMS)
def test_only_https_to_allowed_hosts_is_asked(url: str, tmp_path: Path) -> None:
    world = World({})
    with pytest.raises(InvalidInput) as refused:
        world.fetcher().download(url, tmp_path / "m", 1000)
    assert refused.value.code == "source_refused"
    assert world.asked == []


@pytest.mark.parametrize(
    "to",
    [
        "https://evil/m",
        "http://files.example/m",
        "https://169.254.169.254/",
        "//evil/m",
        "https://a@files.example/",
    ],
)
def test_a_redirect_leads_nowhere_else(to: str, tmp_path: Path) -> None:
    world = World({"files.example/m": leads(to)})
    with pytest.raises(InvalidInput):
        world.fetcher().download("https://files.example/m", tmp_path / "m", 1000)
    assert len(world.asked) == 1


def test_a_name_that_flips_between_looks_is_looked_up_for_each_connection(tmp_path: Path) -> None:
    """DNS rebinding: the second answer is inside, and the redirect to the same name meets it."""
    turns = iter([[PUBLIC], ["127.0.0.1"]])
    world = World({"files.example/m": leads("/again")})
    fetcher = Fetcher(HOSTS, inner=httpx.MockTransport(world._answer), resolve=lambda _host: next(turns))
    with pytest.raises(InvalidInput, match=r"127\.0\.0\.1"):
        fetcher.download("https://files.example/m", tmp_path / "m", 1000)
    assert [asked[1] for asked in world.asked] == [PUBLIC]


def test_the_token_stays_with_its_host_and_redirects_end(tmp_path: Path) -> None:
    answers = {"huggingface.co/x": leads("https://cdn.hf.co/y"), "cdn.hf.co/y": says(b"ok")}
    world = World(answers)
    world.fetcher().download("https://huggingface.co/x", tmp_path / "m", 10, token="secret")
    assert [(asked[0], asked[3]) for asked in world.asked] == [
        ("huggingface.co", "Bearer secret"),
        ("cdn.hf.co", ""),
    ]
    with pytest.raises(InvalidInput, match="redirects more"):
        World({"files.example/m": leads("/m")}).fetcher().download(
            "https://files.example/m", tmp_path / "m", 10
        )


def test_too_much_and_errors_are_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="more than 10 bytes"):
        World({"files.example/m": says(b"x" * 11)}).fetcher().download(
            "https://files.example/m", tmp_path / "m", 10
        )
    broken: Answer = lambda _request: httpx.Response(500)  # noqa: E731 - one line
    with pytest.raises(Unavailable, match="500"):
        World({"files.example/m": broken}).fetcher().download("https://files.example/m", tmp_path / "m", 10)
    with pytest.raises(Unavailable, match="no address"):
        checked("files.example", lambda _host: [])


def test_a_repository_is_fetched_at_its_commit(tmp_path: Path) -> None:
    names = ("model.onnx", "config.json", "pytorch_model.bin", "modeling.py", "sub/deep.onnx", "README.md")
    world = World(a_hub(*names))
    commit, files = hub.fetched(world.fetcher(), hub.repository("hf://org/net"), tmp_path, 1000, "")
    assert commit == COMMIT
    assert sorted(files) == ["config.json", "model.onnx"]
    assert {asked[2] for asked in world.asked[1:]} == {f"/org/net/resolve/{COMMIT}/{name}" for name in files}
    _, inner = hub.fetched(world.fetcher(), hub.repository("hf://org/net@main/sub"), tmp_path, 1000, "")
    assert sorted(inner) == ["deep.onnx"]


@pytest.mark.parametrize(
    "source",
    [
        "hf://org",
        "hf://org/net/../x",
        "hf://org/net@a b",
        "hf://../net",
        "hf://org/net@main/../x",
        "hf:///x",
        "hf://a/b/c/..",
    ],
)
def test_what_names_no_repository_is_refused(source: str) -> None:
    with pytest.raises(InvalidInput, match="names no repository"):
        hub.repository(source)


def test_a_hub_that_answers_oddly_is_not_followed(tmp_path: Path) -> None:
    moved = {
        "huggingface.co/api/models/org/net/revision/main": leads("https://huggingface.co/api/models/evil/net")
    }
    pinned = {f"huggingface.co/api/models/org/net/revision/{'a' * 40}": says({"sha": COMMIT, "siblings": []})}
    for answers, source, error in (
        (moved, "hf://org/net", InvalidInput),
        (a_hub("m.onnx", sha="main"), "hf://org/net", Unavailable),
        (pinned, f"hf://org/net@{'a' * 40}", Unavailable),
        ({"huggingface.co/api/models/org/net/revision/main": says(b"<html>")}, "hf://org/net", Unavailable),
        (a_hub("readme.md"), "hf://org/net", InvalidInput),
        ({}, "hf://org/net", InvalidInput),
    ):
        with pytest.raises(error):
            hub.fetched(World(answers).fetcher(), hub.repository(source), tmp_path, 1000, "")


def enter(server: Server, world: World, **settings: object) -> None:
    """Let a running server fetch from a world that is not there."""
    door = server.app.state.door
    server.app.state.door = replace(
        door, fetcher=world.fetcher(), settings=door.settings.model_copy(update=settings)
    )


def test_a_model_from_the_hub_is_registered_with_its_commit(server: Server, http: httpx.Client) -> None:
    answers = a_hub("model.onnx") | {f"huggingface.co/org/net/resolve/{COMMIT}/model.onnx": says(plain())}
    world = World(answers)
    enter(server, world, hub_tokens={"default": SecretStr("hf_mine"), "other": SecretStr("hf_theirs")})
    answer = http.post("/v1/models", json={"name": "net", "source": "hf://org/net"})
    assert answer.status_code == 201, answer.text
    assert answer.json()["source"] == f"hf://org/net@{COMMIT}"
    assert answer.json()["format"] == "onnx"
    assert {asked[3] for asked in world.asked} == {"Bearer hf_mine"}
    assert "hf_mine" not in http.get("/v1/models").text
    assert list((server.home / "incoming").iterdir()) == []


def test_a_hostile_source_is_refused_like_an_upload(server: Server, http: httpx.Client) -> None:
    enter(server, World({"files.example/m.onnx": says(zipped({"data.pkl": b""}))}))
    refused = http.post("/v1/models", json={"name": "n", "source": "https://files.example/m.onnx"})
    assert (refused.status_code, refused.json()["code"]) == (422, "model_format_refused")
    inside = http.post("/v1/models", json={"name": "n", "source": "https://169.254.169.254/m"})
    assert (inside.status_code, inside.json()["code"]) == (422, "source_refused")
    assert "OVFARM_SOURCE_HOSTS" in inside.json()["hint"]
    both = http.post("/v1/models", json={"name": "n", "source": "hf://a/b", "files": {"m": "0" * 64}})
    assert both.status_code == 422
    assert "exactly one of" in both.json()["detail"]


def test_an_archive_is_a_model_of_its_files(http: httpx.Client) -> None:
    digest = put(http, zipped({"net/model.onnx": plain(), "net/config.json": b"{}"}))
    answer = http.post("/v1/models", json={"name": "n", "archive": digest})
    assert answer.status_code == 201, answer.text
    assert sorted(answer.json()["manifest"]["files"]) == ["net/config.json", "net/model.onnx"]
    bad = http.post("/v1/models", json={"name": "n", "archive": put(http, zipped({"../x": b""}))})
    assert (bad.status_code, bad.json()["code"]) == (422, "archive_refused")
    gone = http.post("/v1/models", json={"name": "n", "archive": "0" * 64})
    assert gone.json()["code"] == "blob_missing"


def unreachable(_request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("Network is unreachable")


@pytest.mark.parametrize("resolve", [look_up, lambda _host: [PUBLIC], lambda _host: []])
def test_a_farm_without_a_network_says_what_to_do(resolve: Resolve, tmp_path: Path) -> None:
    host = "files.invalid"
    fetcher = Fetcher([host], inner=httpx.MockTransport(unreachable), resolve=resolve)
    with pytest.raises(Unavailable) as away:
        fetcher.download(f"https://{host}/m.onnx", tmp_path / "m", 10)
    assert "upload" in (away.value.hint or "")
    assert "the folder that save_pretrained wrote" in (away.value.hint or "")
