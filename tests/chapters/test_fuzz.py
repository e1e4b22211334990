"""Every reader of the book's files ends in success or in one `ChapterError`, whatever is there."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from mutations import mutants
from synthetic_book import make_project, write_profiles, write_record

from vae_course.chapters.notebooks import ChapterError, find_problems, read_notebook, stripped
from vae_course.chapters.project import Project, default_parameters, load_profiles
from vae_course.chapters.records import harvest, read_record
from vae_course.chapters.run import Watch, earlier, plan
from vae_course.claims import CLAIMS_MIME, above

DEEP = b"[" * 100_000
ODD = [b"", b"\xff\xfe", DEEP, b"null", b"[]", b"1", b'"text"', b"{}", b"{a: &a [*a]}"]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = make_project(tmp_path, {"01_one": ["print(1)"], "02_two": []})
    write_profiles(project, smoke={"01_one": {"epochs": 1}})
    return project


def read_chapter(project: Project) -> None:
    chapter = Project(project.root, package=project.package).chapters()[0]
    notebook = read_notebook(chapter.source)
    find_problems(notebook)
    harvest(notebook)
    default_parameters(chapter)
    stripped(notebook)


def read_executed(project: Project) -> None:
    (job, _) = plan(project, project.chapters(), profile="quick")
    earlier(job, Watch())


def valid(name: str, project: Project) -> tuple[Path, Callable[[], object]]:
    """Return a file of the project, valid as it is, and what reads it."""
    if name == "record":
        path = write_record(project, "01_one", a=[1.0, 0.1], b=[2e-3, 0.0], says={"a": above("b")})
        return path, lambda: read_record(path)
    if name == "executed":
        path = project.executed(project.chapters()[0], profile="quick")
        path.parent.mkdir(parents=True)
        path.write_bytes((project.book / "01_one.ipynb").read_bytes())
        return path, lambda: read_executed(project)
    return {
        "toc": (project.root / "_toc.yml", lambda: Project(project.root).chapters()),
        "profiles": (project.book / "profiles.yml", lambda: load_profiles(project)),
        "master": (project.book / "01_one.ipynb", lambda: read_chapter(project)),
    }[name]


@pytest.mark.parametrize("name", ["toc", "profiles", "master", "record", "executed"])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_mutant_is_read_or_named(project: Project, name: str, seed: int) -> None:
    path, read = valid(name, project)
    content = path.read_bytes()
    read()
    for mutant in [*ODD, *mutants(content, seed, head=len(content))]:
        path.write_bytes(mutant)
        try:
            read()
        except ChapterError as error:
            assert len(str(error)) < 100_000


@pytest.mark.parametrize(
    "value", [None, "1", [], {}, 10**400, float("nan"), float("inf"), -float("inf")]
)
def test_a_claim_that_is_no_finite_number_is_named(project: Project, value: object) -> None:
    cell = {
        "cell_type": "code",
        "metadata": {},
        "source": "",
        "outputs": [
            {"output_type": "display_data", "data": {CLAIMS_MIME: {"a": {"value": value}}}}
        ],
    }
    with pytest.raises(ChapterError, match=r"claim 'a' is .*, not a finite number"):
        harvest({"cells": [cell]})
    path = write_record(project, "01_one", a=[1.0])
    plain = json.loads(path.read_text(encoding="utf-8"))
    plain["runs"][0]["claims"]["a"] = value
    path.write_text(json.dumps(plain), encoding="utf-8")
    with pytest.raises(ChapterError, match=r"value of 'a' is .*, not a finite number"):
        read_record(path)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("smoke: [1]\nquick: {}\nfull: {}\n", "smoke"),
        ("smoke: {}\nquick: {}\nsmoke: {}\nfull: {}\n", "'smoke' stands there twice"),
        ("smoke: {1: {}, 0x1: {}}\nquick: {}\nfull: {}\n", "stands there twice"),
        ("a: &a [x, x]\nb: [*a, *a]\n", "aliases are not read"),
        ("x: " + "y" * 300_000, "more than 200,000"),
        ('smoke: {01_one: {epochs: "\\ud800"}}\nquick: {}\nfull: {}\n', "epochs"),
        ("smoke: {01_one: {epochs: .nan}}\nquick: {}\nfull: {}\n", "epochs"),
        ("smoke: {01_one: {epochs: 2020-01-01}}\nquick: {}\nfull: {}\n", "epochs"),
    ],
)
def test_what_is_wrong_in_the_profiles_is_named(project: Project, text: str, named: str) -> None:
    (project.book / "profiles.yml").write_text(text, encoding="utf-8")
    with pytest.raises(ChapterError) as refused:
        load_profiles(project)
    assert named in str(refused.value)


@pytest.mark.parametrize(
    "entry",
    ["[1]", "../outside", "/etc/passwd", "book/01_one\n      - file: book/01_one", "x" * 5000],
)
def test_an_entry_of_the_contents_that_can_t_be_meant_is_named(
    project: Project, entry: str
) -> None:
    path = project.root / "_toc.yml"
    text = path.read_text(encoding="utf-8").replace("book/01_one", entry, 1)
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ChapterError):
        Project(project.root).chapters()


def test_copies_for_nbval_take_the_place_of_whatever_was_there(project: Project) -> None:
    from vae_course.chapters.run import prepare

    in_the_way = project.root / "_build" / "nbval" / "old.ipynb" / "deeper"
    in_the_way.mkdir(parents=True)
    written = prepare(project, project.chapters(), profile="smoke")
    assert sorted(path.name for path in written[0].parent.iterdir()) == [
        "01_one.ipynb",
        "02_two.ipynb",
    ]
