"""Measured claims: harvested from executed chapters, kept run by run in results/."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vae_course.chapters.notebooks import ChapterError, Notebook, numbered_cells
from vae_course.claims import CLAIMS_MIME, Relation
from vae_course.files import write_whole

DIGITS = 6  # that a record keeps of a value


@dataclass(frozen=True)
class Harvest:
    """The claims of one executed chapter, in its order: their values, and what the text says."""

    values: dict[str, float] = field(default_factory=dict)
    says: dict[str, Relation] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """One recorded run: under which seed, on what, when, and the value of every claim."""

    seed: int
    machine: Mapping[str, Any]
    date: str
    seconds: float
    peak_memory_mb: float | None
    values: Mapping[str, float]


@dataclass(frozen=True)
class Record:
    """All recorded runs of a chapter in one profile.

    `key` is that of the code and parameters they ran with, `says` what the text says of claims.
    """

    key: str = ""
    says: Mapping[str, Relation] = field(default_factory=dict)
    runs: Sequence[Run] = ()

    def values(self, name: str) -> list[float]:
        """Return the values of a claim in the order of the runs."""
        return [run.values[name] for run in self.runs]

    def names(self) -> list[str]:
        """Return the names of the claims, the same in every run."""
        return list(self.runs[0].values) if self.runs else []

    def margins(self, name: str, relation: Relation) -> list[float]:
        """By how much each run bears a relation out, a negative number where it contradicts it.

        Raises:
            KeyError: the runs lack a claim that it is about.
        """
        return [relation.margin(run.values[name], run.values) for run in self.runs]

    def bearing_out(self, name: str, relation: Relation) -> int:
        """How many of the runs bear a relation out."""
        return sum(relation.holds(run.values[name], run.values) for run in self.runs)


def harvest(notebook: Notebook) -> Harvest:
    """Collect every claim that an executed chapter shows.

    Raises `ChapterError` for a value that is not a finite number, for a name used twice, and for a
    relation to a claim that the chapter does not make.
    """
    found = Harvest()
    for number, cell in numbered_cells(notebook):
        for output in cell.get("outputs", []):
            made = output.get("data", {}).get(CLAIMS_MIME, {})
            if not isinstance(made, dict) or not all(isinstance(c, dict) for c in made.values()):
                raise ChapterError(f"cell {number}: what it shows as claims is no table of claims")
            for name, claim in made.items():
                what = f"cell {number}: claim '{name}'"
                if name in found.values:
                    raise ChapterError(f"{what} is made twice")
                found.values[name] = _finite(claim.get("value"), what=what)
                if "says" in claim:
                    found.says[name] = _relation(claim["says"], what=what)
    _check_relations(found, what="the chapter")
    return found


def read_record(path: Path) -> Record:
    """Read the recorded runs of a chapter; `ChapterError` names what is wrong in the file."""
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        machines = plain["machines"]
        runs = [
            Run(
                seed=run["seed"],
                machine=machines[run["machine"]],
                date=run["date"],
                seconds=_finite(run["seconds"], what="seconds"),
                peak_memory_mb=run["peak_memory_mb"],
                values={
                    name: _finite(value, what=f"{path.name}: value of '{name}'")
                    for name, value in run["claims"].items()
                },
            )
            for run in plain["runs"]
        ]
        says = {
            name: _relation(said, what=f"{path.name}: '{name}'")
            for name, said in plain["says"].items()
        }
        record = Record(str(plain["key"]), says, tuple(runs))
        if any(run.values.keys() != runs[0].values.keys() for run in runs):
            raise ChapterError(f"{path}: its runs do not make the same claims")
        if runs:
            _check_relations(Harvest(dict(runs[0].values), says), what=str(path))
    except ChapterError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ChapterError(f"{path} is not a record of runs: {error!r:.300}") from error
    return record


def write_record(path: Path, record: Record) -> None:
    """Write a record, a line a machine, a relation and a run, so that a new run is a new line."""
    machines: list[Mapping[str, Any]] = []
    runs = []
    for run in record.runs:
        if run.machine not in machines:
            machines.append(run.machine)
        values = {name: rounded(value) for name, value in run.values.items()}
        plain = {"seed": run.seed, "machine": str(machines.index(run.machine)), "date": run.date}
        plain |= {"seconds": run.seconds, "peak_memory_mb": run.peak_memory_mb}
        runs.append(_line(plain | {"claims": values}))
    text = {
        "profile": _line(path.parent.name),
        "chapter": _line(path.stem),
        "key": _line(record.key),
        "machines": _block({str(i): _line(machine) for i, machine in enumerate(machines)}),
        "says": _block({name: _line(said.to_json()) for name, said in record.says.items()}),
        "runs": "[\n  " + ",\n  ".join(runs) + "\n ]" if runs else "[]",
    }
    write_whole(path, _block(text, indent="") + "\n")


def rounded(value: float) -> float:
    """Round a value to the digits that a record keeps; a count stays whole."""
    return value if isinstance(value, int) else float(f"{value:.{DIGITS}g}")


def added(record: Record, run: Run, *, key: str, says: Mapping[str, Relation]) -> Record:
    """Add a run; those of other code, or of the same seed on the same machine, give way."""
    kept = [
        old
        for old in (record.runs if record.key == key else ())
        if (old.seed, old.machine) != (run.seed, run.machine)
        and old.values.keys() == run.values.keys()
    ]
    in_order = sorted([*kept, run], key=lambda each: (each.seed, each.date))
    return replace(record, key=key, says=dict(says), runs=tuple(in_order))


def run_of(notebook: Notebook, values: Mapping[str, float]) -> Run:
    """Make the recorded run of an executed chapter."""
    made = notebook["metadata"]["vae_course"]
    return Run(
        seed=made["parameters"].get("seed", 0),
        machine={**made["hardware"], "versions": made["versions"]},
        date=made["date"],
        seconds=made["seconds"],
        peak_memory_mb=made["peak_memory_mb"],
        values=dict(values),
    )


def write_metrics(path: Path, *, notebook: Notebook, values: Mapping[str, float]) -> None:
    """Leave what a run measured beside its notebook, machine-readable."""
    run = run_of(notebook, values)
    plain = {
        "profile": notebook["metadata"]["vae_course"]["parameters"]["profile"],
        "chapter": path.name.split(".")[0],
        **{name: value for name, value in vars(run).items() if name != "values"},
        "claims": run.values,
    }
    write_whole(path, json.dumps(plain, indent=1, ensure_ascii=False) + "\n")


def _block(lines: Mapping[str, str], indent: str = " ") -> str:
    rows = [f"{indent} {json.dumps(name)}: {line}" for name, line in lines.items()]
    return "{\n" + ",\n".join(rows) + f"\n{indent}}}" if rows else "{}"


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _relation(plain: Any, *, what: str) -> Relation:
    try:
        return Relation.from_json(plain)
    except (ValueError, TypeError, AttributeError, KeyError, OverflowError) as error:
        raise ChapterError(f"{what}: {plain!r:.100} is no relation: {error}") from error


def _check_relations(found: Harvest, *, what: str) -> None:
    for name, relation in found.says.items():
        try:
            relation.margin(found.values[name], found.values)
        except KeyError as error:
            raise ChapterError(
                f"{what} says something of claim '{name}' and {error}, and makes no such claim"
            ) from None


def _finite(value: Any, *, what: str) -> float:
    if isinstance(value, int | float):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isfinite(number):
            return int(value) if isinstance(value, int) else number
    raise ChapterError(f"{what} is {value!r:.100}, not a finite number")
