import json
from typing import Any

import httpx
import pytest
from pydantic import JsonValue
from sqlalchemy import update

from ovfarm.client import Client
from ovfarm.jobs import JobSpec
from ovfarm.shapes import READ_BACK, parse_id
from storage.database import Database
from storage.tables import Job
from storage.teams import DEFAULT_TEAM
from tests.api.conftest import Server
from tests.api.test_blobs import IR, register

PROBLEM = "application/problem+json"


@pytest.fixture
def spec(http: httpx.Client) -> dict[str, Any]:
    return {"model": register(http, "/v1/models", IR).json()["id"], "recipe": "int4"}


def test_submit_is_accepted_with_all_a_poller_needs(http: httpx.Client, spec: dict[str, Any]) -> None:
    accepted = http.post("/v1/jobs", json=spec)
    job = accepted.json()
    assert accepted.status_code == 202
    assert accepted.headers["location"] == f"/v1/jobs/{job['id']}"
    assert accepted.headers["etag"] == f'"{job["id"]}-{job["version"]}"'
    assert accepted.headers["retry-after"] == "1"
    assert job["state"] == "queued"
    assert [step["name"] for step in job["steps"]] == [
        "convert",
        "compress",
        "evaluate",
        "benchmark",
        "package",
    ]
    seen = http.get(accepted.headers["location"])
    assert seen.json() == job


def test_nothing_new_is_a_304_and_a_change_is_not(http: httpx.Client, spec: dict[str, Any]) -> None:
    accepted = http.post("/v1/jobs", json=spec)
    path, tag = accepted.headers["location"], accepted.headers["etag"]
    same = http.get(path, headers={"If-None-Match": tag})
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
    assert http.post(f"{path}/cancel").status_code == 202
    changed = http.get(path, headers={"If-None-Match": tag})
    assert (changed.status_code, changed.json()["state"]) == (200, "cancelled")
    assert changed.headers["etag"] != tag
    assert "retry-after" not in changed.headers


def test_cancel_is_idempotent_and_final(http: httpx.Client, spec: dict[str, Any]) -> None:
    path = http.post("/v1/jobs", json=spec).headers["location"]
    assert [http.post(f"{path}/cancel").json()["state"] for _ in range(2)] == ["cancelled"] * 2
    assert http.get(f"{path}/result").json()["steps"] == []


def test_a_result_before_the_end_is_a_conflict(http: httpx.Client, spec: dict[str, Any]) -> None:
    path = http.post("/v1/jobs", json=spec).headers["location"]
    early = http.get(f"{path}/result")
    assert (early.status_code, early.json()["code"]) == (409, "job_not_ended")


def test_pages_hang_together_and_tokens_are_bound_to_their_filter(
    http: httpx.Client, spec: dict[str, Any]
) -> None:
    ids = [http.post("/v1/jobs", json=spec).json()["id"] for _ in range(5)][::-1]
    first = http.get("/v1/jobs?page_size=2&state=queued")
    token = first.json()["next_page_token"]
    assert [job["id"] for job in first.json()["items"]] == ids[:2]
    assert token in first.headers["link"]
    second = http.get("/v1/jobs", params={"page_size": 3, "state": "queued", "page_token": token})
    assert [job["id"] for job in second.json()["items"]] == ids[2:]
    assert second.json()["next_page_token"] is None
    for bad in ({"page_token": token}, {"page_token": "x"}, {"page_token": "é"}, {"page_size": 0}):
        assert http.get("/v1/jobs", params=bad).status_code == 422


def test_validate_only_plans_and_keeps_nothing(http: httpx.Client, spec: dict[str, Any]) -> None:
    planned = http.post("/v1/jobs?validate_only=true", json=spec)
    assert planned.status_code == 200
    assert planned.json()["steps"][0] == "convert"
    assert http.get("/v1/jobs").json()["items"] == []


