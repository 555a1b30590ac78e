"""The command line: ``ovfarm optimize model.onnx``, and all that one wants to see of it."""

import sys

from cyclopts import App
from cyclopts.exceptions import CycloptsError

from ovfarm.cli import admin, demo, doctor, jobs, listings, optimize, up
from ovfarm.cli.outcome import Exit, exit_code, say
from ovfarm.errors import OvfarmError
from ovfarm.version import VERSION

app = App(
    name="ovfarm",
    help="A farm that makes models fast on Intel hardware, with numbers you can trust.",
    version=VERSION,
    version_flags=["--version"],
)
app.command(optimize.optimize)
app.command(jobs.app)
app.command(listings.recipes)
app.command(listings.nodes)
app.command(listings.models)
app.command(up.up)
app.command(demo.demo)
app.command(doctor.doctor)
app.command(admin.app)


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code (``ovfarm.cli.outcome.Exit``)."""
    try:
        code = app(arguments, exit_on_error=False, result_action="return_value")
    except CycloptsError:
        return Exit.USAGE
    except OvfarmError as error:
        say(error.message)
        if error.hint:
            say(f"  {error.hint}")
        return exit_code(error)
    except TimeoutError as late:
        say(str(late))
        return Exit.TIMED_OUT
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return Exit.OK
    return code if isinstance(code, int) else Exit.OK
