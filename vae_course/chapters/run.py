"""Running chapters: only what has changed, several at a time, all of them reviewed."""

import json
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
    wait,
)
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from vae_course.chapters import machine
from vae_course.chapters.cluster import Cluster
from vae_course.chapters.execution import Failure, Job, Outcome, execute, publish
from vae_course.chapters.keys import Package, content_key
from vae_course.chapters.notebooks import (
    ChapterError,
    digest,
    prepared,
    read_notebook,
)
from vae_course.chapters.project import (
    Chapter,
    Project,
    load_profiles,
    package_folder,
    parameters_of,
)
from vae_course.chapters.review import Review, false_alarm, review_chapter
from vae_course.files import remove, write_whole


@dataclass(frozen=True)
class Result:
    """A chapter's outcome and what its review says; the review of a failed chapter is empty."""

    outcome: Outcome
    review: Review

    @property
    def good(self) -> bool:
        """Whether the chapter ran and nothing is wrong with it."""
        return self.outcome.failure is None and not self.review.problems


class Watch:
    """Hears of chapters as they start and end; this one says nothing."""

    def started(self, chapter: str) -> None:
        """Called when a chapter is given to a worker."""

    def ended(self, outcome: Outcome) -> None:
        """Called when a chapter has ended, well or not."""

    def noted(self, sentence: str) -> None:
        """Called with what a reader should know of, and need not do anything about."""


def plan(
    project: Project, chapters: Sequence[Chapter], *, profile: str, cell_timeout: int = 600
) -> list[Job]:
    """Say what running each of the chapters takes, after checking book/profiles.yml."""
    profiles = load_profiles(project)
    package, installed = Package(project.package), Package(package_folder()).whole
    jobs = []
    for chapter in chapters:
        parameters = parameters_of(chapter, profile=profile, profiles=profiles)
        notebook = read_notebook(chapter.source)
        jobs.append(
            Job(
                name=chapter.name,
                notebook=json.dumps(notebook),
                target=project.executed(chapter, profile=profile),
                key=content_key(notebook=notebook, parameters=parameters, package=package),
                package=installed,
                parameters=parameters,
                cell_timeout=cell_timeout,
            )
        )
    return jobs


def earlier(job: Job, watch: Watch) -> Outcome | None:
    """Give the outcome of an earlier execution of the very same chapter, if there is a whole one.

    A file that is damaged, or that no run of ours has left, is spoken of and executed again.
    """
    if not job.target.exists():
        return None
    try:
        notebook = read_notebook(job.target)
        run = notebook["metadata"]["vae_course"]
        known = {name: run[name] for name in ("key", "digest", "seconds", "peak_memory_mb")}
        whole = known["digest"] == digest(notebook)
    except (ChapterError, KeyError, TypeError):
        whole, known = False, {}
    if not whole:
        watch.noted(f"{job.name}: {job.target} is damaged, or not ours: executed again")
        return None
    if known["key"] != job.key:
        return None
    return Outcome(
        chapter=job.name,
        executed=False,
        seconds=known["seconds"],
        peak_memory_mb=known["peak_memory_mb"],
    )


def run_chapters(
    project: Project,
    chapters: Sequence[Chapter],
    *,
    profile: str,
    jobs: int | None = None,
    cell_timeout: int = 600,
    cluster: Cluster | None = None,
    watch: Watch | None = None,
) -> list[Result]:
    """Execute the chapters that changed and review all of them, in the order given.

    Args:
        project: where the chapters are.
        chapters: which of them.
        profile: smoke, quick or full.
        jobs: how many at once; the machine's default if None. They share the cores.
        cell_timeout: seconds that one cell may take.
        cluster: workers elsewhere; processes of this machine if None.
        watch: hears of chapters as they start and end.

    Returns:
        One result a chapter. A failed chapter is one of them; the others have run.

    Raises:
        ChapterError: a chapter, its parameters or book/profiles.yml cannot be read.
    """
    watch = watch or Watch()
    todo = plan(project, chapters, profile=profile, cell_timeout=cell_timeout)
    outcomes = {job.name: found for job in todo if (found := earlier(job, watch))}
    for outcome in outcomes.values():
        watch.ended(outcome)
    changed = [job for job in todo if job.name not in outcomes]
    for job, outcome in execute_all(changed, jobs=jobs, cluster=cluster, watch=watch):
        outcomes[job.name] = publish(job, outcome)
        watch.ended(outcomes[job.name])
    alpha = false_alarm(project, profile=profile)
    return [_result(project, c, outcomes[c.name], profile, alpha) for c in chapters]