@pytest.mark.parametrize(
    ("change", "pointer", "words"),
    [
        ({"recipe": "int9"}, "/recipe", "there are: fp16"),
        ({"recipe": "int8"}, "/data/calibration", "calibration data"),
        ({"model": "mod_1"}, "/model", "32 hexadecimal"),
        ({"model": "mod_" + "0" * 32}, "/model", "no model"),
        ({"targets": [{"device": "VPU"}]}, "/targets/0/device", "npu"),
        ({"targets": [{"device": "tpu"}]}, "/targets/0/device", "'cpu', 'gpu', 'npu' or 'auto'"),
        ({"targets": []}, "/targets", "at least 1"),
        ({"overrides": {"compress.ratio": 2}}, "/overrides/compress.ratio", "less than or equal"),
        ({"overrides": {"compress.rate": 2}}, "/overrides/compress.rate", "group_size"),
        ({"surplus": 1}, "/surplus", "there is no field 'surplus'; there are: cache, data"),
        ({"title": "nul\u0000"}, "/title", "control character"),
        ({"title": "x" * 300}, "/title", "at most 200"),
        ({"labels": {"A b": "x"}}, "/labels", "match pattern"),
        ({"spec_version": 9}, "/spec_version", "1"),
    ],
)
def test_a_mistake_is_named_with_its_place_and_what_is_allowed(
    http: httpx.Client, spec: dict[str, Any], change: dict[str, Any], pointer: str, words: str
) -> None:
    refused = http.post("/v1/jobs", json={**spec, **change})
    body = refused.json()
    assert refused.status_code == 422, body
    assert refused.headers["content-type"] == PROBLEM
    places = [error["pointer"] for error in body["errors"]]
    assert any(place.startswith(pointer) for place in places), body
    assert words in body["detail"], body
    assert body["request_id"] == refused.headers["x-request-id"]


def test_a_probe_needs_the_operators_word(http: httpx.Client) -> None:
    refused = http.post("/v1/jobs", json={"recipe": {"name": "p", "steps": [{"kind": "probe"}]}})
    assert (refused.status_code, refused.json()["code"]) == (422, "probe_refused")


@pytest.mark.parametrize(
    ("body", "statuses"),
    [
        (b"{", {400}),
        (b"\xff\xfe", {400, 422}),
        (b'{"recipe": NaN}', {400, 422}),
        (b'{"recipe": "int4", "priority": Infinity}', {400, 422}),
        (b'{"recipe": "int4", "title": "\\ud800"}', {400, 422}),
        (b"[" * 2000, {400, 422}),
        (b'{"recipe": "int4", "priority": ' + b"9" * 3000 + b"}", {400, 422}),
        (b"null", {422}),
        (b"", {422}),
        (b'{"title": "' + b"x" * 5000 + b'"}', {413}),
    ],
)
def test_odd_bodies_are_a_users_mistake_and_never_a_crash(
    http: httpx.Client, body: bytes, statuses: set[int]
) -> None:
    answer = http.post("/v1/jobs", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in statuses
    assert answer.headers["content-type"] == PROBLEM
    json.loads(answer.text)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/nothing", 404),
        ("DELETE", "/v1/jobs", 405),
        ("GET", "/v1/jobs/job_" + "0" * 32, 404),
        ("GET", "/v1/jobs/job_" + "0" * 32 + "/result", 404),
        ("POST", "/v1/jobs/job_" + "0" * 32 + "/cancel", 404),
        ("GET", "/v1/jobs/nonsense", 422),
        ("GET", "/v1/artifacts/art_" + "0" * 32, 404),
        ("GET", "/v1/recipes/int9", 404),
    ],
)
def test_every_error_is_a_problem_document(http: httpx.Client, method: str, path: str, status: int) -> None:
    answer = http.request(method, path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, PROBLEM)
    assert {"title", "status", "detail", "code", "request_id"} <= answer.json().keys()


def test_the_commit_comes_before_the_answer(
    http: httpx.Client, spec: dict[str, Any], server: Server, database_url: str
) -> None:
    del server
    job = http.post("/v1/jobs", json=spec).json()
    database = Database(database_url)
    with database.read() as session:
        from storage import queries

        assert [j.state.value for j in queries.jobs(session, DEFAULT_TEAM)[0]] == [job["state"]]
    database.close()


def test_a_job_that_an_older_release_took_can_be_read(
    http: httpx.Client, spec: dict[str, Any], server: Server, database_url: str
) -> None:
    """A rule that is new refuses what is submitted, and leaves alone what is in rows."""
    step = {"kind": "compress", "mode": "fp4", "awq": True}
    raw = spec | {"recipe": {"name": "mine", "steps": [step]}}
    job = http.post("/v1/jobs", json=spec).json()
    old = JobSpec.model_validate(raw, context=READ_BACK)
    database = Database(database_url)
    with database.write() as session:
        row = update(Job).where(Job.id == parse_id("job", job["id"]))
        session.execute(row.values(spec=old, recipe=old.recipe))
    database.close()
    with Client(server.url) as client:
        assert client.job(parse_id("job", job["id"])).spec == old
    refused = http.post("/v1/jobs", json=raw)
    assert refused.status_code == 422
    assert "awq: these do not work on" in refused.text


