"""``ovfarm recipes|nodes|models``: what there is."""

import json as json_module
from uuid import UUID

from cyclopts import App
from pydantic import TypeAdapter
from rich.console import Console
from rich.json import JSON

from ovfarm.cli import tables
from ovfarm.cli.outcome import COMMON, Common, put
from ovfarm.client import Client
from ovfarm.errors import NotFound
from ovfarm.jobs import ModelView, NodeView
from ovfarm.recipes import Recipe
from ovfarm.shapes import public_id

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
def recipes_show(name: str, *, common: Common = COMMON) -> None:
    """Show one recipe with the JSON Schema of its steps' parameters."""
    body = common.client().recipe(name)
    if common.json:
        put(body.decode())
        return
    recipe = Recipe.model_validate(json_module.loads(body)["recipe"])
    Console().print(JSON(recipe.model_dump_json()))


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


def _node(client: Client, name: str) -> UUID:
    found = {node.name: node.id for node in client.nodes()}
    if name not in found:
        raise NotFound(f"there is no node {name!r}", hint=f"there are: {', '.join(found) or 'none'}")
    return found[name]


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
