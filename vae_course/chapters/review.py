"""What a run says beside the recorded ones: drift, contradicted sentences, and what is broken."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from vae_course.chapters.keys import record_key
from vae_course.chapters.notebooks import ChapterError, Notebook, find_problems, read_notebook
from vae_course.chapters.project import Chapter, Profile, Project, load_profiles, parameters_of
from vae_course.chapters.records import (
    Harvest,
    Record,
    harvest,
    read_record,
    rounded,
    write_metrics,
)
from vae_course.chapters.spread import FAMILY, FEWEST, interval, median_and_range
from vae_course.claims import CLAIMS_MIME, claims_rows, format_number, table_html

NINE_OF_TEN = 0.9


@dataclass(frozen=True)
class Review:
    """How many claims hold, and a sentence for each thing that a reader should know.

    Attributes:
        held: claims inside their recorded range, whose relations hold.
        drift: values that luck does not explain. Another machine or version may do that, or an
            error.
        contradicted: relations that do not hold in this run. That may be luck.
        refuted: those of them that luck does not explain.
        doubtful: relations that fewer than nine of ten recorded runs bear out.
        problems: what is broken: a bare picture, a claim that is missing.
        notice: what keeps claims from being compared; empty if they are.
    """

    held: int = 0
    drift: tuple[str, ...] = ()
    contradicted: tuple[str, ...] = ()
    refuted: tuple[str, ...] = ()
    doubtful: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    notice: str = ""

    @property
    def strictly_good(self) -> bool:
        """Whether nothing is wrong that CI and publishing would stop at."""
        return not (self.drift or self.refuted or self.doubtful or self.problems)


def review_chapter(
    project: Project, chapter: Chapter, *, profile: str, notebook: Notebook, alpha: float
) -> Review:
    """Look at an executed chapter; `smoke` runs are too short for their claims to be compared.

    `alpha` is the probability with which a good value is called wrong (`false_alarm`).
    """
    problems = find_problems(notebook)
    try:
        made = harvest(notebook)
        metrics = project.executed(chapter, profile=profile).with_suffix(".metrics.json")
        write_metrics(metrics, notebook=notebook, values=made.values)
        if profile == Profile.SMOKE or not made.values:
            return Review(problems=tuple(problems))
        path = project.record(chapter, profile=profile)
        record = read_record(path) if path.exists() else Record()
        if notice := _notice(project, chapter, profile, record):
            return Review(problems=tuple(problems), notice=notice)
    except ChapterError as error:
        return Review(problems=(*problems, str(error)))
    judged = compare(made, record, alpha=alpha, problems=problems)
    if len(record.runs) < FEWEST:
        few = f"DRIFT IS NOT JUDGED: {len(record.runs)} runs are recorded, and {FEWEST} are needed"
        return replace(judged, notice=f"{few}: vae-course sweep {chapter.name} --profile {profile}")
    return judged


def compare(made: Harvest, record: Record, *, alpha: float, problems: Sequence[str] = ()) -> Review:
    """Compare what a run made with the recorded runs."""
    problems = [*problems, *_unmatched(made, record)]
    drift = {n: s for n in made.values if (s := _drift(n, made, record, alpha))}
    contradicted = {n: s for n in made.says if (s := _contradiction(n, made, record))}
    refuted = [s for n, s in contradicted.items() if _beyond_luck(n, made, record, alpha)]
    return Review(
        held=len(made.values) - len(drift.keys() | contradicted.keys()),
        drift=tuple(drift.values()),
        contradicted=tuple(contradicted.values()),
        refuted=tuple(refuted),
        doubtful=tuple(doubts(made, record)),
        problems=tuple(problems),
    )


def false_alarm(project: Project, *, profile: str) -> float:
    """Share out the family's rate: 0.001 over all claims and relations of the recorded book."""
    count = 0
    for chapter in project.chapters():
        path = project.record(chapter, profile=profile)
        if path.exists():
            record = read_record(path)
            count += len(record.names()) + len(record.says)
    return FAMILY / max(count, 1)


def doubts(made: Harvest, record: Record) -> list[str]:
    """Name the relations that fewer than nine of ten recorded runs bear out."""
    said = []
    for name, relation in made.says.items():
        try:
            held, count = record.bearing_out(name, relation), len(record.runs)
        except KeyError:  # a claim that the record does not have, which is said elsewhere
            continue
        if held < NINE_OF_TEN * count:
            said.append(
                f"claim '{name}': the text says {relation.words({})}, which {held} of {count} "
                "recorded runs bear out: change the sentence, or say that it is undecided"
            )
    return said


def current_record(project: Project, chapter: Chapter, *, profile: str) -> Record | None:
    """Return a chapter's record, if there is one of its code and parameters as they stand."""
    path = project.record(chapter, profile=profile)
    if not path.exists():
        return None
    record = read_record(path)
    current = record.key == recorded_key(project, chapter, profile=profile)
    return record if record.runs and current else None


