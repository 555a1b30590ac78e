"""``ovfarm admin``: what an operator does now and then."""

import subprocess
import sys

from cyclopts import App

app = App(name="admin", help="What an operator does now and then.")


@app.command
def migrate() -> int:
    """Bring the database to this release's schema."""
    return subprocess.run([sys.executable, "-m", "api", "migrate"], check=False).returncode
