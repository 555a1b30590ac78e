import re
from pathlib import Path

from ovfarm.presets import PRESETS
from ovfarm.settings import Settings

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_every_setting_is_documented() -> None:
    page = (DOCS / "operate.md").read_text()
    missing = [name for name in Settings.model_fields if f"OVFARM_{name.upper()}" not in page]
    assert missing == []


def test_every_recipe_is_documented() -> None:
    page = (DOCS / "recipes.md").read_text()
    assert [name for name in PRESETS if f"| `{name}` |" not in page] == []


def test_every_test_that_a_promise_names_exists() -> None:
    tests = DOCS.parent / "tests"
    for page, folder in ((DOCS.parent / "SECURITY.md", DOCS.parent), (DOCS / "promises.md", tests)):
        named = re.findall(r"`((?:[a-z0-9]+/)+[a-z_]+\.py)`", page.read_text())
        assert len(named) > 10
        missing = [
            name for name in named if not any((root / name).exists() for root in (folder, DOCS.parent))
        ]
        assert missing == []


def test_decisions_fit_on_a_page() -> None:
    for page in (DOCS / "decisions").glob("*.md"):
        assert len(page.read_text().splitlines()) <= 40, page
