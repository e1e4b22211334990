"""The hooks of pre-commit: this project passes, and each turns down what it is there for."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from project import ROOT

CONFIG = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
HOOKS = [hook for repository in CONFIG["repos"] for hook in repository["hooks"]]
FROM_OUTSIDE = ("MAKE", "MFLAGS", "GIT_")

STORED_OUTPUT = {"name": "stdout", "output_type": "stream", "text": ["0.1\n"]}
CELL = {"cell_type": "code", "execution_count": None, "id": "0", "metadata": {}, "source": ["1"]}
NOTEBOOK = {
    "cells": [CELL | {"outputs": [STORED_OUTPUT]}],
    "metadata": {},
    "nbformat": 4,
    "nbformat_minor": 5,
}


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command as at the prompt, not as a part of the make or git that runs these tests."""
    environment = {key: one for key, one in os.environ.items() if not key.startswith(FROM_OUTSIDE)}
    environment |= {"PRE_COMMIT_HOME": str(folder.parent / "home"), "VENV": ".venv"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def git(*arguments: str, folder: Path) -> None:
    who = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "core.autocrlf=false"]
    run(["git", *who, *arguments], folder).check_returncode()


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the project into a repository of its own, with this environment as its `.venv`."""
    folder = tmp_path_factory.mktemp("hooks") / "course"
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").replace("/", "").split()
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(".git", "shared", *ignored))
    environment = folder / ".venv"
    environment.mkdir()
    (environment / "bin").symlink_to(Path(sys.executable).parent)
    (environment / ".made-from-requirements.lock").touch()
    git("init", "--quiet", folder=folder)
    git("add", ".", folder=folder)
    git("commit", "--quiet", "--no-verify", "--message", "All", folder=folder)
    return folder


@pytest.fixture
def new_file(repository: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """Stage a file with some content, for one test."""
    name, content = request.param
    (repository / name).write_bytes(content)
    git("add", name, folder=repository)
    yield name
    git("rm", "--quiet", "--force", name, folder=repository)


def hooks(repository: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run([sys.executable, "-m", "pre_commit", "run", *arguments], repository)


def test_this_project_passes(repository: Path) -> None:
    done = hooks(repository, "--all-files")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("Passed") == len(HOOKS)


@pytest.mark.parametrize(
    ("hook", "new_file"),
    [
        ("lint", ("vae_course/unused.py", b'"""Unused."""\n\nimport os\n')),
        ("lint", ("vae_course/loose.py", b'"""Loose."""\n\nx = {  1 }\n')),
        ("lint", ("book/99_new.ipynb", f"{json.dumps(NOTEBOOK, indent=1)}\n".encode())),
        ("end-of-file-fixer", ("new.md", b"no line break")),
        ("mixed-line-ending", ("new.md", b"one\r\ntwo\r\n")),
        ("check-merge-conflict", ("new.md", b"<<<<<<< HEAD\none\n=======\ntwo\n>>>>>>> b\n")),
        ("check-added-large-files", ("new.bin", bytes(1_100_000))),
    ],
    indirect=["new_file"],
)
def test_a_hook_turns_down_what_it_is_there_for(repository: Path, hook: str, new_file: str) -> None:
    done = hooks(repository, hook, "--files", new_file)
    assert done.returncode == 1, done.stdout + done.stderr


def test_hooks_need_no_network() -> None:
    assert all(repository["repo"] == "local" for repository in CONFIG["repos"])
    assert all(hook["language"] == "system" for hook in HOOKS)