def recorded_key(project: Project, chapter: Chapter, *, profile: str) -> str:
    """Return the key that runs of a chapter as it stands are recorded under."""
    parameters = parameters_of(chapter, profile=profile, profiles=load_profiles(project))
    return record_key(notebook=read_notebook(chapter.source), parameters=parameters)


def annotate(notebook: Notebook, record: Record, *, alpha: float) -> None:
    """Show, in each table of claims, the recorded range beside this run's value, and what drifts.

    Changes the notebook, which is a copy that the book is rendered from.
    """
    made = harvest(notebook)
    judged = {
        name: " and ".join(
            word
            for word, said in (
                ("drifts", _drift(name, made, record, alpha)),
                ("contradicts the text", name in made.says and _contradiction(name, made, record)),
            )
            if said
        )
        for name in made.values
    }
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            claims = output.get("data", {}).get(CLAIMS_MIME)
            if claims:
                output["data"]["text/html"] = _table(claims, record, judged)


def machines(record: Record) -> list[str]:
    """Name the kinds of machine that a record's runs are from."""
    named = {run.machine.get("gpu") or run.machine.get("cpu", "?"): None for run in record.runs}
    return list(named)


def _table(claims: dict[str, Any], record: Record, judged: dict[str, str]) -> str:
    headings, rows = claims_rows(claims)
    marks = [judged[name] for name in claims]
    known = [_range(name, record) for name in claims]
    heads = [*headings[:3], "recorded: median (5–95\N{NO-BREAK SPACE}%)", *headings[3:]]
    body = [[*row[:3], shown, *row[3:]] for row, shown in zip(rows, known, strict=True)]
    if any(marks):
        heads.append("this run")
        body = [[*row, mark] for row, mark in zip(body, marks, strict=True)]
    kinds = machines(record)
    counted = f"{len(record.runs)} runs on {len(kinds)} kind{'s' * (len(kinds) != 1)} of machine"
    return table_html(heads, body, note=f"Recorded: {counted} ({', '.join(kinds)}).")


def _range(name: str, record: Record) -> str:
    if name not in record.names():
        return ""
    median, low, high = (format_number(point) for point in median_and_range(record.values(name)))
    return median if low == high else f"{median} ({low} to {high})"


def _notice(project: Project, chapter: Chapter, profile: str, record: Record) -> str:
    """Say why this chapter's claims cannot be compared, if so."""
    sweep = f"vae-course sweep {chapter.name} --profile {profile}"
    if not record.runs:
        return f"NOT COMPARED: there are no recorded runs in the {profile} profile: {sweep}"
    if record.key != recorded_key(project, chapter, profile=profile):
        return (
            "NOT COMPARED: its code or its parameters have changed since its runs were recorded: "
            f"{sweep}"
        )
    return ""


def _unmatched(made: Harvest, record: Record) -> list[str]:
    """Name the claims that only the chapter makes and those that only the record has."""
    new = [
        f"claim '{name}' = {value:.6g} is not recorded, and the chapter's code is"
        for name, value in made.values.items()
        if name not in record.names()
    ]
    gone = [name for name in record.names() if name not in made.values]
    return new + [f"claim '{name}' is recorded, and this run does not make it" for name in gone]


def _drift(name: str, made: Harvest, record: Record, alpha: float) -> str:
    """Say that a value is further away than luck explains, with the numbers; or nothing."""
    if name not in record.names():
        return ""
    value, values = rounded(made.values[name]), record.values(name)
    reach = interval(values, alpha)
    if reach is None or reach[0] <= value <= reach[1]:
        return ""
    median, low, high = median_and_range(values)
    return (
        f"claim '{name}' is {value:.6g}; {len(values)} recorded runs have {median:.6g} "
        f"({low:.6g} to {high:.6g}), and luck reaches from {reach[0]:.6g} to {reach[1]:.6g}"
    )


def _contradiction(name: str, made: Harvest, record: Record) -> str:
    """Say that this run contradicts what the text says of a claim, or nothing."""
    relation, value = made.says[name], made.values[name]
    if relation.holds(value, made.values):
        return ""
    try:
        held = record.bearing_out(name, relation)
        known = f"; {held} of {len(record.runs)} recorded runs bear it out"
    except KeyError:
        known = ""
    return f"claim '{name}' is {value:.6g}, and the text says {relation.words({})}{known}"


def _beyond_luck(name: str, made: Harvest, record: Record, alpha: float) -> bool:
    """Whether the recorded margins make a run that contradicts the relation this unlikely."""
    try:
        margins = record.margins(name, made.says[name])
    except KeyError:
        return False
    reach = interval([float(margin) for margin in margins], 2 * alpha)  # one side is asked about
    return reach is not None and reach[0] > 0
