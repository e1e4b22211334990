"""What a run says: live lines in a terminal, plain ones in a log, a table at the end."""

import statistics
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from vae_course.chapters.execution import Outcome
from vae_course.chapters.review import Review, machines
from vae_course.chapters.run import Result, Watch
from vae_course.chapters.sweep import Swept


class _Lines(Watch):
    """Plain lines, for a log."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def started(self, chapter: str) -> None:
        say(self.console, f"{chapter}: started")

    def ended(self, outcome: Outcome) -> None:
        say(self.console, f"{outcome.chapter}: {_state(outcome)}")

    def noted(self, sentence: str) -> None:
        say(self.console, sentence)


class _Live(Watch):
    """A line a running chapter, for a terminal."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.tasks: dict[str, TaskID] = {}

    def started(self, chapter: str) -> None:
        self.tasks[chapter] = self.progress.add_task(chapter, total=1, state="running")

    def ended(self, outcome: Outcome) -> None:
        if outcome.chapter not in self.tasks:
            self.started(outcome.chapter)
        self.progress.update(self.tasks[outcome.chapter], completed=1, state=_state(outcome))

    def noted(self, sentence: str) -> None:
        say(self.progress.console, sentence)


@contextmanager
def watching(console: Console) -> Iterator[Watch]:
    """Give the watch that suits the console."""
    if not console.is_terminal:
        yield _Lines(console)
        return
    columns = (
        SpinnerColumn(finished_text=" "),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[state]}"),
    )
    with Progress(*columns, console=console) as progress:
        yield _Live(progress)


def say(console: Console, text: str, *, style: str = "") -> None:
    """Print one line as it is, however long."""
    console.print(Text.from_ansi(text, style=style), soft_wrap=True)


def show_results(console: Console, results: Sequence[Result], *, wall: float) -> None:
    """Print every problem by chapter and cell, then the table, then what the marks mean."""
    for result in results:
        _show_failure(console, result.outcome)
        for style, label, sentences in _marked(result.review):
            for sentence in sentences:
                say(console, f"{result.outcome.chapter}: {label}{sentence}", style=style)
    console.print(_table(results))
    show_speed(console, [r.outcome for r in results if r.outcome.executed], wall=wall)
    reviews = [result.review for result in results]
    if any(review.drift for review in reviews):
        say(console, DRIFT_MEANS, style="bold yellow")
    if any(review.contradicted for review in reviews):
        say(console, CONTRADICTED_MEANS, style="bold yellow")


def show_speed(console: Console, executed: Sequence[Outcome], *, wall: float) -> None:
    """Say how much was gained by running several at once, and what no gain can go below."""
    seconds = [outcome.seconds for outcome in executed if outcome.seconds]
    if len(seconds) > 1:
        say(
            console,
            f"{len(seconds)} runs took {sum(seconds):.0f} s together and {wall:.0f} s at the "
            f"clock: {sum(seconds) / wall:.1f} times as fast as one by one; the longest alone "
            f"(the critical path) takes {max(seconds):.0f} s",
        )


def show_sweep(console: Console, swept: Sequence[Swept], *, wall: float) -> None:
    """Print what failed and which sentences the runs do not bear out, then the records."""
    for one in swept:
        for outcome in one.failed:
            _show_failure(console, outcome)
        for sentence in one.doubtful:
            say(console, f"{one.chapter}: {sentence}", style="bold yellow")
    table = Table("chapter", title_justify="left")
    for heading in ("claims", "runs", "new", "failed", "machines", "median s"):
        table.add_column(heading, justify="right")
    for one in swept:
        runs = one.record.runs
        seconds = f"{statistics.median(run.seconds for run in runs):.1f}" if runs else ""
        counts = [len(one.record.names()), len(runs), len(one.added), len(one.failed)]
        table.add_row(one.chapter, *map(str, [*counts, len(machines(one.record))]), seconds)
    console.print(table)
    show_speed(console, [run for one in swept for run in one.added], wall=wall)


DRIFT_MEANS = (
    "DRIFT: luck alone explains these values in one good book of a thousand. Another machine or "
    "version may; so may an error. Read what the text says of them; --strict makes this an error."
)
CONTRADICTED_MEANS = (
    "AGAINST THE TEXT: in this run the sentence is not true. Where the recorded runs do not make "
    "that unlikely it is luck, and the page shows it; else it counts as REFUTED."
)


def _marked(review: Review) -> list[tuple[str, str, Sequence[str]]]:
    """What a review has to say, with its color and its name."""
    by_luck = [sentence for sentence in review.contradicted if sentence not in review.refuted]
    return [
        ("red", "", review.problems),
        ("bold yellow", "DRIFT: ", review.drift),
        ("bold yellow", "REFUTED: ", review.refuted),
        ("yellow", "AGAINST THE TEXT: ", by_luck),
        ("yellow", "", review.doubtful),
        ("bold yellow", "", [review.notice] if review.notice else []),
    ]


def _show_failure(console: Console, outcome: Outcome) -> None:
    if failure := outcome.failure:
        where = f"cell {failure.cell} `{failure.excerpt}`" if failure.cell else "no cell was run"
        say(console, f"{outcome.chapter}: FAILED: {where}: {failure.message}", style="bold red")
        if failure.traceback:
            say(console, failure.traceback)


def _table(results: Sequence[Result]) -> Table:
    table = Table("chapter", title_justify="left")
    for heading in ("seconds", "peak MB", "held", "drift", "against"):
        table.add_column(heading, justify="right")
    table.add_column("state")
    for result in results:
        outcome, judged = result.outcome, result.review
        table.add_row(
            outcome.chapter,
            "" if outcome.seconds is None else f"{outcome.seconds:.1f}",
            "" if outcome.peak_memory_mb is None else f"{outcome.peak_memory_mb:,.0f}",
            str(judged.held),
            str(len(judged.drift)),
            str(len(judged.contradicted)),
            _judged(result),
        )
    return table


def _judged(result: Result) -> str:
    if result.outcome.failure or (result.good and not _marked_at_all(result.review)):
        return _state(result.outcome)
    if not result.good:
        return "WRONG"
    return "DRIFT" if result.review.drift else "REFUTED" if result.review.refuted else "against"


def _marked_at_all(review: Review) -> bool:
    return bool(review.drift or review.contradicted)


def _state(outcome: Outcome) -> str:
    if outcome.failure:
        return "FAILED"
    return "executed" if outcome.executed else "up to date"
