"""What a run says: live lines in a terminal, plain ones in a log, a table at the end."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from vae_course.chapters.execution import Outcome
from vae_course.chapters.run import Result, Watch


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


def show_results(console: Console, results: Sequence[Result]) -> None:
    """Print every problem by chapter and cell, then the table, then what to do about drift."""
    for result in results:
        _show_failure(console, result.outcome)
        for problem in result.review.problems:
            say(console, f"{result.outcome.chapter}: {problem}", style="red")
        for sentence in result.review.drift:
            say(console, f"{result.outcome.chapter}: DRIFT: {sentence}", style="bold yellow")
        if result.review.notice:
            say(console, f"{result.outcome.chapter}: {result.review.notice}", style="bold yellow")
    console.print(_table(results))
    if drifted := [result.outcome.chapter for result in results if result.review.drift]:
        say(
            console,
            f"DRIFT: claims of {', '.join(drifted)} left their records. Another machine or another"
            " version may do that: read what the text says of them. A value that is meant:"
            " vae-course record CHAPTER. --strict makes drift an error.",
            style="bold yellow",
        )


def _show_failure(console: Console, outcome: Outcome) -> None:
    if failure := outcome.failure:
        where = f"cell {failure.cell} `{failure.excerpt}`" if failure.cell else "no cell was run"
        say(console, f"{outcome.chapter}: FAILED: {where}: {failure.message}", style="bold red")
        if failure.traceback:
            say(console, failure.traceback)


def _table(results: Sequence[Result]) -> Table:
    table = Table("chapter", title_justify="left")
    for heading in ("seconds", "peak MB", "claims held", "drifted"):
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
            _judged(result),
        )
    return table


def _judged(result: Result) -> str:
    if result.outcome.failure or (result.good and not result.review.drift):
        return _state(result.outcome)
    return "DRIFT" if result.good else "WRONG"


def _state(outcome: Outcome) -> str:
    if outcome.failure:
        return "FAILED"
    return "executed" if outcome.executed else "up to date"
