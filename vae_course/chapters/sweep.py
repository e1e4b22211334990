"""Running chapters under many seeds, and adding each run to its chapter's record."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vae_course.chapters import machine
from vae_course.chapters.cluster import Cluster
from vae_course.chapters.execution import Failure, Job, Outcome
from vae_course.chapters.notebooks import ChapterError
from vae_course.chapters.project import Chapter, Profile, Project, default_parameters
from vae_course.chapters.records import (
    Harvest,
    Record,
    added,
    harvest,
    read_record,
    run_of,
    write_record,
)
from vae_course.chapters.review import doubts, recorded_key
from vae_course.chapters.run import Watch, execute_all, plan


@dataclass(frozen=True)
class Swept:
    """What a sweep left of one chapter: its record, the new runs, and those that failed."""

    chapter: str
    record: Record
    added: tuple[Outcome, ...]
    failed: tuple[Outcome, ...]

    @property
    def doubtful(self) -> list[str]:
        """Sentences that fewer than nine of ten runs bear out."""
        return doubts(Harvest(says=dict(self.record.says)), self.record)


def sweep_chapters(
    project: Project,
    chapters: Sequence[Chapter],
    *,
    profile: str,
    seeds: int,
    jobs: int | None = None,
    cell_timeout: int = 600,
    cluster: Cluster | None = None,
    watch: Watch | None = None,
) -> list[Swept]:
    """Run chapters under the seeds 0 to `seeds` − 1 and record each run as it ends.

    A run that is recorded already, of the same code and parameters on the same kind of machine, is
    not run again; killed at any moment, a sweep loses the chapters that it runs just then.

    Raises:
        ChapterError: a chapter or a record cannot be read, or the profile keeps no records.
    """
    if profile == Profile.SMOKE:
        raise ChapterError("runs of the smoke profile are too short to be recorded")
    watch, here = watch or Watch(), [machine.hardware()]
    places = {c.name: _Place(project, c, profile) for c in chapters}
    todo = [
        job
        for job in _plan(project, chapters, profile=profile, seeds=seeds, timeout=cell_timeout)
        if not places[chapter_of(job)].has(seed_of(job), cluster.hardware if cluster else here)
    ]
    for job, outcome in execute_all(todo, jobs=jobs, cluster=cluster, watch=watch):
        places[chapter_of(job)].add(outcome)
        watch.ended(replace(outcome, notebook=""))
    return [place.swept() for place in places.values()]


def chapter_of(job: Job) -> str:
    """Return the chapter that a job of a sweep runs."""
    return job.name.rpartition(" seed ")[0]


def seed_of(job: Job) -> int:
    """Return the seed that a job of a sweep runs under."""
    seed: int = job.parameters["seed"]
    return seed


def _plan(
    project: Project, chapters: Sequence[Chapter], *, profile: str, seeds: int, timeout: int
) -> Iterator[Job]:
    """Yield a job for each seed and chapter: all chapters under one seed before the next."""
    for chapter in chapters:
        if "seed" not in default_parameters(chapter):
            raise ChapterError(f"{chapter.name} has no parameter `seed`: there is nothing to vary")
    jobs = plan(project, chapters, profile=profile, cell_timeout=timeout)
    for seed in range(seeds):
        for job in jobs:
            parameters = job.parameters | {"seed": seed}
            yield replace(job, name=f"{job.name} seed {seed}", parameters=parameters)


class _Place:
    """The record of one chapter while a sweep adds to it."""

    def __init__(self, project: Project, chapter: Chapter, profile: str) -> None:
        self.chapter = chapter.name
        self.path: Path = project.record(chapter, profile=profile)
        self.key = recorded_key(project, chapter, profile=profile)
        self.added, self.failed = list[Outcome](), list[Outcome]()
        self.record = read_record(self.path) if self.path.exists() else Record(self.key)

    def has(self, seed: int, machines: Sequence[Mapping[str, Any]]) -> bool:
        """Whether a run under this seed is recorded, on one of these machines."""
        if self.record.key != self.key:
            return False
        known = [
            {name: value for name, value in run.machine.items() if name != "versions"}
            for run in self.record.runs
            if run.seed == seed
        ]
        return any(machine in known for machine in machines)

    def add(self, outcome: Outcome) -> None:
        """Record a run that went well, at once."""
        if outcome.failure:
            self.failed.append(outcome)
            return
        notebook = json.loads(outcome.notebook)
        try:
            made = harvest(notebook)
        except ChapterError as error:
            self.failed.append(replace(outcome, failure=Failure(message=str(error))))
            return
        run = run_of(notebook, made.values)
        self.record = added(self.record, run, key=self.key, says=made.says)
        write_record(self.path, self.record)
        self.added.append(replace(outcome, notebook=""))

    def swept(self) -> Swept:
        return Swept(self.chapter, self.record, tuple(self.added), tuple(self.failed))