def prepare(project: Project, chapters: Sequence[Chapter], *, profile: str) -> list[Path]:
    """Write `_build/nbval/NN_slug.ipynb` for each chapter, without executing anything.

    The profile's parameters stand in a cell right after the parameters cell, and stored outputs
    stay only in cells tagged `nbval-check-output`. Copies of an earlier call are removed.
    """
    folder = project.root / "_build" / "nbval"
    remove(folder)
    profiles = load_profiles(project)
    for chapter in chapters:
        parameters = parameters_of(chapter, profile=profile, profiles=profiles)
        text = prepared(read_notebook(chapter.source), parameters=parameters)
        write_whole(folder / chapter.source.name, text)
    return [folder / chapter.source.name for chapter in chapters]


def _result(
    project: Project, chapter: Chapter, outcome: Outcome, profile: str, alpha: float
) -> Result:
    if outcome.failure:
        return Result(outcome, Review())
    notebook = read_notebook(project.executed(chapter, profile=profile))
    judged = review_chapter(project, chapter, profile=profile, notebook=notebook, alpha=alpha)
    return Result(outcome, judged)


@contextmanager
def _processes(at_once: int) -> Iterator[Executor]:
    """Start processes of our own that end with this one."""
    # No max_tasks_per_child: with it a pool of Python 3.11 to 3.14 can hang (cpython#115634).
    pool = ProcessPoolExecutor(
        at_once, mp_context=multiprocessing.get_context("spawn"), initializer=_end_with_parent
    )
    try:
        yield pool
    except BaseException:  # told to stop: the chapters that run now are not waited for
        _end_workers()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _end_workers(patience: float = 5.0) -> None:
    """End the worker processes; each one's kernel ends by itself when its worker is gone."""
    workers = multiprocessing.active_children()
    for worker in workers:
        worker.terminate()
    for worker in workers:
        worker.join(patience)
        worker.kill()


def _end_with_parent() -> None:
    """Leave no worker, and so no kernel, behind when the command is killed outright.

    A Ctrl-C reaches every process of the terminal: the command hears it and ends its workers.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if parent := multiprocessing.parent_process():

        def follow() -> None:
            parent.join()
            os._exit(1)

        threading.Thread(target=follow, daemon=True).start()


def execute_all(
    todo: Sequence[Job], *, jobs: int | None, cluster: Cluster | None, watch: Watch
) -> Iterator[tuple[Job, Outcome]]:
    """Execute on processes of this machine, or on a cluster; yield outcomes as they come."""
    if not todo:
        return
    if cluster:
        yield from _keep_running(todo, cluster.executor, at_once=cluster.at_once, watch=watch)
        return
    at_once = max(1, min(jobs or machine.default_jobs(), len(todo)))
    threads = max(1, machine.cores() // at_once)
    here = [replace(job, threads=threads, scratch=job.target.parent) for job in todo]
    for folder in {job.target.parent for job in todo}:
        folder.mkdir(parents=True, exist_ok=True)
    with _processes(at_once) as pool:
        yield from _keep_running(here, pool, at_once=at_once, watch=watch)


def _keep_running(
    todo: Sequence[Job], pool: Executor, *, at_once: int, watch: Watch
) -> Iterator[tuple[Job, Outcome]]:
    """Keep `at_once` chapters running until all are done."""
    waiting, running = list(reversed(todo)), dict[Future[Outcome], Job]()
    while waiting or running:
        while waiting and len(running) < at_once:
            job = waiting.pop()
            watch.started(job.name)
            running[_submit(pool, job)] = job
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            job = running.pop(future)
            yield job, _outcome(future, job)


def _submit(pool: Executor, job: Job) -> Future[Outcome]:
    try:
        return pool.submit(execute, job)
    except BrokenExecutor as error:
        broken = Future[Outcome]()
        broken.set_exception(error)
        return broken


def _outcome(future: Future[Outcome], job: Job) -> Outcome:
    try:
        if (error := future.exception()) is None:
            return future.result()
    except CancelledError:
        error = BrokenExecutor("the cluster dropped it: is its scheduler still there?")
    why = f"a worker died (killed, or out of memory?): {error or type(error).__name__}"
    broken = isinstance(error, BrokenExecutor) or type(error).__name__ == "KilledWorker"
    message = why if broken else f"{type(error).__name__}: {error}"
    return Outcome(chapter=job.name, executed=True, failure=Failure(message=message))
