"""Executing one chapter with papermill: whole or not at all, failures by name and cell."""

import errno
import os
import resource
import socket
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from ipykernel.kernelspec import get_kernel_dict
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from vae_course.chapters import machine
from vae_course.chapters.keys import Package
from vae_course.chapters.notebooks import (
    ChapterError,
    digest,
    numbered_cells,
    read_notebook,
    text_of,
    written,
)
from vae_course.chapters.project import package_folder
from vae_course.files import remove, write_whole

# What a kernel leaves whose port another program took between its choice and its use: on a busy
# machine it happens, and a second try has other ports.
NO_START = "Kernel died before replying to kernel_info"


@dataclass(frozen=True)
class Job:
    """All that a worker needs, here or on another machine, to execute one chapter.

    `notebook` is the master's text and `package` the digest of the package that it belongs to: a
    worker elsewhere shares no folder with us, and has to have the same package.
    """

    name: str
    notebook: str
    target: Path
    key: str
    package: str
    parameters: dict[str, Any]
    cell_timeout: int
    threads: int = 1
    scratch: Path | None = None  # where to work; the system's folder for such if None


@dataclass(frozen=True)
class Failure:
    """Why a chapter failed: `cell` counts the master's cells from 1; None before the first."""

    message: str
    cell: int | None = None
    excerpt: str = ""
    traceback: str = ""


@dataclass(frozen=True)
class Outcome:
    """What became of one chapter: wall seconds and the kernel's peak resident memory in MB.

    `notebook` is the text of the executed chapter, or of what was executed before it failed.
    """

    chapter: str
    executed: bool
    seconds: float | None = None
    peak_memory_mb: float | None = None
    failure: Failure | None = None
    notebook: str = ""


def failed_copy(target: Path) -> Path:
    """Where the partly executed notebook of a failed chapter is kept."""
    return target.with_name(f"{target.stem}.failed.ipynb")


def execute(job: Job) -> Outcome:
    """Execute one chapter in a scratch folder, here or on a worker that shares none with us."""
    if (own := Package(package_folder()).whole) != job.package:
        message = (
            f"the worker on {socket.gethostname()} has another vae_course (digest {own[:8]}, the "
            f"chapter's {job.package[:8]}), or it has just changed: install the same there"
        )
        return Outcome(chapter=job.name, executed=True, failure=Failure(message=message))
    try:
        return _execute(job)
    except OSError as error:  # no room, or no right, to write
        failure = _failure(error, job=job, partial=Path("none"))
        return Outcome(chapter=job.name, executed=True, failure=failure)


def publish(job: Job, outcome: Outcome) -> Outcome:
    """Put an executed chapter to `job.target`, in one step, and drop its text.

    A failed one is kept as `NN_slug.failed.ipynb` beside it, and an earlier good one stays.
    """
    try:
        job.target.parent.mkdir(parents=True, exist_ok=True)
        remove(failed_copy(job.target))
        if outcome.notebook:
            kept = failed_copy(job.target) if outcome.failure else job.target
            write_whole(kept, outcome.notebook)
    except OSError as error:
        failure = outcome.failure or _failure(error, job=job, partial=Path("none"))
        return replace(outcome, failure=failure, notebook="")
    return replace(outcome, notebook="")


def _execute(job: Job) -> Outcome:
    with tempfile.TemporaryDirectory(
        dir=job.scratch, prefix=".run-", ignore_cleanup_errors=True
    ) as scratch:
        source, partial = Path(scratch) / "master.ipynb", Path(scratch) / "partial.ipynb"
        folder = Path(scratch) / "cwd"
        folder.mkdir()
        source.write_text(job.notebook, encoding="utf-8")
        kernel = kernel_class(folder=folder, threads=job.threads)
        start = time.perf_counter()
        failure = _run_papermill(job, kernel=kernel, source=source, partial=partial)
        if failure and failure.cell is None and NO_START in failure.message:
            failure = _run_papermill(job, kernel=kernel, source=source, partial=partial)
        seconds = time.perf_counter() - start
        outcome = Outcome(
            chapter=job.name,
            executed=True,
            seconds=round(seconds, 1),
            peak_memory_mb=kernel.peak_memory_mb and round(kernel.peak_memory_mb),
            failure=failure,
        )
        if failure is None:
            return replace(outcome, notebook=_told(job, partial=partial, outcome=outcome))
        text = partial.read_text(encoding="utf-8") if partial.exists() else ""
        return replace(outcome, notebook=text)


def _run_papermill(job: Job, *, kernel: type, source: Path, partial: Path) -> Failure | None:
    import papermill

    try:
        papermill.execute_notebook(
            str(source).replace("{", "{{").replace("}", "}}"),  # papermill formats its paths
            str(partial).replace("{", "{{").replace("}", "}}"),
            job.parameters,
            kernel_name="python3",
            language="python",
            progress_bar=False,
            kernel_manager_class=kernel,
            shutdown_kernel="immediate",
            execution_timeout=job.cell_timeout,
        )
    except Exception as error:  # whatever it is, the other chapters run on and this one is named
        return _failure(error, job=job, partial=partial)
    finally:
        _close_event_loop()
    return None


