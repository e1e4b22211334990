"""A real cluster on this machine: a scheduler and two workers, each a process of its own."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from synthetic_book import PARAMETERS, claims_cell, make_project, write_chapter
from typer.testing import CliRunner

from vae_course.chapters.cluster import connected
from vae_course.chapters.notebooks import ChapterError
from vae_course.chapters.records import read_record
from vae_course.cli import app

SEEDED = PARAMETERS + "\nseed = 0"
ADDRESS = re.compile(r"tcp://[\d.]+:\d+")


class Cluster:
    """A scheduler and workers without a folder in common; each logs into its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []
        self.address = self._start("scheduler", "--port", "0", "--no-dashboard")

    def _start(self, kind: str, *words: str) -> str:
        own = self.folder / f"{kind}-{len(self.processes)}"
        own.mkdir()
        command = [
            sys.executable,
            "-m",
            "distributed.cli.dask_" + kind,
            *words,
            "--host",
            "127.0.0.1",
        ]
        with (own / "log").open("wb") as log:
            env = os.environ | {"HOME": str(own), "TMPDIR": str(own)}
            self.processes.append(subprocess.Popen(command, cwd=own, stderr=log, env=env))
        end = time.monotonic() + 60
        while not (found := ADDRESS.search((own / "log").read_text())):
            assert time.monotonic() < end, (own / "log").read_text()
            time.sleep(0.1)
        return found[0]

    def add_worker(self) -> subprocess.Popen[bytes]:
        options = ["--nthreads", "1", "--no-dashboard", "--no-nanny", "--death-timeout", "60"]
        self._start("worker", self.address, *options)
        return self.processes[-1]

    def stop(self) -> None:
        for process in reversed(self.processes):
            process.kill()
            process.wait()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path)
    try:
        yield cluster
    finally:
        cluster.stop()


def until(condition: object, *, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


def test_a_worker_killed_in_mid_run_loses_nothing_and_counts_nothing_twice(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project(tmp_path / "course", {"01_one": []})
    started = tmp_path / "started"
    started.mkdir()
    wait = f"import pathlib, time, os\npathlib.Path({str(started)!r}, str(os.getpid())).touch()"
    slow = claims_cell({"a": "seed"})
    write_chapter(project, "01_one", wait, "time.sleep(1)", slow, parameters=SEEDED)
    monkeypatch.chdir(project.root)
    first, _ = cluster.add_worker(), cluster.add_worker()
    with connected(cluster.address) as found:
        assert found.at_once == 2 and found.hardware
    command = [sys.executable, "-c", "from vae_course.cli import app; app()", "sweep"]
    words = ["--seeds", "6", "--scheduler", cluster.address]
    sweep = subprocess.Popen([*command, *words], stdout=subprocess.PIPE, text=True)
    until(lambda: len(list(started.iterdir())) >= 3)
    first.send_signal(signal.SIGKILL)
    out, _ = sweep.communicate(timeout=180)
    assert sweep.returncode == 0, out
    record = read_record(project.root / "results" / "quick" / "01_one.json")
    assert [run.seed for run in record.runs] == list(range(6))
    assert record.values("a") == list(range(6))
    assert all(f"01_one seed {seed}: executed" in out for seed in range(6))
    assert "critical path" in out


def test_a_book_run_on_a_cluster_is_that_of_one_machine_but_for_its_times(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = {"01_one": ["print(lr)", claims_cell({"a": "lr"})], "02_two": ["print(2)"]}
    here = make_project(tmp_path / "here", cells)
    there = make_project(tmp_path / "there", cells)
    cluster.add_worker()
    for project, words in ((here, []), (there, ["--scheduler", cluster.address])):
        monkeypatch.chdir(project.root)
        result = CliRunner().invoke(app, ["run", *words], catch_exceptions=False)
        assert result.exit_code == 0, result.output
    for name in cells:
        path = Path("_build") / "executed" / "quick" / f"{name}.ipynb"
        one, other = (json.loads((p.root / path).read_text()) for p in (here, there))
        assert one["metadata"]["vae_course"]["key"] == other["metadata"]["vae_course"]["key"]
        for notebook in (one, other):
            del notebook["metadata"]["vae_course"]
            for cell in notebook["cells"]:
                cell["metadata"], cell["id"] = cell["metadata"].get("tags"), ""
        assert one == other


def test_a_cluster_without_workers_is_named(cluster: Cluster) -> None:
    with pytest.raises(ChapterError, match="has no workers"), connected(cluster.address):
        pass
