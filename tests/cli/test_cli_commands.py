import shutil
import subprocess
import sys

import nbformat
import pytest
from synthetic_book import (
    PARAMETERS,
    around,
    claims_cell,
    make_notebook,
    make_project,
    threads,
    write_chapter,
    write_profiles,
    write_record,
)
from typer.testing import CliRunner

from vae_course.chapters import records, render, run
from vae_course.cli import app

SEEDED = PARAMETERS + "\nseed = 0"
CHAPTERS = {"01_one": [claims_cell({"a": "1.0", "b": "lr"})]}


def invoke(*words):
    return CliRunner().invoke(app, list(words), catch_exceptions=False)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project of one chapter with two claims."""
    project = make_project(tmp_path / "course", CHAPTERS)
    monkeypatch.chdir(project.root)
    return project


@pytest.fixture(scope="module")
def executed_once(tmp_path_factory):
    project = make_project(tmp_path_factory.mktemp("executed") / "course", CHAPTERS)
    with threads() as workers:
        run.run_chapters(project, project.chapters(), profile="quick", cluster=workers)
    return project


@pytest.fixture
def executed(executed_once, project):
    """The same project, executed."""
    shutil.copytree(executed_once.root / "_build", project.root / "_build")
    return project


def test_a_sweep_records_every_seed_and_resumes(project):
    write_chapter(project, "01_one", claims_cell({"a": "1.0 + seed"}), parameters=SEEDED)
    first = invoke("sweep", "--seeds", "2", "--jobs", "2")
    assert first.exit_code == 0, first.output
    assert "01_one seed 1: executed" in first.output
    assert "2 runs took" in first.output and "critical path" in first.output
    path = project.root / "results" / "quick" / "01_one.json"
    record = records.read_record(path)
    assert [run.seed for run in record.runs] == [0, 1]
    assert record.values("a") == [1.0, 2.0]
    assert str(project.root) not in path.read_text()
    second = invoke("sweep", "--seeds", "3", "--jobs", "2")
    assert "seed 0" not in second.output and "seed 2: executed" in second.output
    assert records.read_record(path).values("a") == [1.0, 2.0, 3.0]
    write_chapter(project, "01_one", claims_cell({"a": "5.0 + seed"}), parameters=SEEDED)
    invoke("sweep", "--seeds", "1")
    assert records.read_record(path).values("a") == [5.0]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--profile", "smoke"], "too short to be recorded"),
        ([], "01_one has no parameter `seed`"),
        (["--scheduler", "tcp://127.0.0.1:1"], "no Dask scheduler answers at tcp://127.0.0.1:1"),
        (["--scheduler", "nonsense://x"], "no Dask scheduler answers at nonsense://x"),
    ],
)
def test_a_sweep_refuses_what_is_not_right(project, words, message):
    result = invoke("sweep", *words)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (project.root / "results").exists()


def test_a_seed_that_fails_is_named_and_the_others_are_recorded(project):
    write_chapter(project, "01_one", claims_cell({"a": "1 / (1 - seed)"}), parameters=SEEDED)
    result = invoke("sweep", "--seeds", "3", "--jobs", "2")
    assert result.exit_code == 1
    assert "FAILED" in result.output and "ZeroDivisionError" in result.output
    path = project.root / "results" / "quick" / "01_one.json"
    assert [run.seed for run in records.read_record(path).runs] == [0, 2]


def test_book_renders_what_was_executed_and_says_where(executed, monkeypatch):
    page = executed.root / "_build" / "site" / "quick" / "index.html"
    called = []
    monkeypatch.setattr(render, "render_book", lambda *given: called.append(given) or page)
    result = invoke("book")
    assert result.exit_code == 0
    assert called == [("quick", executed.root)]
    assert f"The book is at {page}" in result.output
    assert "01_one: up to date" in result.output


def test_drift_is_marked_and_fails_only_under_strict(executed, monkeypatch):
    """The page is rendered either way; a claim that is missing is no drift, but wrong."""
    page = executed.root / "_build" / "site" / "quick" / "index.html"
    monkeypatch.setattr(render, "render_book", lambda *given: page)
    write_record(executed, "01_one", a=around(1.0, 0.5), b=around(3.0, 0.1))
    for command in ("run", "book"):
        lenient, strict = invoke(command), invoke(command, "--strict")
        assert (lenient.exit_code, strict.exit_code) == (0, 1)
        for result in (lenient, strict):
            assert "DRIFT: claim 'b' is 0.1; 8 recorded runs have 3 " in result.output
            assert ("The book is at" in result.output) == (command == "book")
    write_record(executed, "01_one", a=around(1.0, 0.5))
    assert invoke("run").exit_code == 1
    assert "claim 'b' = 0.1 is not recorded" in invoke("run").output
    write_record(executed, "01_one", a=around(1.0, 0.5), b=around(0.1, 0.1))
    assert invoke("run", "--strict").exit_code == 0


def test_book_renders_nothing_when_a_chapter_fails(project, monkeypatch):
    write_chapter(project, "01_one", "1 / 0")
    monkeypatch.setattr(render, "render_book", lambda *given: pytest.fail("rendered"))
    result = invoke("book")
    assert result.exit_code == 1
    assert "not rendered" in result.stderr


def test_a_rendering_that_fails_is_a_message(executed, monkeypatch):
    def fail(profile, root):
        raise render.RenderError("page x: a warning")

    monkeypatch.setattr(render, "render_book", fail)
    result = invoke("book")
    assert result.exit_code == 2
    assert "page x: a warning" in result.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "7"], "no chapter '7' in _toc.yml; there are: 01_one"),
        (["run", "--profile", "huge"], "huge"),
    ],
)
def test_what_is_not_known_is_named(project, words, message):
    result = invoke(*words)
    assert result.exit_code == 2
    assert message in result.stderr


def test_outside_of_a_project_the_message_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = invoke("run")
    assert result.exit_code == 2
    assert "go to the project" in result.stderr


def checked(source, output):
    out = nbformat.v4.new_output("stream", name="stdout", text=output)
    return nbformat.v4.new_code_cell(
        source, metadata={"tags": ["nbval-check-output"]}, outputs=[out]
    )


def test_prepared_copies_turn_nbval_red_where_a_stored_output_is_stale(project):
    """`profile` and `epochs` are those of the smoke profile, and only tagged outputs are kept."""
    write_profiles(project, smoke={"01_one": {"epochs": 1}})
    notebook = make_notebook(["'unchecked'"])
    notebook.cells[2]["outputs"] = [nbformat.v4.new_output("stream", text="old\n")]
    fact, stale = checked("print(profile, epochs)", "smoke 1\n"), checked("print(1)", "2\n")
    forgotten = checked("print(2)", "")
    forgotten["outputs"] = []
    notebook.cells += [fact, stale, forgotten]
    nbformat.write(notebook, project.book / "01_one.ipynb")
    result = invoke("prepare")
    assert result.exit_code == 0
    assert result.output.strip() == "_build/nbval/01_one.ipynb"
    prepared = nbformat.read(project.root / "_build/nbval/01_one.ipynb", as_version=4)
    tags = [cell.metadata.get("tags", []) for cell in prepared.cells]
    assert tags.index(["injected-parameters"]) == tags.index(["parameters"]) + 1
    assert [len(c.outputs) for c in prepared.cells if c.cell_type == "code"] == [0, 0, 0, 1, 1, 0]

    nbval = ["-m", "pytest", "-p", "no:cacheprovider", "--nbval-lax", "--nbval-current-env", "-rA"]
    done = subprocess.run(
        [sys.executable, *nbval, "_build/nbval/01_one.ipynb"],
        cwd=project.root,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "2 failed, 4 passed" in done.stdout
    for cell in (4, 5):
        assert f"FAILED _build/nbval/01_one.ipynb::Cell {cell}" in done.stdout


def test_preparing_forgets_copies_of_chapters_that_are_gone(project):
    old = project.root / "_build" / "nbval" / "00_gone.ipynb"
    old.parent.mkdir(parents=True)
    old.write_text("{}")
    invoke("prepare")
    assert [path.name for path in old.parent.iterdir()] == ["01_one.ipynb"]


def python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


def test_help_imports_nothing_heavy():
    done = python(
        "import sys\nfrom vae_course.cli import app\n"
        "app(['--help'], standalone_mode=False)\n"
        "heavy = {'torch', 'numpy', 'papermill', 'nbformat', 'jupyter_client', 'sphinx'}\n"
        "print('heavy:', sorted(heavy & set(sys.modules)))"
    )
    assert "heavy: []" in done.stdout
    for command in ("run", "book", "record", "prepare"):
        assert command in done.stdout


@pytest.mark.parametrize("package", ["typer", "rich"])
def test_without_the_extra_there_is_one_line_that_says_so(package):
    done = python(f"import sys; sys.modules[{package!r}] = None; import vae_course.cli")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert package in line and "make env" in line and "vae-course[" not in line


def test_running_without_papermill_is_a_message_too(project, monkeypatch):
    monkeypatch.setitem(sys.modules, "papermill", None)
    result = invoke("prepare")
    assert result.exit_code == 2
    assert "papermill: in the clone, `make env`" in result.stderr
