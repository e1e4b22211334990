"""Chapters of a second each, executed by real kernels."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from synthetic_book import (
    around,
    claims_cell,
    make_project,
    threads,
    write_chapter,
    write_profiles,
    write_record,
)

from vae_course.chapters import machine
from vae_course.chapters.project import Project
from vae_course.chapters.run import Watch, earlier, plan, run_chapters

# Each of the two waits for the other's file: they end only if they run at the same time.
MEET = """
import pathlib, time
pathlib.Path({mine!r}).touch()
end = time.monotonic() + 60
while not pathlib.Path({other!r}).exists():
    assert time.monotonic() < end, "the other chapter never started"
    time.sleep(0.05)
"""


class Heard(Watch):
    def __init__(self):
        self.events = []

    def started(self, chapter):
        self.events.append(("started", chapter))

    def ended(self, outcome):
        self.events.append(("ended", outcome.chapter))


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """A project whose two chapters were executed at once by the default executor."""
    root = tmp_path_factory.mktemp("executed") / "a {braced} name"
    a, b = str(root / "a"), str(root / "b")
    big = "block = bytearray(200_000_000)\nblock[::4096] = b'x' * len(block[::4096])"
    facts = (
        "import os, sys, json\nprint(json.dumps([sys.executable, os.getcwd(), dict(os.environ)]))"
    )
    project = make_project(
        root,
        {
            "01_small": [MEET.format(mine=a, other=b), claims_cell({"lr": "lr"}), facts],
            "02_big": [MEET.format(mine=b, other=a), big],
        },
    )
    write_record(project, "01_small", lr=[0.1] * 5)
    heard = Heard()
    results = run_chapters(project, project.chapters(), profile="quick", jobs=2, watch=heard)
    return project, results, heard


@pytest.fixture
def project(executed, tmp_path):
    """A copy of the executed project, for a test to change."""
    shutil.copytree(executed[0].root, tmp_path / "copy")
    return Project(tmp_path / "copy", package=tmp_path / "copy" / "package")


def read(path):
    return json.loads(path.read_text())


def job_of(project, word="1", profile="quick"):
    return plan(project, project.select([word]), profile=profile)[0]


def test_two_chapters_run_at_once_and_are_heard_of(executed):
    _, results, heard = executed
    assert [r.outcome.chapter for r in results] == ["01_small", "02_big"]
    assert all(r.good and r.outcome.executed for r in results)
    assert heard.events[:2] == [("started", "01_small"), ("started", "02_big")]
    assert sorted(heard.events[2:]) == [("ended", "01_small"), ("ended", "02_big")]


def test_an_executed_chapter_tells_of_its_run(executed):
    project, _, _ = executed
    notebook = read(job_of(project).target)
    told = notebook["metadata"]["vae_course"]
    assert told["key"] == job_of(project).key
    assert told["parameters"] == {"profile": "quick"}
    assert told["hardware"]["cores"] == machine.cores()
    assert told["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert 0 < told["seconds"] < 120
    assert "papermill" not in notebook["metadata"]
    assert str(project.root) not in json.dumps(notebook["metadata"])


def test_peak_memory_is_that_of_the_chapter_s_own_kernel(executed):
    small, big = (r.outcome.peak_memory_mb for r in executed[1])
    assert 20 < small < 180
    assert big - small == pytest.approx(200e6 / 2**20, abs=25)


def test_the_kernel_is_this_python_in_a_scratch_folder_with_its_share_of_the_cores(executed):
    project, _, _ = executed
    cell = read(job_of(project).target)["cells"][-1]
    executable, folder, env = json.loads("".join(cell["outputs"][0]["text"]))
    assert executable == sys.executable
    assert project.book not in (Path(folder), *Path(folder).parents)
    assert not Path(folder).exists()
    assert env["TQDM_DISABLE"] == "1"
    assert env["OMP_WAIT_POLICY"] == "PASSIVE"
    assert env["OMP_NUM_THREADS"] == str(max(1, machine.cores() // 2))


def test_masters_stay_as_they_are_and_nothing_is_left_beside_the_results(executed):
    project, _, _ = executed
    assert all(not cell.get("outputs") for cell in read(project.book / "01_small.ipynb")["cells"])
    assert {p.name for p in project.book.iterdir()} == {
        "index.md",
        "profiles.yml",
        "01_small.ipynb",
        "02_big.ipynb",
    }
    names = {p.name for p in job_of(project).target.parent.iterdir()}
    chapters = {"01_small", "02_big"}
    assert names == {f"{name}.{end}" for name in chapters for end in ("ipynb", "metrics.json")}


def test_a_run_leaves_its_measurements_machine_readable(executed):
    target = job_of(executed[0]).target
    metrics = read(target.with_suffix(".metrics.json"))
    assert metrics["claims"] == {"lr": 0.1}
    assert metrics["seconds"] == read(target)["metadata"]["vae_course"]["seconds"]
    assert (metrics["chapter"], metrics["profile"]) == ("01_small", "quick")


def test_what_has_not_changed_is_not_run_again_but_still_compared(project):
    target = job_of(project).target
    before = target.stat()
    write_record(project, "01_small", lr=around(0.2, 0.001))
    heard = Heard()
    small, big = run_chapters(project, project.chapters(), profile="quick", watch=heard)
    assert target.stat().st_mtime_ns == before.st_mtime_ns
    assert not small.outcome.executed and not big.outcome.executed
    assert all(event == "ended" for event, _ in heard.events)
    assert big.good and small.good
    (sentence,) = small.review.drift
    assert sentence.startswith("claim 'lr' is 0.1; 8 recorded runs have 0.2 (0.1991 to 0.2009)")


def change_notebook(project, monkeypatch):
    write_chapter(project, "01_small", "2 + 2")


def change_version(project, monkeypatch):
    monkeypatch.setattr(machine, "versions", lambda: {"python": "3.99"})


def change_device(project, monkeypatch):
    monkeypatch.setattr(machine, "gpu", lambda: "A GPU")


@pytest.mark.parametrize("change", [change_notebook, change_version, change_device])
def test_a_change_of_what_a_chapter_depends_on_makes_it_due(project, monkeypatch, change):
    assert earlier(job_of(project), Watch())
    change(project, monkeypatch)
    assert earlier(job_of(project), Watch()) is None


def test_other_parameters_make_a_chapter_due_and_stored_outputs_do_not(project):
    write_profiles(project, full={"01_small": {"epochs": 4}})
    before = job_of(project, profile="full").key
    write_profiles(project, full={"01_small": {"epochs": 5}})
    assert job_of(project, profile="full").key != before
    master = read(project.book / "01_small.ipynb")
    master["cells"][2]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "x"}]
    (project.book / "01_small.ipynb").write_text(json.dumps(master))
    (project.package / "__pycache__").mkdir()
    (project.package / "__pycache__" / "x.pyc").write_bytes(b"\0")
    assert earlier(job_of(project), Watch())


def test_a_failing_second_run_leaves_the_good_result_and_the_partial_one(project):
    target = job_of(project).target
    good = target.read_bytes()
    write_chapter(project, "01_small", "first = 1", "second = 2\nraise RuntimeError('no luck')")
    chapters = project.select(["1"])
    with threads() as workers:
        (result,) = run_chapters(project, chapters, profile="quick", cluster=workers)
    assert not result.good
    assert result.outcome.failure.cell == 4
    assert result.outcome.failure.excerpt == "second = 2"
    assert result.outcome.failure.message == "RuntimeError: no luck"
    assert target.read_bytes() == good
    partial = read(target.with_name("01_small.failed.ipynb"))
    assert partial["cells"][-1]["outputs"][0]["ename"] == "RuntimeError"
    write_chapter(project, "01_small", claims_cell({"lr": "lr"}))
    with threads() as workers:
        (result,) = run_chapters(project, chapters, profile="quick", cluster=workers)
    assert result.good
    assert target.read_bytes() != good
    assert not target.with_name("01_small.failed.ipynb").exists()


def test_a_worker_that_dies_fails_its_chapter_by_name(tmp_path):
    die = "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)\nimport time; time.sleep(60)"
    project = make_project(tmp_path / "course", {"01_deadly": [die]})
    (result,) = run_chapters(project, project.chapters(), profile="quick")
    assert result.outcome.failure.message.startswith("a worker died")
    assert not job_of(project).target.exists()


def test_a_killed_run_leaves_no_half_chapter_and_no_kernel(tmp_path):
    pid_file = tmp_path / "pid"
    wait = f"import os, pathlib, time\npathlib.Path({str(pid_file)!r}).write_text(str(os.getpid()))"
    project = make_project(tmp_path / "course", {"01_long": [wait, "time.sleep(120)"]})
    command = [sys.executable, "-c", "from vae_course.cli import app; app()", "run", "1"]
    with subprocess.Popen(command, cwd=project.root, stdout=subprocess.DEVNULL) as process:
        until(lambda: pid_file.exists() and pid_file.read_text())
        kernel = int(pid_file.read_text())
        process.send_signal(signal.SIGKILL)
    assert not list(job_of(project).target.parent.glob("*.ipynb"))
    until(lambda: not is_alive(kernel))


def until(condition, *, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")  # one that has ended may wait for its parent's look
    return not (status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] == "Z")
