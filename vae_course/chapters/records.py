"""Measured claims: read from executed chapters, compared with results/, recorded there."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vae_course.chapters.notebooks import ChapterError, Notebook, find_problems, numbered_cells
from vae_course.chapters.project import Chapter, Profile, Project
from vae_course.claims import CLAIMS_MIME
from vae_course.files import write_whole


@dataclass(frozen=True)
class Recorded:
    """A recorded claim: a new value may be at most `tolerance` (absolute) away from `value`."""

    value: float
    tolerance: float


def harvest(notebook: Notebook) -> dict[str, float]:
    """Collect {name: value} of every claims table that an executed chapter shows.

    Raises `ChapterError` for a value that is not a finite number and for a name used twice.
    """
    claims: dict[str, float] = {}
    for number, cell in numbered_cells(notebook):
        for output in cell.get("outputs", []):
            made = output.get("data", {}).get(CLAIMS_MIME, {})
            if not isinstance(made, dict) or not all(isinstance(c, dict) for c in made.values()):
                raise ChapterError(f"cell {number}: what it shows as claims is no table of claims")
            for name, claim in made.items():
                if name in claims:
                    raise ChapterError(f"cell {number}: claim '{name}' is made twice")
                claims[name] = _finite(claim.get("value"), what=f"cell {number}: claim '{name}'")
    return claims


def _finite(value: Any, *, what: str) -> float:
    if isinstance(value, int | float):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isfinite(number):
            return number
    raise ChapterError(f"{what} is {value!r:.100}, not a finite number")


def read_record(path: Path) -> dict[str, Recorded]:
    """Read the recorded claims; a claim without value or tolerance is a `ChapterError`."""
    try:
        claims = json.loads(path.read_text(encoding="utf-8"))["claims"]
        return {
            name: Recorded(
                value=_finite(claim.get("value"), what=f"{path.name}: value of '{name}'"),
                tolerance=_tolerance(claim.get("tolerance"), what=f"{path.name}: '{name}'"),
            )
            for name, claim in claims.items()
        }
    except ChapterError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ChapterError(f"{path} is not a record of claims: {error!r:.300}") from error


def _tolerance(value: Any, *, what: str) -> float:
    tolerance = _finite(value, what=f"{what}: its tolerance")
    if tolerance < 0:
        raise ChapterError(f"{what}: its tolerance is {value}, below 0")
    return tolerance


def mismatches(claims: Mapping[str, float], recorded: Mapping[str, Recorded]) -> list[str]:
    """Name the claims that only the chapter makes and those that only the record has."""
    new = [
        f"claim '{name}' = {value:.6g} is not recorded"
        for name, value in claims.items()
        if name not in recorded
    ]
    gone = [name for name in recorded if name not in claims]
    return new + [f"claim '{name}' is recorded, but the chapter does not make it" for name in gone]


def drift_of(claims: Mapping[str, float], recorded: Mapping[str, Recorded]) -> list[str]:
    """Name the claims further from their record than its tolerance, with the numbers."""
    return [
        f"claim '{name}' is {claims[name]:.6g}, recorded is {was.value:.6g} ± {was.tolerance:.6g}"
        for name, was in recorded.items()
        if name in claims and not abs(claims[name] - was.value) <= was.tolerance
    ]


def write_record(
    path: Path, *, notebook: Notebook, tolerances: Mapping[str, float]
) -> dict[str, Recorded]:
    """Record what an executed chapter claims, with old tolerances unless `tolerances` has one.

    Raises `ChapterError`, and writes nothing, when a claim would be left without a tolerance or
    `tolerances` names a claim that the chapter does not make.
    """
    claims = harvest(notebook)
    old = read_record(path) if path.exists() else {}
    known = {name: claim.tolerance for name, claim in old.items()} | dict(tolerances)
    if unknown := [name for name in tolerances if name not in claims]:
        raise ChapterError(
            f"{path.stem} makes no claim {_listed(unknown)}; it makes {_listed(claims)}"
        )
    if missing := [name for name in claims if name not in known]:
        options = " ".join(f"--tolerance {name}=…" for name in missing)
        raise ChapterError(
            f"{path.stem}: no tolerance for {_listed(missing)}; give how far a new run may be off:"
            f" {options}"
        )
    new = {
        name: Recorded(value=value, tolerance=_tolerance(known[name], what=f"'{name}'"))
        for name, value in claims.items()
    }
    rows = {name: {"value": c.value, "tolerance": c.tolerance} for name, c in new.items()}
    _write(path, notebook=notebook, claims=rows)
    return new


def write_metrics(path: Path, *, notebook: Notebook, claims: Mapping[str, float]) -> None:
    """Leave what a run measured beside its notebook, in a record's form but for the tolerances."""
    rows = {name: {"value": value} for name, value in claims.items()}
    _write(path, notebook=notebook, claims=rows)


def _write(path: Path, *, notebook: Notebook, claims: Mapping[str, Mapping[str, float]]) -> None:
    run = notebook["metadata"]["vae_course"]
    record = {
        "profile": run["parameters"]["profile"],
        "chapter": path.name.split(".")[0],
        **{key: run[key] for key in ("hardware", "versions", "date", "seconds", "peak_memory_mb")},
        "claims": claims,
    }
    write_whole(path, json.dumps(record, indent=2, ensure_ascii=False) + "\n")


def _listed(names: Any) -> str:
    return ", ".join(f"'{name}'" for name in names) or "none"


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
    problems = find_problems(notebook)
    try:
        claims = harvest(notebook)
        metrics = project.executed(chapter, profile=profile).with_suffix(".metrics.json")
        write_metrics(metrics, notebook=notebook, claims=claims)
        path = project.record(chapter, profile=profile)
        if profile == Profile.SMOKE or not path.exists():
            notice = _no_record(chapter, profile=profile) if profile != Profile.SMOKE else ""
            return Review(problems=tuple(problems), notice=notice if claims else "")
        recorded = read_record(path)
    except ChapterError as error:
        return Review(problems=(*problems, str(error)))
    drift = drift_of(claims, recorded)
    if unmatched := mismatches(claims, recorded):
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


def record_chapter(path: Path, *, notebook: Notebook, tolerances: Mapping[str, float]) -> list[str]:
    """Write a chapter's record and say, claim by claim, what changed in it.

    Raises `ChapterError`, and writes nothing, when a claim would be without a tolerance.
    """
    old = read_record(path) if path.exists() else {}
    new = write_record(path, notebook=notebook, tolerances=tolerances)
    lines = [f"{path.parent.name}/{path.name}: {len(new)} claims"]
    for name in [*new, *(name for name in old if name not in new)]:
        if old.get(name) != new.get(name):
            lines.append(f"  {name}: {_shown(old.get(name))} → {_shown(new.get(name))}")
    return lines


def _shown(claim: Recorded | None) -> str:
    return f"{claim.value:.6g} ± {claim.tolerance:.6g}" if claim else "none"
