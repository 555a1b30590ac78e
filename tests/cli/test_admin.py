"""What an operator types: teams, keys, the quarantine, the collector, nodes, and why a job waits."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ovfarm.cli.outcome import Exit
from ovfarm.jobs import Cache, JobSpec
from ovfarm.recipes import Probe, ProbeAction, Recipe
from ovfarm.states import JobState
from storage.schema import migrate
from tests.cli.test_cli import Cli
from tests.e2e.stack import Stack, eventually


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    home = tmp_path_factory.mktemp("farm")
    migrate(f"sqlite:///{home / 'farm.sqlite'}")
    with Stack(home, f"sqlite:///{home / 'farm.sqlite'}") as stack:
        stack.worker("node")
        yield stack


@pytest.fixture
def cli(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """The command line with the farm's own settings, as on the machine that runs it."""
    monkeypatch.setenv("OVFARM_HOME", str(stack.home))
    monkeypatch.setenv("OVFARM_DATABASE_URL", stack.database_url)
    return Cli(stack.url)


def test_teams_are_made_changed_and_listed(cli: Cli) -> None:
    cli("admin", "teams", "add", "vision", "--weight", "3", "--max-running", "2", "--budget", "3600")
    row = next(line for line in cli("admin", "teams", "ls").stdout.splitlines() if "vision" in line)
    assert row.split()[:5] == ["vision", "3", "2", "–", "3600"]
    cli("admin", "teams", "set", "vision", "--weight", "2", "--max-running", "-1")
    (team,) = (t for t in json.loads(cli("admin", "teams", "ls", "--json").stdout) if t["name"] == "vision")
    assert (team["weight"], team["max_running"], team["budget_s"]) == (2.0, None, 3600.0)
    again = cli("admin", "teams", "add", "vision", code=Exit.FAILED)
    assert "change it: ovfarm admin teams set" in again.stderr
    assert "weight" in cli("admin", "teams", "add", "x", "--weight", "0", code=Exit.USAGE).stderr


def test_a_key_works_until_it_is_revoked(cli: Cli) -> None:
    cli("admin", "teams", "add", "audio")
    issued = cli("admin", "keys", "add", "audio", "--days", "1")
    secret = issued.stdout.strip()
    assert "it is not shown again" in issued.stderr
    assert secret not in cli("admin", "keys", "ls").stdout
    cli("jobs", "ls", "--key", secret)
    prefix = secret.split("_")[1]
    assert "revoked" in cli("admin", "keys", "revoke", prefix).stdout
    cli("jobs", "ls", "--key", secret, code=Exit.UNAUTHORIZED)


def test_poison_is_listed_and_lifted(cli: Cli, stack: Stack) -> None:
    recipe = Recipe(name="p", steps=(Probe(action=ProbeAction.EXIT),))
    spec = JobSpec(recipe=recipe, cache=Cache.OFF)
    job = stack.client.wait(stack.client.submit(spec).id, timeout_s=60)
    assert job.state is JobState.FAILED
    (refused,) = json.loads(cli("admin", "quarantine", "ls", "--json").stdout)
    shown = cli("admin", "quarantine", "ls").stdout
    assert refused["fingerprint"][:12] in shown
    assert f"job_{job.id.hex}" in shown
    cli("admin", "quarantine", "lift", refused["fingerprint"][:12])
    assert json.loads(cli("admin", "quarantine", "ls", "--json").stdout) == []
    assert "fingerprint" in cli("admin", "quarantine", "lift", "xyz", code=Exit.USAGE).stderr


def test_the_collector_says_what_it_would_do_before_it_does_it(cli: Cli, stack: Stack) -> None:
    job = stack.submit(Probe(token="collected"))
    stack.client.wait(job.id, timeout_s=20)
    options = ["--grace", "0", "--older-than", "0"]
    would = cli("admin", "gc", *options)
    assert "would delete (--apply does)" in would.stdout
    assert stack.client.artifacts(job.id)
    done = json.loads(cli("admin", "gc", *options, "--apply", "--json").stdout)
    assert done["applied"]
    assert done["blobs"] >= 1
    assert "0 blobs" in cli("admin", "gc", *options).stdout


def test_a_drained_node_takes_nothing_and_why_says_so(cli: Cli, stack: Stack) -> None:
    (node,) = json.loads(cli("nodes", "ls", "--json").stdout)
    cli("nodes", "drain", node["id"])
    assert "draining" in cli("nodes", "ls").stdout
    job = stack.submit(Probe(token="why"))
    why = cli("jobs", "why", f"job_{job.id.hex}").stdout
    assert "the node that could run it is drained or sick" in why
    cli("nodes", "resume", node["id"])
    assert eventually(lambda: stack.client.job(job.id).ended, 20)
    assert "succeeded" in cli("jobs", "why", f"job_{job.id.hex}").stdout
    cli("nodes", "drain", "nod_" + "0" * 32, code=Exit.NOT_FOUND)


def test_the_folder_of_an_operator_holds_no_secret(cli: Cli, stack: Stack) -> None:
    cli("admin", "teams", "add", "text")
    secret = cli("admin", "keys", "add", "text").stdout.strip()
    written = [text for path in Path(stack.home).rglob("*") if (text := _text(path)) is not None]
    assert written
    assert not any(secret.encode() in text for text in written)


def _text(path: Path) -> bytes | None:
    """Return what a file holds; a running farm may take one away between two looks."""
    try:
        return path.read_bytes() if path.is_file() else None
    except FileNotFoundError:
        return None
