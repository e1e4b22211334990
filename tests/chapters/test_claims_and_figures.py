import math
import re

import pytest
from synthetic_book import make_notebook, write_record

from vae_course.chapters import records
from vae_course.chapters.notebooks import ChapterError, find_problems
from vae_course.chapters.project import Project


def notebook_with(*bundles):
    """A notebook, as stored, whose cell 3 shows the display bundles."""
    notebook = make_notebook(["show()"])
    outputs = [{"output_type": "display_data", "data": data, "metadata": {}} for data in bundles]
    notebook.cells[2]["outputs"] = outputs
    return notebook


def claims(**values):
    return {records.CLAIMS_MIME: {name: {"value": value} for name, value in values.items()}}


def test_claims_of_all_tables_are_collected_as_numbers():
    notebook = notebook_with(claims(a=1, b=0.5), claims(c=True))
    assert records.harvest(notebook) == {"a": 1.0, "b": 0.5, "c": 1.0}


@pytest.mark.parametrize("value", [math.nan, math.inf, "nan", None])
def test_a_claim_must_be_a_finite_number(value):
    with pytest.raises(ChapterError, match=r"cell 3: claim 'a' is .*, not a finite number"):
        records.harvest(notebook_with(claims(a=value)))


def test_a_claim_may_not_be_made_twice():
    with pytest.raises(ChapterError, match="cell 3: claim 'a' is made twice"):
        records.harvest(notebook_with(claims(a=1), claims(a=1)))


def test_each_claim_is_compared_within_its_own_tolerance():
    recorded = {
        "loose": records.Recorded(value=1.0, tolerance=0.5),
        "tight": records.Recorded(value=1.0, tolerance=0.01),
        "exact": records.Recorded(value=1.0, tolerance=0.0),
        "gone": records.Recorded(value=1.0, tolerance=1.0),
    }
    claims = {"loose": 1.4, "tight": 1.4, "exact": 1.0, "new": 2.0}
    assert records.drift_of(claims, recorded) == ["claim 'tight' is 1.4, recorded is 1 ± 0.01"]
    assert records.mismatches(claims, recorded) == [
        "claim 'new' = 2 is not recorded",
        "claim 'gone' is recorded, but the chapter does not make it",
    ]


@pytest.mark.parametrize(
    ("tolerance", "message"),
    [(math.nan, "not a finite"), (None, "not a finite"), (-0.1, "below 0")],
)
def test_a_record_without_a_usable_tolerance_is_an_error(tmp_path, tolerance, message):
    path = write_record(Project(tmp_path), "01_x", a=(1.0, tolerance))
    with pytest.raises(ChapterError, match=f"01_x.json: 'a': its tolerance is .*{message}"):
        records.read_record(path)


@pytest.mark.parametrize("text", ["", "[]", '{"claims": 3}', '{"claims": {"a": 1}}'])
def test_a_damaged_record_is_named(tmp_path, text):
    path = tmp_path / "01_x.json"
    path.write_text(text)
    with pytest.raises(ChapterError, match=r"01_x\.json is not a record"):
        records.read_record(path)


FIGURE = '<figure><img alt="{alt}" src="data:image/png;base64,{data}"><figcaption>c</figcaption>'


@pytest.mark.parametrize(
    "bundle",
    [
        {"text/html": FIGURE.format(alt="a curve", data="AAAA")},
        {"text/html": ["<p>an i<b>m</b>g</p>\n", FIGURE.format(alt="b", data="A\nA")]},
        {"text/markdown": "![a curve](x.png)", "text/plain": "<img>"},
    ],
)
def test_pictures_with_words_are_fine(bundle):
    assert find_problems(notebook_with(bundle)) == []


@pytest.mark.parametrize(
    ("bundle", "problem"),
    [
        ({"image/png": "AAAA", "text/plain": "<Figure>"}, "a bare image/png output"),
        ({"image/svg+xml": "<svg/>"}, r"a bare image/svg\+xml output"),
        ({"text/html": '<img src="x.png">'}, "no alt text"),
        ({"text/html": '<IMG alt=" " src=x.png>'}, "no alt text"),
        ({"text/html": ["<img\n", " alt src='x.png'/>"]}, "no alt text"),
        ({"text/markdown": "![](x.png)"}, "no alt text"),
    ],
)
def test_a_picture_without_words_is_named_by_its_cell(bundle, problem):
    (found,) = find_problems(notebook_with(bundle))
    assert found.startswith("cell 3: ")
    assert re.search(problem, found)


def test_markdown_cells_and_stored_errors_are_looked_at():
    notebook = make_notebook(["1 / 0"])
    notebook.cells[0]["source"] = "# Title\n\n![](x.png)"
    error = {"output_type": "error", "ename": "ZeroDivisionError", "evalue": "by zero"}
    notebook.cells[2]["outputs"] = [error]
    first, second = find_problems(notebook)
    assert first.startswith("cell 1: an image has no alt text")
    assert second == "cell 3: ZeroDivisionError: by zero"
