"""The field's own tools, each called on the masters as its manual says, work."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from places import NOTEBOOKS, ROOT

from vae_course.chapters.notebooks import CHECKED, tags_of

MASTER = ROOT / "book" / "05_elbo.ipynb"


def run(*command: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def facts(tmp_path: Path) -> Path:
    """Make a chapter of a master's cells up to its first checked output, and nothing slow."""
    notebook = json.loads(MASTER.read_text(encoding="utf-8"))
    checked = {
        "cell_type": "code",
        "id": "fact",
        "execution_count": 1,
        "metadata": {"tags": [CHECKED]},
        "outputs": [{"output_type": "stream", "name": "stdout", "text": ["2\n"]}],
        "source": ["print(1 + 1)"],
    }
    first = [c for c in notebook["cells"] if {"setup", "parameters"} & set(tags_of(c))]
    notebook["cells"] = [*first, checked]
    path = tmp_path / "facts.ipynb"
    path.write_text(json.dumps(notebook), encoding="utf-8")
    return path


def test_nbval(facts: Path) -> None:
    arguments = ("--nbval-lax", "--nbval-current-env", "-p", "no:cacheprovider")
    assert "3 passed" in run("pytest", *arguments, facts.name, folder=facts.parent)


def test_nbval_refuses_no_output_of_any_master() -> None:
    """It does refuse outputs of a cell without an execution count, whatever they are."""
    for path in NOTEBOOKS:
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "code" and cell.outputs:
                assert cell.execution_count is not None


def test_papermill(facts: Path) -> None:
    run("papermill", facts.name, "out.ipynb", "-p", "profile", "smoke", folder=facts.parent)
    assert "injected-parameters" in (facts.parent / "out.ipynb").read_text(encoding="utf-8")


def test_nbclient(facts: Path) -> None:
    notebook = nbformat.read(facts, as_version=4)
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute(cwd=str(facts.parent))
    assert notebook.cells[-1].outputs[0].text == "2\n"


def test_jupytext_there_and_back(tmp_path: Path) -> None:
    shutil.copy(MASTER, tmp_path / "master.ipynb")
    run("jupytext", "--to", "py:percent", "master.ipynb", folder=tmp_path)
    run("jupytext", "--to", "ipynb", "--update", "master.py", folder=tmp_path)
    before, after = (nbformat.read(p, as_version=4) for p in (MASTER, tmp_path / "master.ipynb"))
    assert [cell.source for cell in after.cells] == [cell.source for cell in before.cells]
    assert [cell.get("outputs") for cell in after.cells] == [c.get("outputs") for c in before.cells]
