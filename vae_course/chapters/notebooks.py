"""Notebooks as plain JSON: read, looked through for what is wrong, prepared for nbval."""

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any


class ChapterError(ValueError):
    """Something about the book's files or its recorded values is wrong; the message says what."""


Notebook = dict[str, Any]
Cell = dict[str, Any]

CHECKED = "nbval-check-output"
_INLINE_DATA = re.compile(r"base64,[A-Za-z0-9+/=\s]+")
# Words may hold brackets, one pair deep, and stretch over lines; an image is no link.
_PAGE_LINK = re.compile(
    r"(?<!!)\[(?P<words>(?:[^\[\]]|\[[^\[\]]*\])*)\]"
    r"\((?P<page>[\w./-]+\.(?:ipynb|md))(?:#[^()\s]*)?\)"
)
_MARKDOWN_IMAGE = re.compile(r"!\[(?P<alt>[^\]]*)\]\(")


def read_notebook(path: Path) -> Notebook:
    """Read a notebook as plain JSON; `ChapterError` names a file that is not one."""
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise ChapterError(f"{path} is not a readable notebook: it is no file")
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        cells = notebook["cells"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ChapterError(f"{path} is not a readable notebook: {error!r}") from error
    if not isinstance(cells, list) or not all(map(_is_cell, cells)):
        raise ChapterError(f"{path} is not a readable notebook: its cells are no list of cells")
    if not isinstance(notebook.get("metadata"), dict):
        raise ChapterError(f"{path} is not a readable notebook: it has no metadata")
    return dict(notebook)


def _is_cell(cell: Any) -> bool:
    """Whether a cell has what everything here reads of one, in the right types."""
    if not isinstance(cell, dict) or not isinstance(cell.get("metadata"), dict):
        return False
    tags, outputs = cell["metadata"].get("tags", []), cell.get("outputs", [])
    return (
        isinstance(cell.get("cell_type"), str)
        and isinstance(cell.get("source"), str | list)
        and isinstance(tags, list)
        and isinstance(outputs, list)
        and all(isinstance(o, dict) and isinstance(o.get("data", {}), dict) for o in outputs)
    )


def digest(notebook: Notebook) -> str:
    """SHA-256 of a notebook's cells with their outputs: a flipped bit is another notebook."""
    return hashlib.sha256(json.dumps(notebook["cells"], sort_keys=True).encode()).hexdigest()


def stripped(notebook: Notebook) -> Notebook:
    """Leave outputs, with an execution count of 1, only in cells tagged `nbval-check-output`.

    nbval, called on a master as its manual says, refuses outputs of a cell that was never run.
    """
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code":
            continue
        checked = CHECKED in tags_of(cell)
        cell["execution_count"] = 1 if checked else None
        cell["outputs"] = cell.get("outputs", []) if checked else []
        cell["metadata"].pop("execution", None)
        for output in cell["outputs"]:
            if "execution_count" in output:
                output["execution_count"] = None
    return notebook


def written(notebook: Notebook) -> str:
    """Write a notebook as the masters are written."""
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


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


def unlinked(text: str, *, absent: Callable[[str], bool]) -> str:
    """Make plain words of the Markdown links whose page `absent` says is not there.

    `[(5.8)](05_elbo.ipynb)` becomes `(5.8)`; a link without words becomes the name of its page.
    """

    def words(link: re.Match[str]) -> str:
        return (link["words"] or Path(link["page"]).stem) if absent(link["page"]) else link[0]

    return _PAGE_LINK.sub(words, text)


class _Images(HTMLParser):
    """Collects the alt text (None if there is none) of every image in a piece of HTML.

    That of an inline SVG is its title.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.alts: list[str | None] = []
        self._path: list[str] = []  # the SVG tags that are open
        self.feed(_INLINE_DATA.sub("", html))  # the picture itself is long and holds no tag
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the alt text of an image, and that an SVG begins."""
        if tag == "img":
            self.alts.append(dict(attrs).get("alt"))
        if tag == "svg" and not self._path:
            self.alts.append(None)
        if tag == "svg" or self._path:
            self._path.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Note that an SVG, or a part of one, ends."""
        if tag in self._path:
            del self._path[self._path.index(tag) :]

    def handle_data(self, data: str) -> None:
        """Note the title of an SVG."""
        if self._path == ["svg", "title"]:
            self.alts[-1] = data


def find_problems(notebook: Notebook) -> list[str]:
    """List errors, bare pictures and images without alt text, each with its cell's number."""
    return [
        f"cell {number}: {problem}"
        for number, cell in numbered_cells(notebook)
        for problem in _cell_problems(cell)
    ]


def _cell_problems(cell: Cell) -> Iterator[str]:
    if cell["cell_type"] == "markdown":
        yield from _without_alt(text_of(cell["source"]), markdown=True)
    for output in cell.get("outputs", []):
        if output["output_type"] == "error":
            yield f"{output['ename']}: {output['evalue']}"
        for mime, content in output.get("data", {}).items():
            if mime.startswith("image/"):
                yield f"a bare {mime} output has no alt text; show it by vae_course.figures"
            elif mime in ("text/html", "text/markdown"):
                yield from _without_alt(text_of(content), markdown=mime == "text/markdown")


def _without_alt(text: str, *, markdown: bool) -> Iterator[str]:
    alts = _Images(text).alts
    if markdown:
        alts += [found["alt"] for found in _MARKDOWN_IMAGE.finditer(text)]
    for alt in alts:
        if not (alt or "").strip():
            yield "an image has no alt text; give it words for who can't see it"


def prepared(notebook: Notebook, *, parameters: dict[str, Any]) -> str:
    """Give the text of a copy for nbval: parameters put in, checked outputs kept, nothing run."""
    import nbformat
    import papermill

    copy = papermill.execute_notebook(
        nbformat.from_dict(stripped(notebook)),
        None,
        parameters,
        prepare_only=True,
        kernel_name="python3",
        language="python",
    )
    copy.metadata.pop("papermill", None)
    return written(copy)
