"""Writes the tables of ``docs/failures.md`` from ``ovfarm.hints``: ``python -m docs.failures``."""

import re
from pathlib import Path

import yaml

from ovfarm.failures import FailureCode
from ovfarm.hints import HINTS, Hint, Remedy, Topic

PAGE = Path(__file__).with_suffix(".md")


def table(topic: Topic) -> str:
    """Return the failures and notes of a topic as a table."""
    head = "| code | class | what it means | what to do | patches |\n|---|---|---|---|---|"
    return "\n".join([head, *(_row(code, hint) for code, hint in HINTS.items() if hint.topic is topic)])


def _row(code: str, hint: Hint) -> str:
    who = ", ".join(hint.classes) if isinstance(code, FailureCode) else "note"
    patches = "<br>".join(map(_patch, hint.patches)) or "–"
    return f"| `{code}` | {who} | {hint.means} | {hint.words} | {patches} |"


def _patch(remedy: Remedy) -> str:
    changes = [f"{path}={_text(value)}" for path, value in remedy.overrides.items()]
    changes += [f"{path} × {factor:g}" for path, factor in remedy.times.items()]
    changes += [f"{path} ≤ {most}" for path, most in remedy.at_most.items()]
    changes += [f"--recipe {remedy.recipe}"] if remedy.recipe else []
    return f"`{' '.join(changes)}`"


def _text(value: object) -> str:
    return yaml.safe_dump(value, default_flow_style=True).removesuffix("\n").removesuffix("\n...")


def drawn(page: str) -> str:
    """Return the page with its tables as ``ovfarm.hints`` has them now."""
    for topic in Topic:
        head = f"<!-- {topic} -->\n"
        before, _, after = page.partition(head)
        page = before + head + table(topic) + "\n" + re.sub(r"^(\|.*\n)*", "", after)
    return page


if __name__ == "__main__":
    PAGE.write_text(drawn(PAGE.read_text()))
