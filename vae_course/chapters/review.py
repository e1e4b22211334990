"""Judging an executed chapter: its figures, and its claims against the recorded ones."""

from dataclasses import dataclass

from vae_course.chapters import checks, records
from vae_course.chapters.errors import ChapterError
from vae_course.chapters.files import Notebook
from vae_course.chapters.profiles import Profile
from vae_course.chapters.project import Chapter, Project


@dataclass(frozen=True)
class Review:
    """How many claims hold and fail, every problem as a sentence, and a notice that is none."""

    held: int = 0
    failed: int = 0
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
        wrong = records.compare(claims, records.read_record(path))
    except ChapterError as error:
        return Review(failed=1, problems=(*problems, str(error)))
    if wrong:
        problems += wrong.values()
        problems.append(
            f"if {path.relative_to(project.root)} is what is out of date, record the new values:"
            f" vae-course record {chapter.name} --profile {profile}"
        )
    return Review(
        held=sum(name not in wrong for name in claims), failed=len(wrong), problems=tuple(problems)
    )


def _no_record(chapter: Chapter, *, profile: str) -> str:
    return (
        f"NOT COMPARED: there are no recorded claims for the {profile} profile; when they are"
        f" right, record them: vae-course record {chapter.name} --profile {profile}"
    )
