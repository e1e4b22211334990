"""A small book of one chapter, rendered as the real one is."""

import base64
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from places import ROOT

from vae_course.chapters.records import Record, Run, write_record
from vae_course.chapters.render import RenderError, render_book

COLAB = "https://colab.research.google.com/github/someone/fork/blob/main/book/01_tiny.ipynb"
PIXEL = "R0lGODlhAQABAAAAACw="
KERNEL = {
    "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
    "language_info": {"name": "python"},
}
RUN = {
    "parameters": {"profile": "smoke"},
    "seconds": 3725.2,
    "peak_memory_mb": 1536,
    "hardware": {"cpu": "A processor", "cores": 2, "gpu": None, "system": "Linux x86_64"},
    "versions": {"python": "3.11.7", "torch": "2.15.0", "numpy": "2.0"},
    "date": "2026-11-22T14:59:09+00:00",
}
TITLE = r"""# 1. A tiny chapter

$$
\begin{aligned} a &= b \\ &= c \end{aligned} \tag{1.1}
$$
"""


def notebook(metadata: dict[str, Any], outputs: list[dict[str, Any]]) -> dict[str, Any]:
    code: dict[str, Any] = {"id": "b", "cell_type": "code", "metadata": {}, "execution_count": None}
    return {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": KERNEL | metadata,
        "cells": [
            {"id": "a", "cell_type": "markdown", "metadata": {}, "source": TITLE},
            code | {"source": "picture()", "outputs": outputs},
        ],
    }


def outputs() -> list[dict[str, Any]]:
    image = f'<img alt="one pixel" src="data:image/gif;base64,{PIXEL}">'
    data = {
        "text/html": f'<figure class="vae-figure">{image}<figcaption>One.</figcaption></figure>',
        "text/plain": "picture",
        "application/vnd.vae-course.claims+json": {"one": {"value": 1}},
    }
    return [{"output_type": "display_data", "metadata": {}, "data": data}]


def write(path: Path, content: str | dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = content if isinstance(content, str) else json.dumps(content)
    path.write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("book")
    shutil.copy(ROOT / "_config.yml", root)
    for name in ("_ext", "_static"):
        shutil.copytree(ROOT / "book" / name, root / "book" / name)
    chapters = "parts: [{caption: All, chapters: [{file: book/01_tiny}]}]"
    write(root / "_toc.yml", f"format: jb-book\nroot: book/index\n{chapters}\n")
    write(root / "book" / "index.md", "# A book\n\n```{chapter-table}\n```\n")
    write(root / "book" / "references.bib", "")
    write(root / "book" / "01_tiny.ipynb", notebook({}, []))
    executed = notebook({"vae_course": RUN}, outputs())
    write(root / "_build" / "executed" / "smoke" / "01_tiny.ipynb", executed)
    runs = [Run(seed, {"cpu": "A CPU"}, "2026-01-01", 125.0, 50, {}) for seed in range(3)]
    write_record(root / "results" / "quick" / "01_tiny.json", Record("key", {}, tuple(runs)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GITHUB_REPOSITORY", "someone/fork")
        patch.delenv("GITHUB_SERVER_URL", raising=False)
        yield root


@pytest.fixture(scope="module")
def site(book: Path) -> Path:
    first = render_book("smoke", book)
    assert first == book / "_build" / "site" / "smoke" / "index.html"
    return first.parent


@pytest.fixture(scope="module")
def page(site: Path) -> str:
    return (site / "book" / "01_tiny.html").read_text(encoding="utf-8")


def test_buttons_follow_the_fork(page: str) -> None:
    assert f'href="{COLAB}"' in page
    assert 'href="https://github.com/someone/fork"' in page
    assert "https://github.com/someone/fork/issues/new" in page
    assert "vae-course/vae-course" not in page


def test_the_executed_outputs_are_shown(page: str) -> None:
    assert base64.b64decode(PIXEL)
    assert f'<img alt="one pixel" src="data:image/gif;base64,{PIXEL}">' in page
    assert "<figcaption>One.</figcaption>" in page


def test_the_run_of_the_page_is_told_under_its_title(page: str) -> None:
    note = page.split('class="chapter-run">')[1].split("</p>")[0]
    assert "2 min 5 s on a CPU (quick); not recorded yet on a GPU (full)" in note
    assert "profile smoke, 1 h 2 min, 1.5 GB of memory, A processor, 2 cores, " in note
    assert "Python 3.11.7, PyTorch 2.15.0, 2026-11-22." in note


def test_the_chapter_table_shows_recorded_times(site: Path) -> None:
    front = (site / "book" / "index.html").read_text(encoding="utf-8")
    row = front.split('class="chapter-table')[1].split("<tbody>")[1].split("</tbody>")[0]
    assert "1. A tiny chapter" in row
    assert "2 min 5 s" in row
    assert "not recorded yet" in row
    assert COLAB in row


def test_mathematics_is_local_and_as_written(site: Path, page: str) -> None:
    assert "_static/mathjax/tex-chtml.js" in page
    assert (site / "_static" / "mathjax" / "tex-chtml.js").is_file()
    assert list((site / "_static" / "mathjax").rglob("*.woff"))
    equation = page.split('<div class="math notranslate nohighlight">')[1].split("</div>")[0]
    assert r"\tag{1.1}" in equation
    assert "split" not in equation
    assert "thebe" not in page.lower()


def test_a_book_of_the_same_files_is_not_rendered_again(book: Path, site: Path) -> None:
    stamp = (site / "index.html").stat().st_mtime_ns
    render_book("smoke", book)
    assert (site / "index.html").stat().st_mtime_ns == stamp


def test_a_swap_that_was_killed_is_undone(book: Path, site: Path) -> None:
    stamp = (site / "index.html").stat().st_mtime_ns
    site.rename(site.with_name(".smoke.old"))
    render_book("smoke", book)
    assert (site / "index.html").stat().st_mtime_ns == stamp
    assert not site.with_name(".smoke.old").exists()


def test_the_masters_stay_as_they_were(book: Path, site: Path) -> None:
    master = json.loads((book / "book" / "01_tiny.ipynb").read_text(encoding="utf-8"))
    assert master == notebook({}, [])
    assert not list((book / "book").rglob("__pycache__"))


def test_a_warning_fails_and_leaves_the_good_site(book: Path, site: Path) -> None:
    index = book / "book" / "index.md"
    good = index.read_text(encoding="utf-8")
    try:
        write(index, good + "\n[nowhere](no_such_page.md)\n")
        with pytest.raises(RenderError, match=r"book/index.md:.*no_such_page"):
            render_book("smoke", book)
    finally:
        write(index, good)
    assert "A book" in (site / "book" / "index.html").read_text(encoding="utf-8")


def test_a_chapter_that_was_not_run_is_named(book: Path) -> None:
    with pytest.raises(RenderError, match=r"01_tiny is not executed in profile full"):
        render_book("full", book)
