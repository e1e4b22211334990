"""Every way that a chapter can be wrong turns the run red, with a message naming the thing."""

import re

import pytest
from synthetic_book import (
    around,
    claims_cell,
    html_cell,
    make_project,
    write_profiles,
    write_record,
)
from typer.testing import CliRunner

from vae_course.claims import above
from vae_course.cli import app

DIE = "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"
CHAPTERS = {
    "01_good": [
        claims_cell({"a": "1.05"}, {"a": above(1)}),
        html_cell('<img alt="a curve" src="x.png">'),
    ],
    "02_wrong_claim": [claims_cell({"a": "3.0"})],
    "03_missing_claim": [claims_cell({"a": "1.0"})],
    "04_extra_claim": [claims_cell({"a": "1.0", "b": "2.0"})],
    "05_nan_claim": [claims_cell({"a": "float('nan')"})],
    "06_raises": ["fine = 1", "# the trouble\ndef trouble():\n    return 1 / 0\ntrouble()"],
    "07_slow": ["import time\ntime.sleep(100)"],
    "08_no_alt": [html_cell('<img src="x.png">')],
    "09_bare_picture": ["from IPython.display import SVG\nSVG('<svg xmlns=\"x\"/>')"],
    "10_dies": [DIE],
    "11_unrecorded": [claims_cell({"a": "1.0"})],
    "12_by_luck": [claims_cell({"a": "1.0"}, {"a": above(1)})],
    "13_refuted": [claims_cell({"a": "1.0"}, {"a": above(1)})],
    "14_stale": [claims_cell({"a": "1.0"})],
    "15_doubtful": [claims_cell({"a": "1.05"}, {"a": above(1)})],
}


@pytest.fixture(scope="module")
def red(tmp_path_factory):
    """The result of one run of chapters that are nearly all wrong, each in its own way."""
    project = make_project(tmp_path_factory.mktemp("red") / "course", CHAPTERS)
    for name in ("01_good", "02_wrong_claim", "04_extra_claim", "05_nan_claim"):
        write_record(project, name, a=around(1.15, 0.1))
    write_record(project, "03_missing_claim", a=around(1.0, 0.1), gone=around(1.0, 0.1))
    write_record(project, "12_by_luck", a=[1.01, 1.5, 1.2, 1.3, 0.9, 1.4, 1.1, 1.2, 1.3, 1.2])
    write_record(project, "13_refuted", a=[1.1, 1.101, 1.1, 1.099, 1.1, 1.1, 1.1, 1.1])
    write_record(project, "14_stale", a=around(1.0, 0.1), key="of other code")
    write_record(project, "15_doubtful", a=around(1.0, 0.1))
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
    chapter, seconds, memory, held, drifted, against, state = row(red.output, "01_good")
    assert (chapter, held, drifted, against, state) == ("01_good", "1", "0", "0", "executed")
    assert float(seconds) > 0 and int(memory) > 20
    assert not re.search("^01_good: (?!started|executed)", red.output, flags=re.MULTILINE)


@pytest.mark.parametrize(
    ("chapter", "message", "state"),
    [
        (
            "02_wrong_claim",
            r"DRIFT: claim 'a' is 3; 8 recorded runs have 1.15 \(1.06 to 1.24\)",
            "DRIFT",
        ),
        ("03_missing_claim", r"claim 'gone' is recorded, and this run does not make it", "WRONG"),
        ("04_extra_claim", r"claim 'b' = 2 is not recorded", "WRONG"),
        ("05_nan_claim", r"cell 3: claim 'a' is .?nan.?, not a finite number", "WRONG"),
        ("06_raises", r"FAILED: cell 4 `# the trouble`: ZeroDivisionError: division", "FAILED"),
        ("07_slow", r"FAILED: cell 3 `import time`: ran longer than the 4 s", "FAILED"),
        ("08_no_alt", r"cell 3: an image has no alt text", "WRONG"),
        ("09_bare_picture", r"cell 3: a bare image/svg\+xml output has no alt text", "WRONG"),
        ("12_by_luck", r"AGAINST THE TEXT: claim 'a' is 1, .* > 1; 9 of 10 rec", "against"),
        ("13_refuted", r"REFUTED: claim 'a' is 1, and the text says > 1; 8 of 8", "DRIFT"),
        ("14_stale", r"NOT COMPARED: its code or its parameters have changed", "executed"),
        ("15_doubtful", r"claim 'a': the text says > 1, which 4 of 8 recorded", "executed"),
        ("10_dies", r"FAILED: cell 3 `import os, signal`: the kernel died", "FAILED"),
    ],
)
def test_a_chapter_is_named_with_what_is_wrong_in_it(red, chapter, message, state):
    assert re.search(f"^{chapter}: {message}", red.output, flags=re.MULTILINE)
    assert row(red.output, chapter)[-1] == state


def test_what_left_its_record_says_what_to_do(red):
    assert row(red.output, "02_wrong_claim")[3:6] == ["0", "1", "0"]
    assert "DRIFT: luck alone explains these values in one good book of a thousand" in red.output
    assert "Read what the text says of them" in red.output and "--strict" in red.output
    assert "AGAINST THE TEXT: in this run the sentence is not true" in red.output
    assert "vae-course sweep 14_stale --profile quick" in red.output


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
