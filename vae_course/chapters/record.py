"""Recording what an executed chapter claims: the only way that a recorded value changes."""

from collections.abc import Mapping, Sequence

from vae_course.chapters import records
from vae_course.chapters.errors import ChapterError
from vae_course.chapters.files import read_notebook
from vae_course.chapters.profiles import Profile
from vae_course.chapters.project import Chapter, Project
from vae_course.chapters.run import up_to_date


def tolerances_of(options: Sequence[str], *, chapters: Sequence[Chapter]) -> dict[str, float]:
    """Read `NAME=VALUE` options, which are about one chapter's claims."""
    if options and len(chapters) != 1:
        raise ChapterError(
            "--tolerance is about one chapter's claims: name that chapter, and only it"
        )
    found = {}
    for option in options:
        name, _, value = option.partition("=")
        try:
            found[name] = float(value)
        except ValueError:
            raise ChapterError(f"--tolerance {option}: expected NAME=VALUE with a number") from None
    return found


def record_chapter(
    project: Project, chapter: Chapter, *, profile: str, tolerances: Mapping[str, float]
) -> list[str]:
    """Write results/<profile>/<chapter>.json and say, claim by claim, what changed in it.

    Raises `ChapterError`, and writes nothing, when the chapter is not executed as it stands, or a
    claim would be without a tolerance.
    """
    if profile == Profile.SMOKE:
        raise ChapterError("claims of the smoke profile are not compared, so not recorded either")
    notebook = read_notebook(up_to_date(project, chapter, profile=profile).target)
    path = project.record(chapter, profile=profile)
    old = records.read_record(path) if path.exists() else {}
    new = records.write_record(path, notebook=notebook, tolerances=tolerances)
    lines = [f"{path.relative_to(project.root)}: {len(new)} claims"]
    for name in [*new, *(name for name in old if name not in new)]:
        if old.get(name) != new.get(name):
            lines.append(f"  {name}: {_shown(old.get(name))} → {_shown(new.get(name))}")
    return lines


def _shown(claim: records.Recorded | None) -> str:
    return f"{claim.value:.6g} ± {claim.tolerance:.6g}" if claim else "none"
