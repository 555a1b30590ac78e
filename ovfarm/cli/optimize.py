"""``ovfarm optimize``: upload, submit, watch, show, download: the whole job in one line."""

from pathlib import Path
from typing import Annotated

import yaml
from cyclopts import Parameter
from pydantic import JsonValue, ValidationError
from rich.console import Console

from ovfarm.cli import files, tables
from ovfarm.cli.outcome import COMMON, Common, Exit, put, say
from ovfarm.cli.watch import watch as watch_job
from ovfarm.client import Client
from ovfarm.errors import InvalidInput
from ovfarm.hardware import Need
from ovfarm.jobs import Cache, DataRef, JobData, JobSpec, JobView, Part
from ovfarm.shapes import public_id
from ovfarm.states import JobState


def optimize(  # noqa: PLR0913 - a command's options
    model: str,
    *,
    recipe: str = "int8",
    data: str | None = None,
    calibration: str | None = None,
    evaluation: str | None = None,
    set_: Annotated[tuple[str, ...], Parameter(name="--set", negative=())] = (),
    target: Annotated[tuple[str, ...], Parameter(negative=())] = ("cpu",),
    cache: Cache = Cache.USE,
    title: str = "",
    watch: bool = True,
    download: Path | None = None,
    common: Common = COMMON,
) -> int:
    """Optimise a model: a .onnx, an .xml with its .bin, a folder, or a mod_… id.

    Parameters
    ----------
    recipe
        A recipe's name (see: ovfarm recipes ls) or a YAML/JSON file.
    data
        One .npz for both roles: its even rows calibrate, its odd rows judge.
    calibration
        An .npz of samples that are calibrated on.
    evaluation
        An .npz of samples that judge, with an array 'labels' for accuracy.
    set_
        STEP.PARAMETER=VALUE, as often as needed.
    target
        A device class: cpu, gpu, npu or auto; several measure on each.
    cache
        Reuse finished work (use), do it again (refresh), or neither reuse nor keep (off).
    title
        A few words to find the job by.
    watch
        Wait for the end and show it.
    download
        A folder for the package.
    """
    client = common.client()
    spec = _spec(
        client,
        model=model,
        recipe=recipe,
        data=_data(client, data, calibration, evaluation),
        overrides=_overrides(set_),
        targets=target,
        cache=cache,
        title=title,
    )
    view = client.submit(spec)
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
    elif view.state is JobState.SUCCEEDED:
        tables.show(result, Console())
    if view.failure:
        say(f"✗ {view.failure.message}")
        if view.failure.hint:
            say(f"  {view.failure.hint}")
    if download and result.package:
        for path in client.download(client.artifact(result.package), download):
            say(f"wrote {path}")
    return Exit.OK if view.state is JobState.SUCCEEDED else Exit.FAILED


def _data(client: Client, data: str | None, calibration: str | None, evaluation: str | None) -> JobData:
    if data and (calibration or evaluation):
        raise InvalidInput("--data stands for both roles; give it, or --calibration and --evaluation")
    if data:
        both = files.dataset(client, data)
        return JobData(
            calibration=DataRef(dataset=both, part=Part.EVEN),
            evaluation=DataRef(dataset=both, part=Part.ODD),
        )
    return JobData(
        calibration=DataRef(dataset=files.dataset(client, calibration)) if calibration else None,
        evaluation=DataRef(dataset=files.dataset(client, evaluation)) if evaluation else None,
    )


def _overrides(settings: tuple[str, ...]) -> dict[str, JsonValue]:
    overrides: dict[str, JsonValue] = {}
    for setting in settings:
        path, equals, value = setting.partition("=")
        if not equals:
            raise InvalidInput(f"--set {setting}: expected STEP.PARAMETER=VALUE")
        overrides[path] = yaml.safe_load(value)
    return overrides


def _spec(
    client: Client,
    *,
    model: str,
    recipe: str,
    data: JobData,
    overrides: dict[str, JsonValue],
    targets: tuple[str, ...],
    cache: Cache,
    title: str,
) -> JobSpec:
    try:
        needs = tuple(Need.model_validate({"device": name}) for name in targets)
        return JobSpec(
            model=files.model(client, model),
            data=data,
            recipe=files.recipe(recipe),
            overrides=overrides,
            targets=needs,
            cache=cache,
            title=title,
        )
    except ValidationError as invalid:
        found = invalid.errors(include_url=False)[0]
        raise InvalidInput(f"{'.'.join(map(str, found['loc']))}: {found['msg']}") from None
