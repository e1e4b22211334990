"""What an executed chapter must not contain: errors, and pictures without words for them."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser

from vae_course.chapters.files import Cell, Notebook, numbered_cells, text_of

_INLINE_DATA = re.compile(r"base64,[A-Za-z0-9+/=\s]+")
_MARKDOWN_IMAGE = re.compile(r"!\[(?P<alt>[^\]]*)\]\(")


class _Images(HTMLParser):
    """Collects the alt text (None if there is none) of every image in a piece of HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.alts: list[str | None] = []
        self.feed(_INLINE_DATA.sub("", html))  # the picture itself is long and holds no tag
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the alt text of an image."""
        if tag == "img":
            self.alts.append(dict(attrs).get("alt"))


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
