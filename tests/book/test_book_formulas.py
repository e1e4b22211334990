"""Formulas: numbered in order, and each the function that the notation page says it is."""

import ast
import importlib
import json
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest
from places import CHAPTERS, ROOT

import vae_course

each_chapter = pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
SHELL = re.compile(r"^(\s*)[%!].*$", re.MULTILINE)


def cells(path: Path, kind: str) -> list[str]:
    notebook = json.loads(path.read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == kind]


def numbers(path: Path) -> list[str]:
    """Return the numbers of a chapter's equations, in order."""
    return re.findall(r"\\tag\{([\d.]+)\}", "\n".join(cells(path, "markdown")))


def code(path: Path) -> list[ast.Module]:
    return [ast.parse(SHELL.sub(r"\1pass", source)) for source in cells(path, "code")]


def imported(path: Path) -> dict[str, Any]:
    """Return what a chapter imports from the package, by the name it has there."""
    found = {}
    for cell in code(path):
        for node in ast.walk(cell):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("vae_course"):
                module = importlib.import_module(str(node.module))
                found |= {
                    name.asname or name.name: getattr(module, name.name) for name in node.names
                }
    return found


def package_functions() -> set[str]:
    """Return the names of all public functions and classes of the package."""
    names = set()
    for module in pkgutil.walk_packages(vae_course.__path__, "vae_course."):
        for name, thing in vars(importlib.import_module(module.name)).items():
            ours = getattr(thing, "__module__", "") == module.name
            if ours and isinstance(thing, FunctionType | type) and not name.startswith("_"):
                names.add(name)
    return names


def calls(cell: ast.Module, name: str) -> list[ast.Call]:
    return [
        node
        for node in ast.walk(cell)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == name
    ]


def table() -> Iterator[tuple[str, list[tuple[str, str]], list[str]]]:
    """Yield formula, places `(number, file)` and functions of each row of the notation page."""
    page = (ROOT / "book/notation.md").read_text(encoding="utf-8")
    lines = page.split("## Formulas")[1].split("\n## ")[0].splitlines()
    _heading, _rule, *rows = [line for line in lines if line.startswith("|")]
    for row in rows:
        formula, places, functions = row.strip("| ").split(" | ")
        yield (
            formula,
            re.findall(r"\[\(([\d.]+)\)\]\((\w+\.ipynb)\)", places),
            re.findall(r"`([\w.]+)", functions),
        )


@each_chapter
def test_equations_are_numbered_in_order(path: Path) -> None:
    chapter = int(path.stem[:2])
    assert numbers(path) == [f"{chapter}.{k}" for k in range(1, len(numbers(path)) + 1)]


@each_chapter
def test_equations_that_are_mentioned_are_there(path: Path) -> None:
    chapter = int(path.stem[:2])
    mentioned = re.findall(rf"\(({chapter}\.[1-9]\d?)\)", "\n".join(cells(path, "markdown")))
    assert set(mentioned) <= set(numbers(path))


@each_chapter
def test_shown_code_is_the_packages(path: Path) -> None:
    ours = imported(path)
    shown = [call for cell in code(path) for call in calls(cell, "show_source")]
    assert shown, "a chapter shows at least one of its formulas as the function it is"
    for call in shown:
        name = ast.unparse(call.args[0]).split(".")[0]
        assert ours[name].__module__.startswith("vae_course."), name


@each_chapter
def test_a_chapter_does_not_write_the_packages_functions_anew(path: Path) -> None:
    taken = package_functions()
    for cell in code(path):
        if not calls(cell, "check"):  # The blank of an exercise may bear any name.
            written = {
                node.name
                for node in ast.walk(cell)
                if isinstance(node, ast.FunctionDef | ast.ClassDef)
            }
            assert not written & taken


def test_every_formula_of_the_notation_page_is_derived_and_is_a_function() -> None:
    rows = list(table())
    assert len(rows) >= 10
    for formula, places, functions in rows:
        assert places, f"{formula}: no equation"
        assert functions, f"{formula}: no function"
        for number, file in places:
            path = ROOT / "book" / file
            assert path in CHAPTERS and number in numbers(path), (
                f"{formula}: no ({number}) in {file}"
            )
        for name in functions:
            room, *rest = name.split(".")
            thing: Any = importlib.import_module(f"vae_course.{room}")
            for part in rest:
                thing = getattr(thing, part)
            assert callable(thing), f"{formula}: {name}"
