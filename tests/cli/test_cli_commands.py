import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import nbformat
import pytest
from synthetic_book import (
    claims_cell,
    make_notebook,
    make_project,
    write_chapter,
    write_profiles,
    write_record,
)
from typer.testing import CliRunner

from vae_course.chapters import render, run
from vae_course.cli import app

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
    with ThreadPoolExecutor() as pool:
        run.run_chapters(project, project.chapters(), profile="quick", executor=pool)
    return project


@pytest.fixture
def executed(executed_once, project):
    """The same project, executed."""
    shutil.copytree(executed_once.root / "_build", project.root / "_build")
    return project


def recorded(project):
    return json.loads((project.root / "results" / "quick" / "01_one.json").read_text())


def test_recording_needs_a_tolerance_for_each_claim_and_keeps_it(executed):
    refused = invoke("record", "1", "--tolerance", "a=0.5")
    assert refused.exit_code == 2
    assert "no tolerance for 'b'" in refused.stderr and "--tolerance b=…" in refused.stderr
    assert not (executed.root / "results").exists()

    first = invoke("record", "1", "--tolerance", "a=0.5", "--tolerance", "b=0.01")
    assert first.exit_code == 0
    assert "a: none → 1 ± 0.5" in first.output
    assert recorded(executed)["claims"] == {
        "a": {"value": 1.0, "tolerance": 0.5},
        "b": {"value": 0.1, "tolerance": 0.01},
    }
    assert set(recorded(executed)) == {
        *("profile", "chapter", "hardware", "versions", "date"),
        *("seconds", "peak_memory_mb", "claims"),
    }
    assert invoke("run").exit_code == 0

    second = invoke("record", "1", "--tolerance", "a=0.25")
    assert "a: 1 ± 0.5 → 1 ± 0.25" in second.output and "b:" not in second.output
    assert recorded(executed)["claims"]["b"] == {"value": 0.1, "tolerance": 0.01}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--tolerance", "c=1"], "01_one makes no claim 'c'; it makes 'a', 'b'"),
        (["--tolerance", "a=wide"], "expected NAME=VALUE"),
        (["--tolerance", "a=nan", "--tolerance", "b=1"], "'a': its tolerance is nan"),
        (["--tolerance", "a=-1", "--tolerance", "b=1"], "'a': its tolerance is -1.0, below 0"),
        (["--profile", "smoke"], "smoke profile are not compared"),
        (["--profile", "full"], "first: vae-course run 01_one --profile full"),
    ],
)
def test_recording_refuses_what_is_not_right(executed, words, message):
    result = invoke("record", "1", *words)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (executed.root / "results").exists()


def test_recording_refuses_a_chapter_that_has_changed_since_it_ran(executed):
    write_chapter(executed, "01_one", claims_cell({"a": "7.0"}))
    result = invoke("record", "1", "--tolerance", "a=1")
    assert result.exit_code == 2
    assert "01_one is not executed as it stands now" in result.stderr


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
    write_record(executed, "01_one", a=(1.0, 0.5), b=(0.3, 0.01))
    for command in ("run", "book"):
        lenient, strict = invoke(command), invoke(command, "--strict")
        assert (lenient.exit_code, strict.exit_code) == (0, 1)
        for result in (lenient, strict):
            assert "DRIFT: claim 'b' is 0.1, recorded is 0.3 ± 0.01" in result.output
            assert "vae-course record CHAPTER" in result.output
            assert ("The book is at" in result.output) == (command == "book")
    write_record(executed, "01_one", a=(1.0, 0.5))
    assert invoke("run").exit_code == 1
    assert "claim 'b' = 0.1 is not recorded" in invoke("run").output


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
