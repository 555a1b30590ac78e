from docs.lifecycle import PAGE, diagram, drawn
from ovfarm.states import STEP_TABLE, StepEvent, StepState


def test_the_diagrams_are_those_of_the_tables() -> None:
    assert drawn(PAGE.read_text()) == PAGE.read_text(), "run: python -m docs.lifecycle"


def test_a_changed_table_changes_the_page() -> None:
    changed = {**STEP_TABLE, (StepState.FAILED, StepEvent.RELEASE): StepState.QUEUED}
    assert diagram(changed, frozenset()) not in PAGE.read_text()
