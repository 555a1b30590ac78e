from docs.failures import PAGE, drawn, table
from ovfarm.hints import HINTS, Topic


def test_the_page_is_what_the_table_says() -> None:
    assert drawn(PAGE.read_text()) == PAGE.read_text(), "run: python -m docs.failures"


def test_every_code_is_on_the_page_once() -> None:
    page = PAGE.read_text()
    assert [code for code in HINTS if page.count(f"| `{code}` |") != 1] == []
    assert len({table(topic) for topic in Topic}) == len(Topic)
