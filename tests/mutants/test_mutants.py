"""The bugs still fit the code. That each is seen: ``./farm test mutants``."""

import ast
from pathlib import Path

import pytest

from tests.mutants.__main__ import ROOT, copied
from tests.mutants.mutants import MUTANTS, Mutant


def test_there_are_twelve_of_different_names() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == 12


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_fits_and_is_python(mutant: Mutant) -> None:
    assert all(Path(ROOT, killer).is_file() for killer in mutant.killers)
    with copied(mutant) as code:
        for edit in mutant.edits:
            ast.parse((code / edit.file).read_text())
