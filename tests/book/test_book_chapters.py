"""What every chapter's notebook must be, before it is run."""

import json
import re
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import pytest
import yaml
from places import NOTEBOOKS, ROOT

Cells = list[dict[str, Any]]
each_chapter = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def cells(path: Path, kind: str) -> Cells:
    notebook = json.loads(path.read_text(encoding="utf-8"))
    return [cell for cell in notebook["cells"] if cell["cell_type"] == kind]


def text(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def tags(cell: dict[str, Any]) -> list[str]:
    return list(cell["metadata"].get("tags", []))


def test_the_contents_and_the_folder_agree() -> None:
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    entries = [entry for part in toc["parts"] for entry in part["chapters"]]
    pages = [page for entry in entries for page in (entry, *entry.get("sections", []))]
    listed = [toc["root"], *(page["file"] for page in pages)]
    there = {
        path.relative_to(ROOT).with_suffix("").as_posix()
        for pattern in ("*.md", "*.ipynb", "reference/*.md")
        for path in (ROOT / "book").glob(pattern)
    }
    assert len(listed) == len(set(listed))
    assert set(listed) <= there, "a smaller book leaves lines out, and files lie there"


@each_chapter
def test_parameters_start_with_the_quick_profile(path: Path) -> None:
    tagged = [cell for cell in cells(path, "code") if "parameters" in tags(cell)]
    assert len(tagged) == 1
    assert text(tagged[0]).lstrip().startswith('profile = "quick"')


@each_chapter
def test_only_checked_outputs_are_stored(path: Path) -> None:
    for cell in cells(path, "code"):
        assert cell["execution_count"] == (1 if cell["outputs"] else None)
        if "nbval-check-output" in tags(cell):
            assert cell["outputs"], f"nothing to compare with: {text(cell)}"
        else:
            assert cell["outputs"] == []


@each_chapter
def test_checked_outputs_are_plain_text(path: Path) -> None:
    for cell in cells(path, "code"):
        for output in cell["outputs"]:
            assert output["output_type"] == "stream" or set(output["data"]) == {"text/plain"}


@each_chapter
def test_nothing_of_the_writer_is_stored(path: Path) -> None:
    metadata = json.loads(path.read_text(encoding="utf-8"))["metadata"]
    assert set(metadata) <= {"kernelspec", "language_info", "jupytext"}
    assert metadata["kernelspec"]["name"] == "python3"


@each_chapter
def test_one_title_and_no_skipped_heading(path: Path) -> None:
    prose = "\n".join(text(cell) for cell in cells(path, "markdown"))
    prose = re.sub(r"^```.*?^```", "", prose, flags=re.MULTILINE | re.DOTALL)
    levels = [len(found) for found in re.findall(r"^(#+) ", prose, flags=re.MULTILINE)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(deeper <= level + 1 for level, deeper in pairwise(levels))


@each_chapter
def test_markdown_is_what_colab_and_jupyter_show_too(path: Path) -> None:
    for cell in cells(path, "markdown"):
        found = re.search(r"^\s*(```+|~~~+|:::+)\s*\{|^\s*:::|\{[a-z:-]+\}`", text(cell), re.M)
        assert not found, f"MyST syntax in a notebook: {text(cell)[found.start() :][:80]}"


@each_chapter
def test_cells_are_short(path: Path) -> None:
    lengths = [len(text(cell).splitlines()) for cell in cells(path, "code")]
    assert max(lengths) <= 40
    assert median(lengths) <= 10
