"""``python -m ovfarm.cli``."""

import sys

from ovfarm.cli import main

sys.exit(main())
