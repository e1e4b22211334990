"""The rate at which a good book is called wrong, its power, and what the page shows."""

import math
import statistics

import numpy as np
import pytest
from scipy import stats
from synthetic_book import MACHINE, make_notebook

from vae_course.chapters.records import Harvest, Record, Run, added, read_record, write_record
from vae_course.chapters.review import annotate, compare
from vae_course.chapters.spread import FAMILY, interval, median_and_range
from vae_course.claims import CLAIMS_MIME, Claim, above, below, claims_table


def record_of(columns, **says):
    """A record whose n-th run has the n-th value of every column."""
    runs = [
        Run(seed, MACHINE, "2026-01-01", 1.0, 50, dict(zip(columns, each, strict=True)))
        for seed, each in enumerate(zip(*columns.values(), strict=True))
    ]
    return Record("key", says, tuple(runs))


@pytest.mark.parametrize("n", [4, 8, 16])
def test_a_new_normal_value_is_missed_as_often_as_said(n):
    """Against 200,000 simulated claims, at rates that a simulation can see."""
    rng = np.random.default_rng(n)
    recorded, new = 10 + rng.normal(size=(20_000, n)), 10 + rng.normal(size=20_000)
    for alpha in (0.1, 0.01):
        reach = stats.t.isf(alpha / 2, n - 1) * math.sqrt(1 + 1 / n)
        missed = np.abs(new - recorded.mean(1)) > reach * recorded.std(1, ddof=1)
        first = interval(list(recorded[0]), alpha)
        assert first[1] - recorded[0].mean() == pytest.approx(reach * recorded[0].std(ddof=1))
        error = 4 * math.sqrt(alpha * (1 - alpha) / len(new))
        assert missed.mean() == pytest.approx(alpha, abs=error)


def test_a_good_book_of_five_hundred_claims_is_hardly_ever_called_wrong():
    """Below 0.001 a book by Bonferroni: 3 or more in 300 books are a chance of 0.004."""
    rng, alpha = np.random.default_rng(0), FAMILY / 500
    wrong = 0
    for _ in range(300):
        values = 10 + rng.normal(size=(500, 17))
        mean, s = values[:, :16].mean(1), values[:, :16].std(1, ddof=1)
        reach = stats.t.isf(alpha / 2, 15) * math.sqrt(1 + 1 / 16) * s
        wrong += bool((np.abs(values[:, 16] - mean) > reach).any())
    assert wrong < 3


def test_a_lost_half_is_seen():
    """A KL of 20 nats with a spread of 2 % that comes out at 40, or at 10, is drift."""
    values = list(20 * (1 + 0.02 * np.random.default_rng(0).normal(size=16)))
    for wrong in (40.0, 10.0):
        review = compare(Harvest({"kl": wrong}), record_of({"kl": values}), alpha=FAMILY / 500)
        assert len(review.drift) == 1 and not review.strictly_good
    assert compare(Harvest({"kl": 20.3}), record_of({"kl": values}), alpha=FAMILY / 500).held == 1


def test_few_runs_give_no_interval_and_equal_ones_a_floor():
    assert interval([1.0, 1.1, 0.9], 1e-6) is None
    low, high = interval([2.0] * 16, 1e-6)
    assert high - 2 == pytest.approx(2 - low) and 0.01 < high - 2 < 0.1
    low, high = interval([3] * 16, 1e-6)
    assert low < 0 and high > 6
    assert interval([0.0] * 16, 1e-6)[1] < 1e-7


def test_the_summary_is_median_and_the_inner_nine_tenths():
    values = [float(v) for v in range(101)]
    assert median_and_range(values) == (50.0, 5.0, 95.0)
    assert median_and_range([2.5]) == (2.5, 2.5, 2.5)


def test_a_relation_between_claims_is_judged_by_its_margins():
    """Two claims that vary together: each by itself could be there, the pair could not."""
    first = [10.0 + seed for seed in range(16)]
    second = [value + 1 + 0.01 * (-1) ** i for i, value in enumerate(first)]
    record = record_of({"a": first, "b": second}, b=above("a"))
    made = Harvest({"a": 17.0, "b": 16.5}, {"b": above("a")})
    review = compare(made, record, alpha=1e-5)
    assert not review.drift and len(review.refuted) == 1
    assert "16 of 16 recorded runs bear it out" in review.refuted[0]
    loose = record_of({"a": first, "b": [v + 1 + 2 * (-1) ** i for i, v in enumerate(first)]})
    by_luck = compare(made, loose, alpha=1e-5)
    assert by_luck.contradicted and not by_luck.refuted
    assert by_luck.doubtful and "8 of 16" in by_luck.doubtful[0]


def test_a_record_is_a_line_a_run_and_comes_back(tmp_path):
    record = record_of({"a": [1.23456789, 2.0], "n": [3, 4]}, a=below("n", times=2, plus=0.5))
    path = tmp_path / "quick" / "01_x.json"
    write_record(path, record)
    lines = path.read_text().splitlines()
    assert sum('"seed": ' in line for line in lines) == 2
    assert read_record(path).values("a") == [1.23457, 2.0]
    assert read_record(path).values("n") == [3, 4]
    assert read_record(path).says == record.says
    more = added(read_record(path), record.runs[0], key="key", says=record.says)
    assert [run.seed for run in more.runs] == [0, 1]
    write_record(
        path,
        added(more, Run(5, MACHINE, "d", 1.0, 1, {"a": 0.5, "n": 1}), key="key", says=record.says),
    )
    new = path.read_text().splitlines()
    assert len(new) == len(lines) + 1
    other = added(more, Run(5, MACHINE, "d", 1.0, 1, {"b": 0.5}), key="other", says={})
    assert [run.seed for run in other.runs] == [5]


def test_the_page_shows_the_recorded_range_and_marks():
    table = claims_table(
        Claim("kl", 40.0, "nats", "KL & rate", above(0)), Claim("n", 3, "", "latents", above("kl"))
    )._repr_mimebundle_()
    notebook = make_notebook(["show()"])
    notebook.cells[2]["outputs"] = [{"output_type": "display_data", "data": table, "metadata": {}}]
    annotate(notebook, record_of({"kl": [20.0, 20.1] * 8, "n": [3] * 16}), alpha=1e-5)
    html = notebook.cells[2]["outputs"][0]["data"]["text/html"]
    assert "<td>20.05 (20.00 to 20.10)</td>" in html and ">3</td>" in html
    assert "<td>&gt; 0</td>" in html and "<td>&gt; “KL &amp; rate”</td>" in html
    assert "<td>drifts</td>" in html and "<td>contradicts the text</td>" in html
    assert "Recorded: 16 runs on 1 kind of machine (A CPU)." in html
    assert table[CLAIMS_MIME]["n"]["value"] == 3
    assert statistics.median([20.0, 20.1] * 8) == 20.05
