"""The `vae-course` command: run, check and render the chapters."""

import signal
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from vae_course.chapters import ADVICE

try:
    import typer
    from rich.console import Console
except ModuleNotFoundError as missing:
    raise SystemExit(f"The vae-course command needs {missing.name}: {ADVICE}") from None

from vae_course.chapters.notebooks import ChapterError
from vae_course.chapters.project import Chapter, Profile, Project, find_project

if TYPE_CHECKING:
    from vae_course.chapters.cluster import Cluster
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
Strict = Annotated[
    bool, typer.Option("--strict", help="What luck does not explain is an error: drift, and more.")
]
Scheduler = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="A Dask scheduler, tcp://host:8786: run on its workers."),
]
CellTimeout = Annotated[int, typer.Option(min=1, help="Seconds that one cell may take.")]


@app.command()
def run(
    chapters: Chapters = None,
    profile: ProfileOption = Profile.QUICK,
    jobs: Jobs = None,
    cell_timeout: CellTimeout = 600,
    strict: Strict = False,
    scheduler: Scheduler = None,
) -> None:
    """Execute the chapters that changed; check figures and claims of all of them."""
    with _clean_errors(), _workers(scheduler) as cluster:
        project, chosen = _select(chapters)
        with _held(project, profile):
            results = _run(project, chosen, profile, jobs, cell_timeout, cluster)
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
        with _held(project, profile):
            results = _run(project, chosen, profile, jobs, cell_timeout, None)
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
def sweep(
    chapters: Chapters = None,
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each chapter: seeds 0 to N − 1.")] = 16,
    profile: ProfileOption = Profile.QUICK,
    jobs: Jobs = None,
    cell_timeout: CellTimeout = 600,
    scheduler: Scheduler = None,
) -> None:
    """Run chapters under many seeds and record every run in results/; resumes where it stopped."""
    from vae_course.chapters import report
    from vae_course.chapters.sweep import sweep_chapters

    start, console = time.perf_counter(), Console()
    with _clean_errors(), _workers(scheduler) as cluster:
        project, chosen = _select(chapters)
        with _held(project, profile), report.watching(console) as watch:
            swept = sweep_chapters(
                project,
                chosen,
                profile=profile,
                seeds=seeds,
                jobs=jobs,
                cell_timeout=cell_timeout,
                cluster=cluster,
                watch=watch,
            )
    report.show_sweep(console, swept, wall=time.perf_counter() - start)
    raise typer.Exit(1 if any(one.failed for one in swept) else 0)


@app.command()
def prepare(chapters: Chapters = None, profile: ProfileOption = Profile.SMOKE) -> None:
    """Write copies for nbval into _build/nbval, without executing anything."""
    from vae_course.chapters.run import prepare as prepare_copies

    with _clean_errors():
        project, chosen = _select(chapters)
        for path in prepare_copies(project, chosen, profile=profile):
            _say(str(path.relative_to(project.root)))


@app.command()
def strip(
    chapters: Chapters = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Change nothing; exit with 1 if something would.")
    ] = False,
) -> None:
    """Leave in the masters only the outputs that nbval checks."""
    from vae_course.chapters.notebooks import read_notebook, stripped, written
    from vae_course.files import write_whole

    changed = []
    with _clean_errors():
        project, chosen = _select(chapters)
        given = [chapter.source for chapter in chosen]
        for path in given if chapters else sorted(project.book.glob("*.ipynb")):
            text = written(stripped(read_notebook(path)))
            if text != path.read_text(encoding="utf-8"):
                changed.append(path)
                if not verify:
                    write_whole(path, text)
    for path in changed:
        _say(f"{path.name}: {'run `vae-course strip`' if verify else 'stripped'}")
    raise typer.Exit(1 if verify and changed else 0)


def _held(project: Project, profile: str) -> AbstractContextManager[None]:
    from vae_course.chapters.lock import held

    return held(project, profile=profile, say=_say)


def _select(words: list[str] | None) -> tuple[Project, list[Chapter]]:
    project = find_project(Path.cwd())
    return project, project.select(words or [])


def _run(
    project: Project,
    chapters: list[Chapter],
    profile: str,
    jobs: int | None,
    cell_timeout: int,
    cluster: "Cluster | None",
) -> "list[Result]":
    """Run and report."""
    from vae_course.chapters import report
    from vae_course.chapters.run import run_chapters

    start, console = time.perf_counter(), Console()
    with report.watching(console) as watch:
        results = run_chapters(
            project,
            chapters,
            profile=profile,
            jobs=jobs,
            cell_timeout=cell_timeout,
            cluster=cluster,
            watch=watch,
        )
    report.show_results(console, results, wall=time.perf_counter() - start)
    return results


@contextmanager
def _workers(address: str | None) -> "Iterator[Cluster | None]":
    """Connect to a cluster, if one is named."""
    if address is None:
        yield None
        return
    from vae_course.chapters.cluster import connected

    with connected(address) as found:
        yield found


def _exit(results: "list[Result]", *, strict: bool) -> None:
    """End with 1 if something is broken; under --strict also for what luck does not explain."""
    good = all(result.good and (result.review.strictly_good or not strict) for result in results)
    raise typer.Exit(0 if good else 1)


def _render(project: Project, profile: str) -> Path:
    from vae_course.chapters.render import RenderError, render_book

    try:
        return render_book(profile, project.root)
    except RenderError as error:
        raise ChapterError(str(error)) from error


class _Terminated(KeyboardInterrupt):
    """A SIGTERM, which ends a command as a Ctrl-C does."""


def _terminate(_number: int, _frame: object) -> None:
    raise _Terminated


@contextmanager
def _stoppable() -> Iterator[None]:
    """Hear SIGINT (which a shell's background job would ignore) and SIGTERM."""
    handlers = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: _terminate}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _clean_errors() -> Iterator[None]:
    """Turn what the user did or can mend into a message; anything else keeps its traceback."""
    try:
        with _stoppable():
            yield
    except KeyboardInterrupt as stop:
        _complain("stopped; what is executed stays, and the next run goes on from there")
        raise typer.Exit(143 if isinstance(stop, _Terminated) else 130) from None
    except ChapterError as error:
        _complain(str(error))
        raise typer.Exit(2) from None
    except OSError as error:
        _complain(f"{error.filename or 'a file'}: {error.strerror or error}")
        raise typer.Exit(2) from None
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("vae_course"):
            raise
        _complain(f"This command needs {error.name}: {ADVICE}")
        raise typer.Exit(2) from None


def _say(text: str) -> None:
    Console().print(text, markup=False, highlight=False, soft_wrap=True)


def _complain(text: str) -> None:
    Console(stderr=True).print(
        text, style="bold red", markup=False, highlight=False, soft_wrap=True
    )
