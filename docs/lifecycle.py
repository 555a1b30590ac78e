"""Draws the diagrams of ``docs/lifecycle.md`` from the transition tables: ``python -m docs.lifecycle``."""

import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from ovfarm.states import (
    JOB_ENDED,
    JOB_TABLE,
    STEP_ENDED,
    STEP_TABLE,
    JobEvent,
    JobState,
    StepEvent,
    StepState,
)

Table = Mapping[tuple[StepState, StepEvent], StepState] | Mapping[tuple[JobState, JobEvent], JobState]
PAGE = Path(__file__).with_suffix(".md")


def diagram(table: Table, ended: frozenset[StrEnum]) -> str:
    """Return a transition table as a Mermaid state diagram."""
    edges = [f"    {state} --> {after}: {event}" for (state, event), after in table.items()]
    ends = [f"    {state} --> [*]" for state in sorted(ended)]
    return "\n".join(["```mermaid", "stateDiagram-v2", *edges, *ends, "```"])


def drawn(page: str) -> str:
    """Return the page with its diagrams as the tables have them now."""
    for name, picture in {
        "step": diagram(STEP_TABLE, frozenset(STEP_ENDED)),
        "job": diagram(JOB_TABLE, frozenset(JOB_ENDED)),
    }.items():
        page = re.sub(
            rf"<!-- {name} -->\n(```mermaid.*?```\n)?",
            f"<!-- {name} -->\n{picture}\n",
            page,
            flags=re.DOTALL,
        )
    return page


if __name__ == "__main__":
    PAGE.write_text(drawn(PAGE.read_text()))
