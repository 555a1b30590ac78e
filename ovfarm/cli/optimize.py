"""``ovfarm optimize``: upload, submit, watch, show, download: the whole job in one line."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from pydantic import JsonValue, ValidationError
from rich.console import Console

from ovfarm.cli import files, tables
from ovfarm.cli.outcome import COMMON, Common, Exit, put, say
from ovfarm.cli.patches import settings, tell_failure, tell_notes
from ovfarm.cli.watch import watch as watch_job
from ovfarm.client import Client
from ovfarm.datasets import Reading
from ovfarm.errors import InvalidInput
from ovfarm.fields import mistake
from ovfarm.hardware import Need
from ovfarm.jobs import Cache, DataRef, JobData, JobSpec, JobView, Limits, Part
from ovfarm.shapes import public_id
from ovfarm.states import JobState


def _option(text: str, **more: Any) -> Parameter:
    return Parameter(help=text, negative=(), **more)


_DATA = "an .npz, .jsonl, .txt, .parquet or .csv, a folder of .npy files or images, or a dat_… id"
_IMAGE = "FIELD=VALUE: what an input expects of an image: size, resize, color, layout, mean, scale, dtype"
_TARGET = "cpu, gpu, npu or auto, or more of it: gpu/pool=lab/memory=32/isa=amx_int8; several are compared"

LIMIT = _option("memory_gib=16, step_timeout_s=7200 or max_attempts=5: bounds of every step", name="--limit")


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person may say about a job."""

    recipe: Annotated[str, _option("a recipe's name (ovfarm recipes ls) or a YAML/JSON file")] = "int8"
    data: Annotated[str | None, _option(f"{_DATA}: its even rows calibrate, its odd rows judge")] = None
    calibration: Annotated[str | None, _option(f"{_DATA}, that is calibrated on")] = None
    evaluation: Annotated[str | None, _option(f"{_DATA}, that judges; with labels for accuracy")] = None
    mapping: Annotated[
        tuple[str, ...],
        _option("INPUT=COLUMN or INPUT=FIRST..LAST of a table: what feeds an input", name="--map"),
    ] = ()
    labels: Annotated[str | None, _option("the column of labels (labels)")] = None
    image: Annotated[tuple[str, ...], _option(_IMAGE)] = ()
    max_tokens: Annotated[int | None, _option("the most tokens of a text (128)")] = None
    overrides: Annotated[tuple[str, ...], _option("STEP.PARAMETER=VALUE", name="--set")] = ()
    target: Annotated[tuple[str, ...], _option(_TARGET)] = ("cpu",)
    limits: Annotated[tuple[str, ...], LIMIT] = ()
    cache: Annotated[Cache, _option("reuse finished work, do it again, or neither")] = Cache.USE
    title: Annotated[str, _option("a few words to find the job by")] = ""


WANTED = Wanted()


def optimize(
    model: Annotated[
        str,
        Parameter(
            help="a .onnx, an .xml with its .bin, a folder or archive, hf://org/name@revision, or a mod_… "
            "id; a .pt or .pt2 program where the operator allows it"
        ),
    ],
    *,
    wanted: Wanted = WANTED,
    watch: Annotated[bool, Parameter(help="wait for the end and show it")] = True,
    download: Annotated[Path | None, Parameter(help="a folder for the package")] = None,
    common: Common = COMMON,
) -> int:
    """Optimise a model: upload, submit, watch, and show what came of it."""
    client = common.client()
    view = client.submit(_spec(client, model, wanted))
    say(f"{public_id('job', view.id)} submitted to {client.transport.url}")
    if not watch:
        put(view.model_dump_json() if common.json else public_id("job", view.id))
        return Exit.OK
    return finish(client, watch_job(client, view.id), json=common.json, download=download)


def finish(client: Client, view: JobView, *, json: bool, download: Path | None = None) -> int:
    """Show how a job ended, fetch its package if asked, and return the exit code."""
    result = client.result(view.id)
    if json:
        put(result.model_dump_json())
    else:
        tables.show(result, Console())
        tell_notes(result)
    if view.failure:
        tell_failure(view.id, view.failure)
    if download and result.package:
        for path in client.download(client.artifact(result.package), download):
            say(f"wrote {path}")
    return Exit.OK if view.state is JobState.SUCCEEDED else Exit.FAILED


def _data(client: Client, wanted: Wanted) -> JobData:
    calibration, evaluation = wanted.calibration, wanted.evaluation
    if wanted.data and (calibration or evaluation):
        raise InvalidInput("--data stands for both roles; give it, or --calibration and --evaluation")
    reading = _reading(wanted)

    def ref(named: str, part: Part = Part.ALL) -> DataRef:
        return DataRef(dataset=files.dataset(client, named), part=part, **dict(reading))

    if wanted.data:
        return JobData(calibration=ref(wanted.data, Part.EVEN), evaluation=ref(wanted.data, Part.ODD))
    return JobData(
        calibration=ref(calibration) if calibration else None,
        evaluation=ref(evaluation) if evaluation else None,
    )


def _reading(wanted: Wanted) -> Reading:
    """Return how the columns of the data become inputs; raises ValidationError, InvalidInput."""
    given: dict[str, JsonValue] = {
        "mapping": _columns(wanted.mapping),
        "labels": wanted.labels,
        "image": settings(wanted.image, "--image") or None,
    }
    if wanted.max_tokens is not None:
        given["max_tokens"] = wanted.max_tokens
    return Reading.model_validate(given)


def _columns(pairs: tuple[str, ...]) -> dict[str, JsonValue]:
    """Return which column feeds which input; names are words, whatever YAML would make of them."""
    found: dict[str, JsonValue] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise InvalidInput(f"--map {pair}: expected INPUT=COLUMN")
        found[name] = value
    return found


def _spec(client: Client, model: str, wanted: Wanted) -> JobSpec:
    """Turn words into a spec; everything that can be checked here is, before anything is uploaded."""
    try:
        targets = tuple(Need.model_validate(name) for name in wanted.target)
        overrides = settings(wanted.overrides)
        limits = Limits.model_validate(settings(wanted.limits, "--limit"))
        return JobSpec(
            recipe=files.recipe(wanted.recipe),
            model=files.model(client, model),
            data=_data(client, wanted),
            overrides=overrides,
            targets=targets,
            limits=limits,
            cache=wanted.cache,
            title=wanted.title,
        )
    except ValidationError as invalid:
        raise InvalidInput(mistake(invalid, JobSpec, Need, Limits, Reading, DataRef)) from None
