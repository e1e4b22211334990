"""The content key of a chapter: when it is the same, the chapter need not run again.

Of the package it covers the files that the chapter really imports. The rule:

- The imports in the chapter's cells, and those of every module so reached, are followed. One inside
  a function counts, called or not. Importing `a.b.c` reaches `a`, `a.b` and `a.b.c`: all three run.
- The data of a room (its files that are not Python) belong to it once a module of it is reached.
- `vae_course.exercises` imports the checks of all chapters. Those count whose exercises the chapter
  checks: `check("5.1", …)` reaches `exercises/chapter_05.py`.
- What cannot be followed by reading (a cell that is no plain Python, a relative import, a checked
  exercise whose number is no literal) reaches the whole package.

What only a string names (`importlib`) is not followed. `load_model` imports so, and only the class
of a model that was saved: a chapter that saves one has imported its class by name.
"""

import ast
import hashlib
import json
import platform
import re
from collections.abc import Iterator
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from vae_course.chapters import machine
from vae_course.chapters.notebooks import Notebook, tags_of, text_of

NAME = "vae_course"
EXERCISES = f"{NAME}.exercises"
# What executes and renders the chapters is no part of their results.
BESIDE_THE_POINT = ("chapters", "cli.py")
_SHELL = re.compile(r"^(\s*)[%!].*$", re.MULTILINE)


class _UntraceableError(Exception):
    """An import that reading the code does not tell."""


class Package:
    """The package's files as they are now; each is read once."""

    def __init__(self, folder: Path) -> None:
        """Take the folder of `vae_course`, or of a copy of it."""
        self.folder = folder
        self.digest = cache(_digest)
        self.imports = cache(lambda path: _imports(ast.parse(path.read_text(encoding="utf-8"))))

    @cached_property
    def files(self) -> set[Path]:
        """List every file that a chapter may depend on."""
        found = (path for path in self.folder.rglob("*") if path.is_file())
        return {path for path in found if not self._is_beside_the_point(path)}

    @cached_property
    def whole(self) -> str:
        """Digest of all that a chapter may depend on, to tell one package from another."""
        files = {p.relative_to(self.folder).as_posix(): self.digest(p) for p in self.files}
        return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()

    def reached(self, names: set[str]) -> set[Path]:
        """Follow imported names through the package; its own data belong to a room."""
        found, todo = set[Path](), list(names)
        while todo:
            parts = todo.pop().split(".")
            for length in range(1, len(parts) + 1) if parts[0] == NAME else ():
                path = self._module(parts[1:length])
                if path and path not in found:
                    found.add(path)
                    todo += self.imports(path)
        rooms = {path.relative_to(self.folder).parts[0] for path in found}
        return found | {
            path
            for path in self.files
            if path.suffix != ".py" and path.relative_to(self.folder).parts[0] in rooms
        }

    def _module(self, parts: list[str]) -> Path | None:
        room = self.folder.joinpath(*parts)
        candidates = [room / "__init__.py"]
        if parts:
            candidates.append(room.with_name(f"{parts[-1]}.py"))
        return next((path for path in candidates if path.is_file()), None)

    def _is_beside_the_point(self, path: Path) -> bool:
        parts = path.relative_to(self.folder).parts
        hidden = any(part.startswith(".") or part == "__pycache__" for part in parts)
        return hidden or parts[0] in BESIDE_THE_POINT


def content_key(*, notebook: Notebook, parameters: dict[str, Any], package: Package) -> str:
    """SHA-256 over all that an executed chapter depends on.

    That is its cells (not their outputs), its parameters, the files of the package that it reaches,
    the versions of Python and of the packages beneath, and whether it runs on a CPU or which GPU.
    """
    cells = [
        [cell["cell_type"], text_of(cell["source"]), tags_of(cell)] for cell in notebook["cells"]
    ]
    files = {
        path.relative_to(package.folder).as_posix(): package.digest(path)
        for path in files_of(notebook, package)
    }
    parts = {
        "cells": cells,
        "parameters": parameters,
        "package": files,
        "versions": machine.versions(),
        "device": machine.gpu() or platform.machine(),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def record_key(*, notebook: Notebook, parameters: dict[str, Any]) -> str:
    """SHA-256 over what the recorded runs of a chapter depend on: its code and its parameters.

    Words do not count: Markdown, comments, strings with a space in them, and all of a `Claim` but
    its name and value (what the text says of it is held to the runs again, not measured again). Nor
    does the seed, nor the package: what a change in it does to the values shows as drift.
    """
    trees = [_plain(_Code().visit(tree)) for tree in _trees(notebook) if tree.body]
    settings = {name: value for name, value in parameters.items() if name != "seed"}
    parts = json.dumps([trees, settings], sort_keys=True)
    return hashlib.sha256(parts.encode()).hexdigest()[:16]


def _plain(part: Any) -> Any:
    """Write a tree as lists, the same under every Python: fields that say nothing are left out."""
    if isinstance(part, ast.AST):
        fields = [(name, _plain(value)) for name, value in ast.iter_fields(part)]
        return [type(part).__name__, *(pair for pair in fields if pair[1] not in ("None", []))]
    return [_plain(one) for one in part] if isinstance(part, list) else repr(part)


class _Code(ast.NodeTransformer):
    """Leaves out of code what is only words."""

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        words = isinstance(node.value, str) and " " in node.value
        return ast.Constant("…") if words else node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        return None if node.module == f"{NAME}.claims" else node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if isinstance(node.func, ast.Name) and node.func.id == "Claim":
            node.args, node.keywords = node.args[:2], []
        return self.generic_visit(node)


def files_of(notebook: Notebook, package: Package) -> set[Path]:
    """List the files of the package that a chapter depends on, by the rule above."""
    try:
        names = {name for tree in _trees(notebook) for name in _imports(tree) | _checks(tree)}
        return package.reached(names)
    except (SyntaxError, ValueError, RecursionError, _UntraceableError):
        return package.files


def _trees(notebook: Notebook) -> Iterator[ast.Module]:
    for cell in notebook["cells"]:
        source = text_of(cell["source"])
        if cell["cell_type"] == "code" and not source.startswith("%%"):
            yield ast.parse(_SHELL.sub(r"\1pass", source))


def _imports(tree: ast.Module) -> set[str]:
    """List the dotted names that are imported, wherever in the code."""
    names = set[str]()
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=aliases):
                names |= {alias.name for alias in aliases}
            case ast.ImportFrom(module=str(module), names=aliases, level=0):
                names |= {module, *(f"{module}.{alias.name}" for alias in aliases)}
            case ast.ImportFrom():
                raise _UntraceableError
    return names


def _checks(tree: ast.Module) -> set[str]:
    """List the modules of the exercises that are checked."""
    names = set[str]()
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="check"), args=[ast.Constant(value=str(number)), *_]):
                names.add(f"{EXERCISES}.chapter_{number.partition('.')[0]:0>2}")
            case ast.Call(func=ast.Name(id="check")):
                raise _UntraceableError
    return names


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
