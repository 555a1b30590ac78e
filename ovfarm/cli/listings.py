"""``ovfarm recipes|nodes|models``: what there is."""

import json as json_module
from pathlib import Path
from typing import Annotated
from uuid import UUID

import yaml
from cyclopts import App, Parameter
from pydantic import TypeAdapter
from rich.console import Console
from rich.json import JSON

from ovfarm.catalog import ModelView
from ovfarm.cli import tables
from ovfarm.cli.outcome import COMMON, Common, put, say
from ovfarm.client import Client
from ovfarm.errors import InvalidInput, NotFound
from ovfarm.jobs import NodeView
from ovfarm.recipes import Recipe
from ovfarm.shapes import public_id
from ovfarm.translation import translate

recipes = App(name="recipes", help="List recipes, and show one with the schema of its parameters.")
nodes = App(name="nodes", help="List, drain and resume the nodes of the pool.")
models = App(name="models", help="List registered models.")


@recipes.command(name="ls")
def recipes_ls(*, common: Common = COMMON) -> None:
    """List the recipes that have a name."""
    found = common.client().recipes()
    if common.json:
        put(TypeAdapter(tuple[Recipe, ...]).dump_json(found).decode())
        return
    rows = [(r.name, " → ".join(step.name for step in r.steps), r.title) for r in found]
    tables.listing(("recipe", "steps", ""), rows, Console())


@recipes.command(name="show")
def recipes_show(
    name: str, *, target: Annotated[tuple[str, ...], Parameter(negative=())] = (), common: Common = COMMON
) -> None:
    """Show one recipe with the JSON Schema of its steps' parameters.

    Parameters
    ----------
    target
        Show it as it is for a job with this target: cpu, gpu, npu or auto; several are possible.
    """
    body = common.client().recipe(name, target)
    if common.json:
        put(body.decode())
        return
    recipe = Recipe.model_validate(json_module.loads(body)["recipe"])
    Console().print(JSON(recipe.model_dump_json()))


@recipes.command(name="translate")
def recipes_translate(file: Path, *, json: Annotated[bool, Parameter(negative=())] = False) -> None:
    """Turn a configuration of NNCF, POT or optimum-intel, or a program, into today's recipe.

    The recipe goes to stdout as YAML, for --recipe FILE.yaml; what has no equal is said on stderr.
    """
    try:
        found = translate(file.read_text())
    except (OSError, UnicodeDecodeError) as unreadable:
        raise InvalidInput(f"{file} cannot be read: {unreadable}") from None
    if json:
        put(found.model_dump_json(exclude_defaults=True))
        return
    for note in found.notes:
        say(f"! {note}")
    if found.recipe is not None:
        steps = found.recipe.model_dump(mode="json", exclude_defaults=True)["steps"]
        kinds = [{"kind": step.kind.value} | raw for step, raw in zip(found.recipe.steps, steps, strict=True)]
        put(yaml.safe_dump({"steps": kinds}, sort_keys=False).rstrip())


@nodes.command(name="ls")
def nodes_ls(*, common: Common = COMMON) -> None:
    """List the nodes with what each offers and runs."""
    found = common.client().nodes()
    if common.json:
        put(TypeAdapter(tuple[NodeView, ...]).dump_json(found).decode())
        return
    rows = [
        (
            node.name + (" (emulated)" if node.offer.emulated else ""),
            node.state.value,
            f"{node.offer.device} {node.offer.device_name}",
            f"{node.offer.cores:g} cores, {node.offer.memory_bytes / 2**30:.0f} GiB",
            node.offer.sandbox,
            ", ".join(node.running) or "idle",
        )
        for node in found
    ]
    tables.listing(("node", "state", "device", "size", "sandbox", "runs"), rows, Console())


@nodes.command
def drain(*name: str, common: Common = COMMON) -> None:
    """Let nodes finish what they run and take nothing new, until they are resumed."""
    client = common.client()
    for one in name:
        _steered(client.drain(_node(client, one)), json=common.json)


@nodes.command
def resume(*name: str, common: Common = COMMON) -> None:
    """Let drained or sick nodes take steps again."""
    client = common.client()
    for one in name:
        _steered(client.resume(_node(client, one)), json=common.json)


@models.command(name="show")
def models_show(model: str, *, common: Common = COMMON) -> None:
    """Show a model: its files, and its inputs and outputs once a job has read it."""
    client = common.client()
    found = next((m for m in client.models() if model in {m.name, public_id("mod", m.id)}), None)
    if found is None:
        raise NotFound(f"there is no model {model!r}", hint="list yours: ovfarm models ls")
    if common.json:
        put(found.model_dump_json())
        return
    rows: list[tuple[str, str, str, str]] = []
    rows += [(port.direction, port.name, port.shape, port.element_type) for port in found.ports]
    rows += [
        ("file", name, f"{entry.size} bytes", entry.digest[:12])
        for name, entry in found.manifest.files.items()
    ]
    tables.listing(("", found.name, found.format.value, ""), rows, Console())


def _node(client: Client, name: str) -> UUID:
    """Return the id of a node that is meant by its name or by its id."""
    nodes = client.nodes()
    for node in nodes:
        if name in {node.name, public_id("nod", node.id)}:
            return node.id
    there_are = ", ".join(node.name for node in nodes) or "none"
    raise NotFound(f"there is no node {name!r}", hint=f"there are: {there_are}")


def _steered(node: NodeView, *, json: bool) -> None:
    put(node.model_dump_json() if json else f"{node.name} {node.state}")


@models.command(name="ls")
def models_ls(*, common: Common = COMMON) -> None:
    """List the registered models."""
    found = common.client().models()
    if common.json:
        put(TypeAdapter(tuple[ModelView, ...]).dump_json(found).decode())
        return
    rows = [
        (public_id("mod", m.id), m.name, m.format.value, f"{m.manifest.size / 1e6:.2f} MB") for m in found
    ]
    tables.listing(("model", "name", "format", "size"), rows, Console())
