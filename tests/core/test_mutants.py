"""Every mutant of tests/mutants.toml still finds its place: `make mutants` runs them."""

import shutil
from pathlib import Path

import pytest
from mutants import ROOT, Mutant, mutants


@pytest.mark.parametrize("mutant", mutants(), ids=lambda mutant: mutant.name)
def test_a_mutant_can_be_made_and_its_tests_exist(mutant: Mutant, tmp_path: Path) -> None:
    copy = tmp_path / mutant.file
    copy.parent.mkdir(parents=True)
    shutil.copy(ROOT / mutant.file, copy)
    mutant.apply(tmp_path)
    compile(copy.read_text(encoding="utf-8"), mutant.file, "exec")
    assert all((ROOT / test).exists() for test in mutant.tests)
    assert mutant.rule
