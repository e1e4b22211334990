"""Small projects with a book of their own, whose chapters need a second and no torch."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import nbformat
import yaml

from vae_course.chapters import machine, records
from vae_course.chapters.cluster import Cluster
from vae_course.chapters.project import Project
from vae_course.chapters.records import Run
from vae_course.chapters.review import recorded_key
from vae_course.claims import CLAIMS_MIME, Relation

MACHINE = {"cpu": "A CPU", "cores": 2, "gpu": None, "system": "Linux x86_64", "versions": {}}
PARAMETERS = 'profile = "quick"\nepochs = 3\nlr = 0.1'


def claims_cell(claims: Mapping[str, str], says: Mapping[str, Relation] | None = None) -> str:
    """A cell that displays a claims table; the values are Python expressions."""
    said = {name: {"says": relation.to_json()} for name, relation in (says or {}).items()}
    items = ", ".join(
        f"'{n}': {{'value': {v}, 'unit': '', 'text': 'claim {n}', **{said.get(n, {})}}}"
        for n, v in claims.items()
    )
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


def write_record(
    project: Project,
    name: str,
    *,
    says: Mapping[str, Relation] | None = None,
    key: str | None = None,
    **values: Sequence[float],
) -> Path:
    """Record runs of a chapter as it stands now: the n-th has the n-th value of every claim."""
    (chapter,) = (each for each in project.chapters() if each.name == name)
    path = project.record(chapter, profile="quick")
    runs = [
        Run(
            seed,
            MACHINE,
            "2026-01-01T00:00:00+00:00",
            1.0,
            50,
            dict(zip(values, each, strict=True)),
        )
        for seed, each in enumerate(zip(*values.values(), strict=True))
    ]
    key = key or recorded_key(project, chapter, profile="quick")
    records.write_record(path, records.Record(key, says or {}, tuple(runs)))
    return path


def around(value: float, spread: float, runs: int = 8) -> list[float]:
    """Return that many values, evenly spaced over value ± spread."""
    return [value + spread * (2 * index / (runs - 1) - 1) for index in range(runs)]


@contextmanager
def threads() -> Iterator[Cluster]:
    """Workers that are threads of this process, for chapters that need no process of their own."""
    with ThreadPoolExecutor() as pool:
        yield Cluster(pool, 2, [machine.hardware()])


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
