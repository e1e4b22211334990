import io

from rich.console import Console

from vae_course.chapters.execution import Failure, Outcome
from vae_course.chapters.report import show_results, watching
from vae_course.chapters.review import Review
from vae_course.chapters.run import Result


def said(*, terminal):
    """What a run of two chapters, one of them up to date, writes while it goes on."""
    console = Console(file=io.StringIO(), force_terminal=terminal, width=80)
    with watching(console) as watch:
        watch.ended(Outcome(chapter="01_old", executed=False, seconds=3.0))
        watch.started("02_new")
        watch.ended(Outcome(chapter="02_new", executed=True, failure=Failure(message="no luck")))
    return console.file.getvalue()


def test_a_log_gets_plain_lines():
    assert said(terminal=False) == "01_old: up to date\n02_new: started\n02_new: FAILED\n"


def test_a_terminal_gets_a_live_line_for_each_chapter():
    last = said(terminal=True).rsplit("\x1b[2K", 1)[-1]
    old, new = (line for line in last.splitlines() if "0_" not in line and ":" in line)
    assert "01_old" in old and "up to date" in old
    assert "02_new" in new and "FAILED" in new


def test_long_lines_and_brackets_of_a_traceback_stay_as_they_are():
    trace = "[red]not markup[/red] " + 100 * "x" + "\x1b[31m!\x1b[0m"
    outcome = Outcome(
        chapter="01", executed=True, failure=Failure(message="m", cell=3, traceback=trace)
    )
    console = Console(file=io.StringIO(), width=80)
    show_results(console, [Result(outcome, Review())], wall=1.0)
    assert "[red]not markup[/red] " + 100 * "x" + "!\n" in console.file.getvalue()
