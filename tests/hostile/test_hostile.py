"""A part of the corpus and some mutants by default; all of it by name: ./farm test hostile."""

from tests.e2e.stack import eventually
from tests.hostile.__main__ import fired
from tests.hostile.corpus import corpus
from tests.hostile.graphs import plain
from tests.hostile.hostile import MARKER, hostile
from tests.hostile.mutations import mutated
from tests.hostile.payloads import CODE
from tests.hostile.range import Range, Seen


def test_every_owner_is_told_what_is_wrong_and_nothing_else_happens() -> None:
    seen = fired([*corpus()[::4], *mutated(120, seed=1)])
    assert (seen.untyped, seen.markers, seen.node_deaths, seen.escapes) == ([], [], [], [])
    assert seen.typed == seen.files > 200


def test_the_corpus_is_large_and_its_names_are_its_own() -> None:
    names = [file.name for file in corpus()]
    assert len(names) == len(set(names)) >= 300


def test_what_a_file_leaves_is_seen() -> None:
    """Seeded: a good file that is expected to be refused, and traces of one that was not held."""
    seen = Seen()
    with Range() as place:
        wrong = hostile("a good model", {"m.onnx": plain()}, "model_format_refused")
        place.fire(wrong, seen)
        step = place.scratch / "traces"
        (step / "out").mkdir(parents=True)
        (step / "out" / "copied").write_text(place.secret)
        (step / "log.txt").write_text(MARKER)
        place.note_traces(wrong, step, "converted", seen)
        exec(CODE)  # noqa: S102 - the payload itself, let loose once to see that it is seen
        assert eventually(lambda: place.packets == 1, 5)
    assert seen.untyped == ["a good model: converted, not model_format_refused"]
    assert seen.markers == ["a good model"]
    assert seen.escapes == ["a good model: read outside"]
