"""Kills, damage, full disks and a second run: nothing is half there, and each is spoken of."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from synthetic_book import make_project, write_chapter

from vae_course.chapters import execution
from vae_course.chapters.execution import Job, execute, publish
from vae_course.chapters.lock import held, sweep
from vae_course.chapters.notebooks import digest, stripped
from vae_course.chapters.project import Project
from vae_course.chapters.run import Watch, earlier, plan

COMMAND = [sys.executable, "-c", "from vae_course.cli import app; app()"]


class Heard(Watch):
    def __init__(self) -> None:
        self.sentences: list[str] = []

    def noted(self, sentence: str) -> None:
        self.sentences.append(sentence)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make_project(tmp_path / "book project", {"01_one": ["print('one')"]})


def job_of(project: Project) -> Job:
    (job,) = plan(project, project.chapters(), profile="quick")
    return job


def damage(target: Path, how: str) -> None:
    text = target.read_text(encoding="utf-8")
    if how == "flipped":
        assert "one" in text
        target.write_text(text.replace("one\\n", "two\\n"), encoding="utf-8")
    elif how == "binary":
        target.write_bytes(b"\xff\xfe\x00")
    else:
        replaced = {
            "empty": "",
            "cut": text[: len(text) // 2],
            "foreign": '{"cells": [], "metadata": {}}',
            "list": "[]",
            "no metadata": '{"cells": []}',
            "lists inside": '{"cells": [], "metadata": {"vae_course": []}}',
            "cells of nothing": '{"cells": [1], "metadata": {}}',
            "deep": "[" * 100_000,
        }
        target.write_text(replaced[how], encoding="utf-8")


@pytest.mark.parametrize(
    "how",
    [
        "empty",
        "cut",
        "foreign",
        "list",
        "no metadata",
        "lists inside",
        "cells of nothing",
        "deep",
        "binary",
        "flipped",
    ],
)
def test_a_damaged_copy_is_executed_again_with_a_word(project: Project, how: str) -> None:
    job = job_of(project)
    target = job.target
    target.parent.mkdir(parents=True)
    notebook = json.loads(job.notebook)
    notebook["cells"][-1]["outputs"] = [
        {"output_type": "stream", "name": "stdout", "text": "one\n"}
    ]
    run = {"key": job.key, "seconds": 1.0, "peak_memory_mb": 1, "digest": digest(notebook)}
    notebook["metadata"]["vae_course"] = run
    target.write_text(json.dumps(notebook), encoding="utf-8")
    heard = Heard()
    assert earlier(job, heard) is not None
    assert heard.sentences == []
    damage(target, how)
    assert earlier(job, heard) is None
    (sentence,) = heard.sentences
    assert "01_one" in sentence
    assert "executed again" in sentence


def test_a_full_disk_is_called_that(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object, **_options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "some/file")

    job = job_of(project)
    for place in ("write_whole", "_run_papermill"):
        with monkeypatch.context() as patch:
            patch.setattr(execution, place, full)
            outcome = publish(job, execute(job))
        assert outcome.failure is not None
        assert outcome.failure.message == "the disk is full: some/file"
        assert not job.target.exists()


def test_a_full_disk_behind_another_error_is_found(project: Project) -> None:
    try:
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as full:
            raise ValueError("papermill's own words") from full
    except ValueError as error:
        failure = execution._failure(error, job=job_of(project), partial=Path("nowhere"))
    assert failure.message.startswith("the disk is full: ")


def test_a_kernel_that_never_started_is_tried_once_more(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, failures = execution._run_papermill, []

    def taken(*arguments: object, **options: object) -> execution.Failure | None:
        if len(failures) < 1:
            failures.append(execution.Failure(message=f"RuntimeError: {execution.NO_START}"))
            return failures[-1]
        return real(*arguments, **options)

    monkeypatch.setattr(execution, "_run_papermill", taken)
    assert execute(job_of(project)).failure is None
    assert failures


def test_a_kernel_that_never_starts_is_named(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = "from ipykernel.kernelspec import get_kernel_dict as _; raise SystemExit(1)"
    broken = {"argv": [sys.executable, "-c", start], "display_name": "none", "language": "python"}
    monkeypatch.setattr(execution, "get_kernel_dict", lambda **_: broken)
    outcome = execute(job_of(project))
    assert outcome.failure is not None
    assert execution.NO_START in outcome.failure.message
    assert outcome.failure.cell is None


def test_leftovers_of_killed_runs_are_swept_and_links_not_followed(tmp_path: Path) -> None:
    folder, victim = tmp_path / "executed", tmp_path / "victim"
    (folder / ".run-dead" / "cwd").mkdir(parents=True)
    victim.mkdir()
    (victim / "file").write_text("mine")
    (folder / ".run-planted").symlink_to(victim)
    (folder / ".01_one.ipynb.host-1.0badcafe.tmp").write_text("half")
    (folder / "01_one.ipynb").write_text("whole")
    sweep(folder)
    assert [path.name for path in folder.iterdir()] == ["01_one.ipynb"]
    assert (victim / "file").read_text() == "mine"


def test_a_second_run_says_for_whom_it_waits(project: Project) -> None:
    wait = (
        "from pathlib import Path; import sys\n"
        "from vae_course.chapters.project import Project\n"
        "from vae_course.chapters.lock import held\n"
        "with held(Project(Path(sys.argv[1])), profile='quick', say=print):\n"
        "    print('mine', flush=True)\n"
    )
    with held(project, profile="quick", say=pytest.fail):
        arguments = [sys.executable, "-u", "-c", wait, str(project.root)]
        second = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
        assert second.stdout is not None
        said = second.stdout.readline()
        assert said.startswith(f"waiting for process {os.getpid()} on ")
        assert "quick" in said
        assert second.poll() is None
    assert second.communicate(timeout=60)[0] == "mine\n"
    assert second.returncode == 0


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_to_the_command_alone_ends_it_and_its_kernels(
    project: Project, tmp_path: Path, number: signal.Signals, status: int
) -> None:
    pid_file = tmp_path / "pid"
    write_chapter(
        project,
        "01_one",
        f"import os, pathlib\npathlib.Path({str(pid_file)!r}).write_text(str(os.getpid()))",
        "import time\ntime.sleep(600)",
    )
    # As a shell starts a background job: with SIGINT ignored.
    command = subprocess.Popen(
        [*COMMAND, "run"],
        cwd=project.root,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    until(lambda: pid_file.exists() and pid_file.read_text() != "")
    kernel = int(pid_file.read_text())
    command.send_signal(number)
    _, said = command.communicate(timeout=60)
    assert command.returncode == status
    assert said.splitlines() == [
        "stopped; what is executed stays, and the next run goes on from there"
    ]
    until(lambda: not alive(kernel))


def until(there: object, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not there():  # type: ignore[operator]
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


def alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status")
    try:
        return "State:\tZ" not in status.read_text()
    except FileNotFoundError:
        return False


def test_stripping_keeps_checked_outputs_with_a_count_of_one() -> None:
    v4 = nbformat.v4
    output = v4.new_output("stream", text="1\n")
    checked = v4.new_code_cell(
        "print(1)", execution_count=17, outputs=[output], metadata={"tags": ["nbval-check-output"]}
    )
    loose = v4.new_code_cell("print(2)", execution_count=3, outputs=[output])
    loose["metadata"]["execution"] = {"iopub.status.busy": "2026-01-01"}
    done = stripped(json.loads(nbformat.writes(v4.new_notebook(cells=[checked, loose]))))
    first, second = done["cells"]
    assert (first["execution_count"], len(first["outputs"])) == (1, 1)
    assert (second["execution_count"], second["outputs"]) == (None, [])
    assert second["metadata"] == {}
    assert stripped(done) == done
