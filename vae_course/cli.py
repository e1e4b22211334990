"""The `vae-course` command: run, check and render the chapters."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

try:
    import typer
    from rich.console import Console
except ModuleNotFoundError as missing:
    raise SystemExit(
        f'The vae-course command needs {missing.name}: pip install "vae-course[book]"'
    ) from None

from vae_course.chapters.notebooks import ChapterError
from vae_course.chapters.project import Chapter, Profile, Project, find_project

if TYPE_CHECKING:
    from vae_course.chapters.run import Result

app = typer.Typer(
    help="Run, check and render the chapters of the book.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help is there in half the time
)

Chapters = Annotated[
    list[str] | None,
    typer.Argument(metavar="[CHAPTER]...", help="Such as 9 or 09_training_a_vae; default: all."),
]
ProfileOption = Annotated[Profile, typer.Option(help="How much is computed.")]
Jobs = Annotated[
    int | None,
    typer.Option(min=1, help="Chapters at once; default: one a core, or one with a GPU."),
]
Strict = Annotated[bool, typer.Option("--strict", help="Drift of a claim is an error.")]
CellTimeout = Annotated[int, typer.Option(min=1, help="Seconds that one cell may take.")]


@app.command()
def run(
    chapters: Chapters = None,
    profile: ProfileOption = Profile.QUICK,
    jobs: Jobs = None,
    cell_timeout: CellTimeout = 600,
    strict: Strict = False,
) -> None:
    """Execute the chapters that changed; check figures and claims of all of them."""
    with _clean_errors():
        project, chosen = _select(chapters)
        results = _run(project, chosen, profile=profile, jobs=jobs, cell_timeout=cell_timeout)
    _exit(results, strict=strict)


@app.command()
def book(
    profile: ProfileOption = Profile.QUICK,
    jobs: Jobs = None,
    cell_timeout: CellTimeout = 600,
    strict: Strict = False,
) -> None:
    """Run all chapters, then render the book."""
    start = time.perf_counter()
    with _clean_errors():
        project, chosen = _select(None)
        results = _run(project, chosen, profile=profile, jobs=jobs, cell_timeout=cell_timeout)
        if any(result.outcome.failure for result in results):
            _complain("The book is not rendered, as not every chapter ran.")
            raise typer.Exit(1)
        ran = time.perf_counter()
        page = _render(project, profile)
    done = time.perf_counter()
    _say(f"chapters {ran - start:.1f} s, rendering {done - ran:.1f} s")
    _say(f"The book is at {page}")
    _exit(results, strict=strict)


@app.command()
def record(
    chapters: Chapters = None,
    profile: ProfileOption = Profile.QUICK,
    tolerance: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="How far a claim may be off; again for each."),
    ] = None,
) -> None:
    """Record what the executed chapters claim in results/; tolerances stay unless given."""
    from vae_course.chapters.records import record_chapter, tolerances_of
    from vae_course.chapters.run import up_to_date

    with _clean_errors():
        project, chosen = _select(chapters)
        tolerances = tolerances_of(tolerance or [], chapters=chosen)
        for chapter in chosen:
            path = project.record(chapter, profile=profile)
            notebook = up_to_date(project, chapter, profile=profile)
            for line in record_chapter(path, notebook=notebook, tolerances=tolerances):
                _say(line)


@app.command()
def prepare(chapters: Chapters = None, profile: ProfileOption = Profile.SMOKE) -> None:
    """Write copies for nbval into _build/nbval, without executing anything."""
    from vae_course.chapters.run import prepare as prepare_copies

    with _clean_errors():
        project, chosen = _select(chapters)
        for path in prepare_copies(project, chosen, profile=profile):
            _say(str(path.relative_to(project.root)))


def _select(words: list[str] | None) -> tuple[Project, list[Chapter]]:
    project = find_project(Path.cwd())
    return project, project.select(words or [])


def _run(
    project: Project, chapters: list[Chapter], *, profile: str, jobs: int | None, cell_timeout: int
) -> "list[Result]":
    """Run and report."""
    from vae_course.chapters import report
    from vae_course.chapters.run import run_chapters

    console = Console()
    with report.watching(console) as watch:
        results = run_chapters(
            project, chapters, profile=profile, jobs=jobs, cell_timeout=cell_timeout, watch=watch
        )
    report.show_results(console, results)
    return results


def _exit(results: "list[Result]", *, strict: bool) -> None:
    """End with 1 if something is wrong; drift alone is wrong only under --strict."""
    good = all(result.good and not (strict and result.review.drift) for result in results)
    raise typer.Exit(0 if good else 1)


def _render(project: Project, profile: str) -> Path:
    from vae_course.chapters.render import RenderError, render_book

    try:
        return render_book(profile, project.root)
    except RenderError as error:
        raise ChapterError(str(error)) from error


@contextmanager
def _clean_errors() -> Iterator[None]:
    """Turn what the user can mend into a message; anything else keeps its traceback."""
    try:
        yield
    except ChapterError as error:
        _complain(str(error))
        raise typer.Exit(2) from None
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("vae_course"):
            raise
        _complain(f'This command needs {error.name}: pip install "vae-course[book]"')
        raise typer.Exit(2) from None


def _say(text: str) -> None:
    Console().print(text, markup=False, highlight=False, soft_wrap=True)


def _complain(text: str) -> None:
    Console(stderr=True).print(
        text, style="bold red", markup=False, highlight=False, soft_wrap=True
    )