def test_recipes_carry_the_schema_of_their_parameters(http: httpx.Client) -> None:
    assert [recipe["name"] for recipe in http.get("/v1/recipes").json()] == [
        "fp16",
        "int8",
        "int8-accurate",
        "int8-weights",
        "int4",
        "int4-quality",
        "auto",
        "ladder",
    ]
    shown = http.get("/v1/recipes/int8").json()
    assert shown["parameters"]["quantize"]["properties"]["subset_size"]["minimum"] == 1


@pytest.mark.parametrize(
    ("query", "device"), [("", "any"), ("?target=npu", "npu"), ("?target=npu&target=cpu", "any")]
)
def test_a_recipe_is_shown_as_it_is_for_its_targets(http: httpx.Client, query: str, device: str) -> None:
    steps = {step["name"]: step for step in http.get(f"/v1/recipes/int8{query}").json()["recipe"]["steps"]}
    assert steps["quantize"]["target_device"] == device
    assert steps["convert"]["require_static"] is ("npu" in query)
    refused = http.get("/v1/recipes/int8?target=vpu")
    assert refused.status_code == 422
    assert "npu" in refused.json()["detail"]
    assert http.get("/v1/recipes/int9?target=npu").status_code == 404


def with_step(**step: JsonValue) -> dict[str, JsonValue]:
    return {"recipe": {"steps": [{"kind": "convert"}, step]}}


@pytest.mark.parametrize(("change", "pointer", "words"), [
    (with_step(kind="compress", group_sise=64), "/recipe/steps/1/group_sise", "mean 'group_size'? there are"),
    (with_step(kind="compres"), "/recipe/steps/1/kind", "no kind 'compres'; did you mean 'compress'?"),
    (with_step(mode="int4_sym"), "/recipe/steps/1/kind", "is missing; there are: benchmark, choose"),
    (with_step(kind="compress", ratio=2), "/recipe/steps/1/ratio", "less than or equal to 1"),
    (with_step(kind="compress", ratio=0.5), "/recipe/steps/1", "ratio: these belong to the modes below"),
    (with_step(kind="quantize", model="later"), "/recipe", "'quantize' names 'later'; earlier steps that"),
    (with_step(kind="convert", preprocessing={"": {"men": 1}}), "/recipe/steps/1/preprocessing//men", "mean"),
    ({"recipe": "Int 8"}, "/recipe", "match pattern"),
    ({"recipe": 8}, "/recipe", "a recipe is the name of one, or a whole one with its steps"),
    ({"targets": [{"device": "tpu"}]}, "/targets/0/device", "'cpu', 'gpu', 'npu' or 'auto'"),
    ({"targets": [{"device": "cpu", "pol": "lab"}]}, "/targets/0/pol", "did you mean 'pool'?"),
    ({"labels": {"A b": "x"}}, "/labels/A b", "match pattern"),
])  # fmt: skip
def test_one_mistake_is_named_once_where_it_is_in_the_body(
    http: httpx.Client, spec: dict[str, Any], change: dict[str, Any], pointer: str, words: str
) -> None:
    refused = http.post("/v1/jobs", json={**spec, **change})
    assert refused.status_code == 422
    (error,) = refused.json()["errors"]
    assert (error["pointer"], words in error["message"]) == (pointer, True), error


def test_a_whole_recipe_need_not_have_a_name(http: httpx.Client, spec: dict[str, Any]) -> None:
    sent = http.post("/v1/jobs", json={**spec, **with_step(kind="compress")})
    assert (sent.status_code, sent.json()["recipe"]) == (202, "custom")
    named = {"name": "mine", "steps": [{"kind": "convert"}]}
    assert http.post("/v1/jobs", json={**spec, "recipe": named}).json()["recipe"] == "mine"


def test_health(http: httpx.Client) -> None:
    assert http.get("/healthz").status_code == 204
    assert http.get("/readyz").json() == {"database": "ok", "schema_version": "ok", "store": "ok"}
    assert http.get("/version").json() == {"version": "0.1.0"}
    assert http.get("/v1/nodes").json() == []


def test_the_openapi_document_names_operations_and_problems(http: httpx.Client) -> None:
    document = http.get("/openapi.json").json()
    operations = {op["operationId"] for path in document["paths"].values() for op in path.values()}
    assert {"jobs_submit", "jobs_get", "blobs_put", "artifacts_file"} <= operations
    answers = document["paths"]["/v1/jobs/{job_id}"]["get"]["responses"]
    assert list(answers["404"]["content"]) == [PROBLEM]
    schemas = document["components"]["schemas"]
    assert "Problem" in schemas
    name, whole = schemas["JobSpec-Input"]["properties"]["recipe"]["oneOf"]
    assert (name["type"], whole["$ref"].rpartition("/")[2]) == ("string", "Recipe-Input")
    assert "name" not in schemas["Recipe-Input"]["required"]