def _close_event_loop() -> None:
    """Close the event loop that nbclient made for this thread and would leave open."""
    from jupyter_core.utils import ensure_event_loop

    if not (loop := ensure_event_loop()).is_running():
        loop.close()


def _failure(error: Exception, *, job: Job, partial: Path) -> Failure:
    """Describe an error by the cell that was running, which is the last one that started."""
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    if (full := _full_disk(error)) is not None:
        return Failure(message=f"the disk is full: {full.filename or job.target.parent}")
    cell, excerpt = _last_started(partial)
    match error:
        case PapermillExecutionError():
            message = f"{error.ename}: {error.evalue}"
            trace = "\n".join(error.traceback)
        case CellTimeoutError():
            message = f"ran longer than the {job.cell_timeout} s of --cell-timeout"
            trace = ""
        case DeadKernelError():
            message = "the kernel died: killed, crashed or out of memory"
            trace = ""
        case _:
            message = f"{type(error).__name__}: {error}"
            trace = "".join(traceback.format_exception(error))
    return Failure(message=message, cell=cell, excerpt=excerpt, traceback=trace)


def _full_disk(error: BaseException | None) -> OSError | None:
    """Find the error of a full disk, or of a used-up quota, behind an error."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return error
        error = error.__cause__ or error.__context__
    return None


def _last_started(partial: Path) -> tuple[int | None, str]:
    """Find the number and the first line of the last code cell that was started.

    What is not there, or was cut by what ended the run, tells of none.
    """
    found: tuple[int | None, str] = (None, "")
    try:
        notebook = read_notebook(partial)
    except ChapterError:
        return found
    for number, cell in numbered_cells(notebook):
        started = cell["metadata"].get("papermill", {}).get("start_time")
        if cell["cell_type"] == "code" and started:
            lines = text_of(cell["source"]).strip().splitlines()
            found = (number, lines[0] if lines else "")
    return found


def _told(job: Job, *, partial: Path, outcome: Outcome) -> str:
    """Return the text of the executed chapter, with what is known of its run in its metadata."""
    notebook = read_notebook(partial)
    notebook["metadata"].pop("papermill", None)  # it holds paths of this machine
    notebook["metadata"]["vae_course"] = {
        "key": job.key,
        "parameters": job.parameters,
        "seconds": outcome.seconds,
        "peak_memory_mb": outcome.peak_memory_mb,
        "digest": digest(notebook),
        **machine.this_run(),
    }
    return written(notebook)


class ChapterKernel(AsyncKernelManager):
    """A kernel manager for one chapter; subclass it with the chapter's `cwd` and `env`.

    nbclient takes a class and calls it itself, so the settings are class attributes. The kernel
    is always the Python that runs this, whatever kernel is installed under the name `python3`.
    (mypy: the parent's own methods are asynchronous as well, under a synchronous annotation.)
    """

    cwd: Path
    extra_env: dict[str, str]
    peak_memory_mb: float | None

    @property
    def kernel_spec(self) -> KernelSpec:
        """This Python's ipykernel, silent but for errors (its outputs are in the notebook)."""
        return KernelSpec(**get_kernel_dict(extra_arguments=["--log-level=ERROR"]))

    async def start_kernel(self, **options: Any) -> None:  # type: ignore[override]
        """Start the kernel in its own folder and environment."""
        env = {**os.environ, **self.extra_env}
        await super().start_kernel(**{**options, "cwd": str(self.cwd), "env": env})

    async def shutdown_kernel(  # type: ignore[override]
        self, now: bool = False, restart: bool = False
    ) -> None:
        """Read the kernel's peak memory while it is still there, then stop it."""
        type(self).peak_memory_mb = _peak_memory_mb(cast(LocalProvisioner, self.provisioner).pid)
        await super().shutdown_kernel(now=now, restart=restart)


def kernel_class(*, folder: Path, threads: int) -> type[ChapterKernel]:
    """Make the kernel manager class of one chapter.

    The kernel works in `folder` (a scratch folder: a chapter cannot lean on, or write, a file
    beside it), with `threads` for its matrix products, no progress bars in the stored output
    and none of the user's IPython start-up files.
    """
    env = {
        "TQDM_DISABLE": "1",
        "OMP_NUM_THREADS": str(threads),
        # Threads that wait asleep: spinning ones make a run ten times slower beside other work.
        "OMP_WAIT_POLICY": "PASSIVE",
        "IPYTHONDIR": str(folder / ".ipython"),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }
    return type(
        "Kernel", (ChapterKernel,), {"cwd": folder, "extra_env": env, "peak_memory_mb": None}
    )


def _peak_memory_mb(pid: int | None) -> float:
    """Peak resident memory in MB of the running process `pid`.

    Linux counts it for each process. Elsewhere it is the largest of all children that have
    ended so far, which is right for a worker's first chapter.
    """
    status = Path(f"/proc/{pid}/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return peak / (1024**2 if sys.platform == "darwin" else 1024)
