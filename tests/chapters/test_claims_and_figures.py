import math
import os
import re

import pytest
from synthetic_book import make_notebook

from vae_course.chapters import records
from vae_course.chapters.notebooks import (
    ChapterError,
    find_problems,
    read_notebook,
    stripped,
)
from vae_course.claims import below


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
    assert records.harvest(notebook).values == {"a": 1.0, "b": 0.5, "c": 1.0}


@pytest.mark.parametrize("value", [math.nan, math.inf, "nan", None])
def test_a_claim_must_be_a_finite_number(value):
    with pytest.raises(ChapterError, match=r"cell 3: claim 'a' is .*, not a finite number"):
        records.harvest(notebook_with(claims(a=value)))


def test_a_claim_may_not_be_made_twice():
    with pytest.raises(ChapterError, match="cell 3: claim 'a' is made twice"):
        records.harvest(notebook_with(claims(a=1), claims(a=1)))


def test_a_relation_to_a_claim_that_is_not_made_is_named():
    bundle = claims(a=1.0)
    bundle[records.CLAIMS_MIME]["a"]["says"] = below("b").to_json()
    with pytest.raises(ChapterError, match="says something of claim 'a' and 'b', and makes no"):
        records.harvest(notebook_with(bundle))


@pytest.mark.parametrize(
    "said", [None, 3, [], {}, {"low": 1}, {"low": [1, 2, 3]}, {"high": ["b", "x", 0]}, {"x": []}]
)
def test_a_relation_that_is_none_is_named(said):
    bundle = claims(a=1.0)
    bundle[records.CLAIMS_MIME]["a"]["says"] = said
    with pytest.raises(ChapterError, match=r"cell 3: claim 'a': .* is no relation"):
        records.harvest(notebook_with(bundle))


@pytest.mark.parametrize("text", ["", "[]", '{"runs": 3}', '{"runs": [{"claims": 1}]}'])
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
        {"text/html": "<svg role='img'><title>a curve</title><g><path/></g></svg><p>words</p>"},
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
        ({"text/html": "<svg><path d='M0 0'/><text>x</text></svg>"}, "no alt text"),
        ({"text/html": "<svg/>"}, "no alt text"),
        ({"text/html": "<svg><title> </title></svg>"}, "no alt text"),
        ({"text/html": "<svg><g><title>a part</title></g></svg>"}, "no alt text"),
        ({"text/html": "<title>a page</title><svg></svg><p>words</p>"}, "no alt text"),
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


def test_a_code_cell_without_outputs_is_stripped_like_one_that_has_none():
    cell = {"cell_type": "code", "metadata": {}, "source": "1"}
    notebook = {"cells": [cell, {**cell, "metadata": {"tags": ["nbval-check-output"]}}]}
    assert [cell["outputs"] for cell in stripped(notebook)["cells"]] == [[], []]


def test_a_pipe_is_no_notebook_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.ipynb")
    with pytest.raises(ChapterError, match="it is no file"):
        read_notebook(tmp_path / "pipe.ipynb")
