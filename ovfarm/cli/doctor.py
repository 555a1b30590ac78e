"""``ovfarm doctor``: what is there, what is wrong, and how to mend it."""

import json as json_module
import subprocess
import sys
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from ovfarm.cli.outcome import Exit, put

_MARKS = {"ok": "[green]✓[/green]", "warning": "[yellow]![/yellow]", "wrong": "[red]✗[/red]"}


def doctor(
    *,
    sandbox: Annotated[bool, Parameter(negative=())] = False,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Check Python, locks, disk, devices, database, store, broker and torch; 0 when nothing is wrong.

    Parameters
    ----------
    sandbox
        Try the fourteen ways out of the sandbox instead, from inside.
    """
    looked = subprocess.run(
        [sys.executable, "-m", "workers.doctor", *(["--sandbox"] if sandbox else [])],
        stdout=subprocess.PIPE,
        check=False,
        text=True,
    )
    findings = [json_module.loads(line) for line in looked.stdout.splitlines()]
    if json:
        put(json_module.dumps(findings))
    else:
        console = Console()
        for found in findings:
            console.print(f"{_MARKS[found['state']]} {found['name']}: {found['text']}", highlight=False)
            if found["mend"]:
                console.print(f"    {found['mend']}", highlight=False, markup=False)
    wrong = looked.returncode or any(found["state"] == "wrong" for found in findings)
    return Exit.FAILED if wrong else Exit.OK
