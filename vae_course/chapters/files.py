"""Reading notebooks."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vae_course.chapters.errors import ChapterError

Notebook = dict[str, Any]
Cell = dict[str, Any]


def read_notebook(path: Path) -> Notebook:
    """Read a notebook as plain JSON; `ChapterError` names a file that is not one."""
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        cells = notebook["cells"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ChapterError(f"{path} is not a readable notebook: {error!r}") from error
    if not isinstance(cells, list):
        raise ChapterError(f"{path} is not a readable notebook: its cells are {type(cells)}")
    return dict(notebook)


def text_of(value: str | list[str]) -> str:
    """Join a notebook's multi-line string, which may be stored as a list of lines."""
    return value if isinstance(value, str) else "".join(value)


def tags_of(cell: Cell) -> list[str]:
    """List the tags of a cell."""
    return list(cell.get("metadata", {}).get("tags", []))


def numbered_cells(notebook: Notebook) -> Iterator[tuple[int, Cell]]:
    """Yield (number, cell) as the master counts them: from 1, without what papermill added."""
    added = {"injected-parameters", "papermill-error-cell-tag"}
    number = 0
    for cell in notebook["cells"]:
        number += added.isdisjoint(tags_of(cell))
        yield number, cell
