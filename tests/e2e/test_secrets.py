"""What a node and an API are told in secret is in nothing that they write."""

import json
import secrets
from pathlib import Path

from ovfarm.jobs import Cache, JobSpec
from ovfarm.recipes import Probe, ProbeAction, Recipe
from tests.e2e.stack import Stack, eventually


def test_no_secret_is_in_a_row_a_log_or_an_artifact(tmp_path: Path, database_url: str) -> None:
    canary = secrets.token_hex(16)
    environment = {
        "OVFARM_S3_SECRET_ACCESS_KEY": canary,
        "OVFARM_HUB_TOKENS": json.dumps({"default": canary}),
        "AWS_SECRET_ACCESS_KEY": canary,
        "OVFARM_LOG": "json",
    }
    actions = (ProbeAction.OK, ProbeAction.FAIL, ProbeAction.FLOOD, ProbeAction.SIGNAL)
    with Stack(tmp_path / "farm", database_url, environment=environment) as stack:
        stack.worker("node")
        specs = [
            JobSpec(
                recipe=Recipe(name="p", steps=(Probe(action=action, amount=11 if n == 3 else 4096),)),
                cache=Cache.OFF,
                limits={"max_attempts": 1},
            )
            for n, action in enumerate(actions)
        ]
        jobs = [stack.client.submit(spec) for spec in specs]
        assert eventually(lambda: all(stack.client.job(job.id).ended for job in jobs), 60), stack.log()
        told = "".join(stack.client.job(job.id).model_dump_json() for job in jobs)
        told += stack.client.transport.send("GET", "/metrics").text
    assert canary not in told
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 3
    assert [str(path) for path in files if canary.encode() in path.read_bytes()] == []
