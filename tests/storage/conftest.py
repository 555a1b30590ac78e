from collections.abc import Iterator

import pytest

from tests.storage.farm import Farm


@pytest.fixture
def farm(database_url: str) -> Iterator[Farm]:
    farm = Farm(database_url)
    yield farm
    farm.database.close()
