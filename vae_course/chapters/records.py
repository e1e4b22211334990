"""Measured claims: read from executed chapters, compared with results/, recorded there."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vae_course.chapters.errors import ChapterError
from vae_course.chapters.files import Notebook, numbered_cells
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
            for name, claim in output.get("data", {}).get(CLAIMS_MIME, {}).items():
                if name in claims:
                    raise ChapterError(f"cell {number}: claim '{name}' is made twice")
                claims[name] = _finite(claim.get("value"), what=f"cell {number}: claim '{name}'")
    return claims


def _finite(value: Any, *, what: str) -> float:
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise ChapterError(f"{what} is {value!r}, not a finite number")
    return float(value)


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
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise ChapterError(f"{path} is not a record of claims: {error!r}") from error


def _tolerance(value: Any, *, what: str) -> float:
    tolerance = _finite(value, what=f"{what}: its tolerance")
    if tolerance < 0:
        raise ChapterError(f"{what}: its tolerance is {value}, below 0")
    return tolerance


def unmatched(claims: Mapping[str, float], recorded: Mapping[str, Recorded]) -> list[str]:
    """Name the claims that only the chapter makes and those that only the record has."""
    new = [
        f"claim '{name}' = {value:.6g} is not recorded"
        for name, value in claims.items()
        if name not in recorded
    ]
    gone = [name for name in recorded if name not in claims]
    return new + [f"claim '{name}' is recorded, but the chapter does not make it" for name in gone]


def drift(claims: Mapping[str, float], recorded: Mapping[str, Recorded]) -> list[str]:
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
