"""Every exercise of every chapter: its blank is open, and its printed solution is right."""

import ast
import re
from pathlib import Path

import nbformat
import pytest

from vae_course.exercises import check, registered

BOOK = Path(__file__).parents[2] / "book"
CALL = re.compile(r'^check\("(\d+\.\d+)", (\w+)\)$', re.MULTILINE)
CODE = re.compile(r"```python\n(.*?)```", re.DOTALL)


def exercises():
    """(chapter, number, name of the answer, blank cell, solution cell) of every exercise."""
    for path in sorted(BOOK.glob("[0-9]*.ipynb")):
        cells = nbformat.read(path, as_version=4).cells
        for i, cell in enumerate(cells):
            call = CALL.search(cell.source) if cell.cell_type == "code" else None
            if call:
                later = (c.source for c in cells[i:] if c.cell_type == "markdown")
                solution = next(text for text in later if "<details>" in text)
                yield pytest.param(path, *call.groups(), cell.source, solution, id=call[1])


def imports(path):
    """Run the imports of a chapter, which a reader has behind them when they get to exercises."""
    namespace = {}
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code" and "setup" not in cell.metadata.get("tags", []):
            found = [node for node in ast.parse(cell.source).body if isinstance(node, IMPORTS)]
            exec(compile(ast.Module(found, []), str(path), "exec"), namespace)
    return namespace


IMPORTS = (ast.Import, ast.ImportFrom)


@pytest.mark.parametrize(("path", "number", "name", "blank", "solution"), list(exercises()))
def test_blank_is_open_and_solution_is_right(path, number, name, blank, solution):
    namespace = imports(path)
    exec(CALL.sub("", blank), namespace)
    assert check(number, namespace[name]).state == "open"
    for code in CODE.findall(solution):
        exec(code, namespace)
    verdict = check(number, namespace[name])
    assert verdict.state == "right", verdict.message


def test_every_checker_belongs_to_an_exercise():
    assert {param.id for param in exercises()} == set(registered())
