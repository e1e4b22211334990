"""The short names of the work, and that workflows use nothing else."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from places import ROOT

from vae_course import __version__

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, flags=re.MULTILINE))


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make as a user would, not as a part of the make that runs these tests."""
    inherited = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES")
    environment = {key: value for key, value in os.environ.items() if key not in inherited}
    return subprocess.run(
        ["make", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def steps(workflow: Path) -> list[dict[str, Any]]:
    """List the steps of all jobs."""
    jobs = yaml.safe_load(workflow.read_text(encoding="utf-8"))["jobs"].values()
    return [step for job in jobs for step in job["steps"]]


def test_help_is_the_default_and_lists_every_target() -> None:
    done = make()
    listed = set(re.findall(r"^  make ([a-z-]+) ", done.stdout, flags=re.MULTILINE))
    assert {"book", "test", "serve", "clean", "lock", "help"} <= TARGETS
    assert listed == TARGETS


def test_a_python_of_the_wrong_version_gives_one_clear_line(tmp_path: Path) -> None:
    done = make("-s", "env", "PYTHON=false", f"VENV={tmp_path / 'venv'}")
    first = done.stderr.splitlines()[0]
    assert done.returncode != 0
    assert "Python 3.11, 3.12 or 3.13 is needed" in first
    assert "make PYTHON=" in first
    assert not (tmp_path / "venv").exists()


def test_serving_a_book_that_is_not_there_says_what_to_do() -> None:
    done = make("-s", "serve", "PROFILE=nosuch")
    assert done.returncode != 0
    assert "make book PROFILE=nosuch" in done.stderr


def test_a_tag_that_is_not_the_version_stops_a_release(tmp_path: Path) -> None:
    (tmp_path / "bin").symlink_to(Path(sys.executable).parent)
    (tmp_path / ".made-from-requirements.lock").touch()
    done = make("-s", "dist", "TAG=v999.0.0", f"VENV={tmp_path}")
    assert done.returncode != 0
    assert f"the tag is v999.0.0, and the version in vae_course/__init__.py is v{__version__}" in (
        done.stderr
    )


def test_without_a_browser_the_omission_is_loud(tmp_path: Path) -> None:
    stamp = tmp_path / ".made-from-requirements.lock"
    stamp.touch()
    done = make("-s", "browser", "BROWSER=no", f"VENV={tmp_path}")
    assert done.returncode == 0
    assert "THE BROWSER TESTS DID NOT RUN" in done.stdout


def test_the_integration_runs_the_two_commands() -> None:
    script = ROOT / ".ci" / "run"
    lines = script.read_text(encoding="utf-8").splitlines()
    assert os.access(script, os.X_OK)
    assert [line for line in lines if line.startswith("make")] == ["make test", "make book"]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_run_the_commands_of_the_readme(workflow: Path) -> None:
    for step in steps(workflow):
        if command := step.get("run"):
            words = command.split()
            known = words[0] == "make" and words[1] in TARGETS
            assert known or words[:3] == ["gh", "release", "create"], command


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_pinned_by_major_version(workflow: Path) -> None:
    used = [step["uses"] for step in steps(workflow) if "uses" in step]
    assert used
    assert all(re.fullmatch(r"actions/[a-z-]+@v\d+", action) for action in used)


def test_the_pages_come_from_the_gpu_run() -> None:
    gpu, pages = (ROOT / ".github" / "workflows" / name for name in ("gpu.yml", "pages.yml"))
    uploaded = {step["with"]["name"] for step in steps(gpu) if "upload" in step.get("uses", "")}
    fetched = {step["with"]["name"] for step in steps(pages) if "download" in step.get("uses", "")}
    document = yaml.safe_load(pages.read_text(encoding="utf-8"))
    # YAML 1.1 reads the key `on` as true.
    assert document[True]["workflow_run"]["workflows"] == ["gpu"]
    assert fetched == {"site"}
    assert uploaded == {"executed-chapters", "metrics", "site"}
    built = [step["run"] for step in steps(gpu) if "run" in step]
    assert built == ["make book PROFILE=full STRICT=--strict"]  # what drifts is not published
