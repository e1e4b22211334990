"""Which files of the package a chapter depends on: those that it imports, followed through."""

from pathlib import Path

import pytest
from synthetic_book import make_notebook, make_project

import vae_course
from vae_course.chapters.keys import Package, content_key, files_of
from vae_course.chapters.notebooks import read_notebook
from vae_course.chapters.run import plan

PACKAGE = Path(vae_course.__file__).parent
CHAPTERS = sorted((PACKAGE.parent / "book").glob("[0-9]*.ipynb"))
FILES = {
    "__init__.py": "",
    "alone.py": "import math",
    "core/__init__.py": "from vae_course.core.base import Base",
    "core/base.py": "def late():\n    from vae_course import alone",
    "core/images.bin": "pixels",
    "core/style.txt": "red",
    "near/__init__.py": "import vae_course.core.base as base",
    "near/notes.txt": "near",
    "far/__init__.py": "from vae_course.core import Base",
    "far/__pycache__/x.pyc": "",
    "exercises/__init__.py": "from vae_course.exercises.answers import check",
    "exercises/answers.py": "",
    "exercises/chapter_01.py": "",
    "exercises/chapter_12.py": "from vae_course.far import Base",
    "chapters/run.py": "",
    "cli.py": "",
}
CORE = {"__init__.py", "alone.py", *(f"core/{name}" for name in ("__init__.py", "base.py"))}
CORE |= {"core/images.bin", "core/style.txt"}
CHECK = {"exercises/__init__.py", "exercises/answers.py", "__init__.py"}
WHOLE = {name for name in FILES if not name.startswith(("chapters", "cli", "far/__py"))}


@pytest.fixture
def folder(tmp_path):
    for name, text in FILES.items():
        path = tmp_path / "vae_course" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "vae_course"


def reached(folder, *cells):
    found = files_of(make_notebook(cells), Package(folder))
    return {path.relative_to(folder).as_posix() for path in found}


@pytest.mark.parametrize(
    ("cell", "files"),
    [
        ("import math, os.path", set()),
        ("import vae_course", {"__init__.py"}),
        ("from vae_course import alone", {"__init__.py", "alone.py"}),
        ("from vae_course.core import Base", CORE),
        ("if True:\n    import vae_course.core.base", CORE),
        ("%pip install x\n!ls\nfrom vae_course.core import *", CORE),
        ("%%bash\nfrom vae_course.core import Base", set()),
        ("from vae_course.near import base", CORE | {"near/__init__.py", "near/notes.txt"}),
        ("from vae_course.exercises import check", CHECK),
        (
            "from vae_course.exercises import check\ncheck('1.2', 3)",
            CHECK | {"exercises/chapter_01.py"},
        ),
        (
            "from vae_course.exercises import check\nx = check('12.1', f)",
            CHECK | CORE | {"exercises/chapter_12.py", "far/__init__.py"},
        ),
        ("from vae_course.exercises import check\ncheck(number, 3)", WHOLE),
        ("what's this", WHOLE),
        ("from .core import Base", WHOLE),
    ],
)
def test_imports_are_followed(folder, cell, files):
    assert reached(folder, cell) == files


def key(folder, cell):
    return content_key(notebook=make_notebook([cell]), parameters={}, package=Package(folder))


@pytest.mark.parametrize(
    ("changed", "due"),
    [
        ("near/__init__.py", {"near"}),
        ("near/notes.txt", {"near"}),
        ("far/__init__.py", {"far"}),
        ("core/base.py", {"near", "far"}),
        ("core/images.bin", {"near", "far"}),
        ("core/new_data/images.bin", {"near", "far"}),
        ("alone.py", {"near", "far"}),
        ("chapters/run.py", set()),
        ("exercises/chapter_01.py", set()),
    ],
)
def test_a_change_makes_due_the_chapters_that_reach_it_and_no_other(folder, changed, due):
    cells = {room: f"import vae_course.{room}" for room in ("near", "far")}
    before = {room: key(folder, cell) for room, cell in cells.items()}
    path = folder / changed
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"{path.read_text() if path.exists() else ''}\n# changed")
    assert {room for room, cell in cells.items() if key(folder, cell) != before[room]} == due


def test_a_planned_chapter_is_keyed_by_the_package_of_its_project(tmp_path):
    cells = {"01_uses": ["from vae_course.formulas import ONE"], "02_does_not": ["1 + 1"]}
    project = make_project(tmp_path / "course", cells)
    uses, does_not = plan(project, project.chapters(), profile="quick")
    (project.package / "formulas.py").write_text("ONE = 2\n")
    uses_now, does_not_now = plan(project, project.chapters(), profile="quick")
    assert uses_now.key != uses.key
    assert does_not_now.key == does_not.key


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_the_book_s_chapters_reach_their_checks_and_leave_other_rooms_alone(path):
    package = Package(PACKAGE)
    found = files_of(read_notebook(path), package)
    checks = {file.name for file in found if file.parent.name == "exercises"}
    assert checks == {"__init__.py", "answers.py", f"chapter_{path.stem[:2]}.py"}
    assert PACKAGE / "training" / "loop.py" in found
    assert found < package.files and len(found) < len(package.files) * 2 / 3
