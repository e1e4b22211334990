"""A smaller book: lines dropped from _toc.yml, nothing else, and it renders without a warning."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from places import NOTEBOOKS, ROOT

from vae_course.chapters.notebooks import unlinked
from vae_course.chapters.project import Project, load_profiles
from vae_course.chapters.render import render_book

FIRST = ["01_generative_models", "02_autoencoders", "05_elbo"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("[(5.8)](05_elbo.ipynb) and [6](06_vae_loss.ipynb)", "(5.8) and [6](06_vae_loss.ipynb)"),
        ("as [chapter 5\nsays](./05_elbo.ipynb#the-gap).", "as chapter 5\nsays."),
        ("[$p[x]$ of *it*](book/05_elbo.ipynb)", "$p[x]$ of *it*"),
        ("a [list] and [more](05_elbo.ipynb)", "a [list] and more"),
        ("[](05_elbo.ipynb)", "05_elbo"),
        ("![05](05_elbo.ipynb) [x](https://a.org/05_elbo.ipynb)", None),
        ("[x](05_elbo.ipynb.txt) `q[0](z)`", None),
    ],
)
def test_links_to_absent_pages_become_plain_words(text: str, shown: str | None) -> None:
    assert unlinked(text, absent=lambda page: Path(page).stem == "05_elbo") == (shown or text)


def write_toc(root: Path, parts: list[list[str]]) -> None:
    chapters = [
        {"caption": f"Part {n}", "chapters": [{"file": f"book/{name}"} for name in names]}
        for n, names in enumerate(parts)
    ]
    toc: dict[str, Any] = {"format": "jb-book", "root": "book/index", "parts": chapters}
    (root / "_toc.yml").write_text(yaml.safe_dump(toc), encoding="utf-8")


@pytest.mark.parametrize(
    "parts", [[FIRST, ["notation", "glossary"]], [["09_training_a_vae"]]], ids=["three", "one"]
)
def test_the_real_book_without_some_of_its_lines(tmp_path: Path, parts: list[list[str]]) -> None:
    shutil.copy(ROOT / "_config.yml", tmp_path)
    shutil.copytree(ROOT / "book", tmp_path / "book")
    shutil.copytree(ROOT / "results", tmp_path / "results")
    write_toc(tmp_path, parts)
    project = Project(tmp_path)
    assert load_profiles(project)["smoke"].keys() > {"14_vq_vae"}  # of no chapter here: no error
    for chapter in project.chapters():
        executed = project.executed(chapter, profile="smoke")
        executed.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(chapter.source, executed)

    site = render_book("smoke", tmp_path).parent
    pages = {path.stem for path in (site / "book").glob("*.html")}
    listed = {name for part in parts for name in part}
    assert pages == {"index", *listed}
    for page in (site / "book").glob("*.html"):
        for target in re.findall(r'href="([\w/.]+)\.html[#"]', page.read_text(encoding="utf-8")):
            assert Path(target).name in {*pages, "genindex", "search"}, f"{page.stem}: {target}"
    for master in NOTEBOOKS:
        assert (tmp_path / "book" / master.name).read_bytes() == master.read_bytes()
