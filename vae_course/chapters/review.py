"""Judging an executed chapter: its figures, and its claims against the recorded ones."""

from dataclasses import dataclass

from vae_course.chapters import checks, records
from vae_course.chapters.errors import ChapterError
from vae_course.chapters.files import Notebook
from vae_course.chapters.profiles import Profile
from vae_course.chapters.project import Chapter, Project


@dataclass(frozen=True)
class Review:
    """How many claims hold; drift and problems, a sentence each; and a notice that is neither.

    Drift is a claim that left its record's tolerance: another machine or another version may do
    that. A problem is something broken, such as a claim that is missing, or a bare picture.
    """

    held: int = 0
    drift: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    notice: str = ""


def review(project: Project, chapter: Chapter, *, profile: str, notebook: Notebook) -> Review:
    """Check an executed chapter; `smoke` runs are too short for their claims to be compared."""
    problems = checks.find_problems(notebook)
    try:
        claims = records.harvest(notebook)
        metrics = project.executed(chapter, profile=profile).with_suffix(".metrics.json")
        records.write_metrics(metrics, notebook=notebook, claims=claims)
        path = project.record(chapter, profile=profile)
        if profile == Profile.SMOKE or not path.exists():
            notice = _no_record(chapter, profile=profile) if profile != Profile.SMOKE else ""
            return Review(problems=tuple(problems), notice=notice if claims else "")
        recorded = records.read_record(path)
    except ChapterError as error:
        return Review(problems=(*problems, str(error)))
    drift = records.drift(claims, recorded)
    if unmatched := records.unmatched(claims, recorded):
        where = path.relative_to(project.root)
        problems += [*unmatched, f"if {where} is out of date: {_recording(chapter, profile)}"]
    held = sum(name in recorded for name in claims) - len(drift)
    return Review(held=held, drift=tuple(drift), problems=tuple(problems))


def _no_record(chapter: Chapter, *, profile: str) -> str:
    return (
        f"NOT COMPARED: there are no recorded claims for the {profile} profile; when they are"
        f" right: {_recording(chapter, profile)}"
    )


def _recording(chapter: Chapter, profile: str) -> str:
    return f"vae-course record {chapter.name} --profile {profile}"
