"""Small projects with a book of their own, whose chapters need a second and no torch."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import nbformat
import yaml

from vae_course.chapters.project import Project
from vae_course.claims import CLAIMS_MIME

PARAMETERS = 'profile = "quick"\nepochs = 3\nlr = 0.1'


def claims_cell(claims: Mapping[str, str]) -> str:
    """A cell that displays a claims table; the values are Python expressions."""
    items = ", ".join(f"'{n}': {{'value': {v}, 'unit': '', 'text': ''}}" for n, v in claims.items())
    return (
        "from IPython.display import display\n"
        f"display({{'{CLAIMS_MIME}': {{{items}}}, 'text/plain': 'claims'}}, raw=True)"
    )


def html_cell(html: str) -> str:
    return f"from IPython.display import HTML\nHTML({html!r})"


def make_notebook(cells: Iterable[str], *, parameters: str = PARAMETERS) -> nbformat.NotebookNode:
    v4 = nbformat.v4
    first = [
        v4.new_markdown_cell("# A chapter"),
        v4.new_code_cell(parameters, metadata={"tags": ["parameters"]}),
    ]
    return v4.new_notebook(cells=[*first, *(v4.new_code_cell(cell) for cell in cells)])


def write_chapter(project: Project, name: str, *cells: str, parameters: str = PARAMETERS) -> Path:
    path = project.book / f"{name}.ipynb"
    nbformat.write(make_notebook(cells, parameters=parameters), path)
    return path


def write_profiles(project: Project, **profiles: dict[str, dict[str, object]]) -> None:
    table = {"smoke": {}, "quick": {}, "full": {}} | profiles
    (project.book / "profiles.yml").write_text(yaml.safe_dump(table))


def write_record(project: Project, name: str, **claims: tuple[float, float]) -> Path:
    path = project.root / "results" / "quick" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    entries = {n: {"value": v, "tolerance": t} for n, (v, t) in claims.items()}
    path.write_text(json.dumps({"claims": entries}))
    return path


def make_project(root: Path, chapters: Mapping[str, Iterable[str]]) -> Project:
    """A project with chapters {name: code cells}, empty profiles and a package of one file."""
    project = Project(root, package=root / "package")
    project.book.mkdir(parents=True)
    project.package.mkdir()
    (project.package / "formulas.py").write_text("ONE = 1\n")
    (project.book / "index.md").write_text("# Book\n")
    files = [{"file": f"book/{name}"} for name in chapters]
    toc = {
        "format": "jb-book",
        "root": "book/index",
        "parts": [{"caption": "A", "chapters": files}],
    }
    (root / "_toc.yml").write_text(yaml.safe_dump(toc))
    write_profiles(project)
    for name, cells in chapters.items():
        write_chapter(project, name, *cells)
    return project
