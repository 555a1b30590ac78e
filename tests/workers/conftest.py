from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.workers.runs import LIGHT
from workers.isolate import Zygote
from workers.sandbox import Unwrapped


@pytest.fixture
def zygote(tmp_path: Path) -> Iterator[Zygote]:
    with Zygote(sandbox=Unwrapped(tmp_path), preload=LIGHT) as zygote:
        yield zygote
