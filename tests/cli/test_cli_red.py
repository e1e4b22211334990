"""Every way that a chapter can be wrong turns the run red, with a message naming the thing."""

import re

import pytest
from synthetic_book import claims_cell, html_cell, make_project, write_profiles, write_record
from typer.testing import CliRunner

from vae_course.cli import app

DIE = "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"
CHAPTERS = {
    "01_good": [claims_cell({"a": "1.05"}), html_cell('<img alt="a curve" src="x.png">')],
    "02_wrong_claim": [claims_cell({"a": "1.2"})],
    "03_missing_claim": [claims_cell({"a": "1.0"})],
    "04_extra_claim": [claims_cell({"a": "1.0", "b": "2.0"})],
    "05_nan_claim": [claims_cell({"a": "float('nan')"})],
    "06_raises": ["fine = 1", "# the trouble\ndef trouble():\n    return 1 / 0\ntrouble()"],
    "07_slow": ["import time\ntime.sleep(100)"],
    "08_no_alt": [html_cell('<img src="x.png">')],
    "09_bare_picture": ["from IPython.display import SVG\nSVG('<svg xmlns=\"x\"/>')"],
    "10_dies": [DIE],
    "11_unrecorded": [claims_cell({"a": "1.0"})],
}


@pytest.fixture(scope="module")
def red(tmp_path_factory):
    """The result of one run of chapters that are nearly all wrong, each in its own way."""
    project = make_project(tmp_path_factory.mktemp("red") / "course", CHAPTERS)
    for name in ("01_good", "02_wrong_claim", "04_extra_claim", "05_nan_claim"):
        write_record(project, name, a=(1.0, 0.1))
    write_record(project, "03_missing_claim", a=(1.0, 0.1), gone=(1.0, 0.1))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project.root)
        command = ["run", "--jobs", "2", "--cell-timeout", "4"]
        return CliRunner().invoke(app, command, catch_exceptions=False)


def row(output, chapter):
    """The cells of a chapter's row in the table."""
    (line,) = re.findall(rf"^│ {chapter} .*$", output, flags=re.MULTILINE)
    return [cell.strip() for cell in line.strip("│").split("│")]


def test_the_run_is_red_and_the_others_ran(red):
    assert red.exit_code == 1
    chapter, seconds, memory, held, failed, state = row(red.output, "01_good")
    assert (chapter, held, failed, state) == ("01_good", "1", "0", "executed")
    assert float(seconds) > 0 and int(memory) > 20
    assert not re.search("^01_good: (?!started|executed)", red.output, flags=re.MULTILINE)


@pytest.mark.parametrize(
    ("chapter", "message", "state"),
    [
        ("02_wrong_claim", r"DRIFT: claim 'a' is 1.2, recorded is 1 ± 0.1", "DRIFT"),
        ("03_missing_claim", r"claim 'gone' is recorded, but the chapter does not", "WRONG"),
        ("04_extra_claim", r"claim 'b' = 2 is not recorded", "WRONG"),
        ("05_nan_claim", r"cell 3: claim 'a' is .?nan.?, not a finite number", "WRONG"),
        ("06_raises", r"FAILED: cell 4 `# the trouble`: ZeroDivisionError: division", "FAILED"),
        ("07_slow", r"FAILED: cell 3 `import time`: ran longer than the 4 s", "FAILED"),
        ("08_no_alt", r"cell 3: an image has no alt text", "WRONG"),
        ("09_bare_picture", r"cell 3: a bare image/svg\+xml output has no alt text", "WRONG"),
        ("10_dies", r"FAILED: cell 3 `import os, signal`: the kernel died", "FAILED"),
    ],
)
def test_a_chapter_is_named_with_what_is_wrong_in_it(red, chapter, message, state):
    assert re.search(f"^{chapter}: {message}", red.output, flags=re.MULTILINE)
    assert row(red.output, chapter)[-1] == state


def test_what_left_its_record_says_what_to_do(red):
    assert row(red.output, "02_wrong_claim")[3:5] == ["0", "1"]
    assert "DRIFT: claims of 02_wrong_claim left their records" in red.output
    assert "read what the text says of them" in red.output and "--strict" in red.output
    assert row(red.output, "04_extra_claim")[3:5] == ["1", "0"]
    assert "vae-course record 04_extra_claim --profile quick" in red.output


def test_the_traceback_points_at_the_line_and_has_no_terminal_codes(red):
    assert re.search(r"--> 3 +return 1 / 0", red.output)
    assert "\x1b" not in red.output


def test_a_chapter_that_was_never_recorded_is_said_loudly_but_not_red(red):
    assert "11_unrecorded: NOT COMPARED" in red.output
    assert row(red.output, "11_unrecorded")[-1] == "executed"


def test_an_unknown_profile_key_stops_the_run(tmp_path, monkeypatch):
    project = make_project(tmp_path / "course", {"01_good": []})
    write_profiles(project, smoke={"01_good": {"epoch": 1}})
    monkeypatch.chdir(project.root)
    result = CliRunner().invoke(app, ["run", "--profile", "quick"])
    assert result.exit_code == 2
    assert "smoke: 01_good: unknown key 'epoch'; the chapter has: epochs, lr" in result.stderr
    assert not list((project.root / "_build").rglob("*.ipynb"))
