import inspect
import json
import math
from html import unescape

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vae_course.claims import (
    CLAIMS_MIME,
    Claim,
    claims_table,
    comparison_table,
    format_number,
    plus_minus,
    provenance,
)
from vae_course.models import VAE
from vae_course.objectives import gaussian_kl
from vae_course.source import show_source


def test_claims_are_shown_and_left_for_a_test_to_compare() -> None:
    bundle = claims_table(
        Claim("test_elbo", -236.48123, "nats", "test ELBO < 0"), Claim("active", 7, "", "latents")
    )._repr_mimebundle_()
    assert set(bundle) == {"text/html", "text/plain", CLAIMS_MIME}
    assert json.loads(json.dumps(bundle[CLAIMS_MIME])) == {
        "test_elbo": {"value": -236.48123, "unit": "nats", "text": "test ELBO < 0"},
        "active": {"value": 7.0, "unit": "", "text": "latents"},
    }
    assert (
        '<td>test ELBO &lt; 0</td><td class="number">-236.5</td><td>nats</td>'
        in bundle["text/html"]
    )
    assert "test ELBO < 0  -236.5  nats" in bundle["text/plain"]


def test_the_mime_type_is_the_one_that_the_runner_reads() -> None:
    assert CLAIMS_MIME == "application/vnd.vae-course.claims+json"


@pytest.mark.parametrize("names", [("a", "b", "a"), ("two words",), ("",), ("1st",)])
def test_names_that_are_not_unique_or_not_names_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="unique and like Python names"):
        claims_table(*(Claim(name, 1.0, "", "x") for name in names))


def test_a_comparison_is_looked_at_and_not_recorded() -> None:
    bundle = comparison_table(("model", "nats"), ("ours & theirs", 228.7012), ("n", 5))
    shown = bundle._repr_mimebundle_()
    assert CLAIMS_MIME not in shown
    assert "ours &amp; theirs" in shown["text/html"]
    assert shown["text/plain"].splitlines() == ["model  nats", "ours & theirs  228.7", "n  5"]


@pytest.mark.parametrize(
    ("column", "number"),
    [
        (("-1.2", "+3", "", "−4"), True),
        (("0.52 ± 0.03", "1 ± 2"), True),
        (("42 %", "−7 %"), True),
        (("300 × 64", "5"), False),
        (("5", "many"), False),
        (("4 of 5", "3 of 5"), False),
    ],
)
def test_columns_of_numbers_are_flush_right(column: tuple[str, ...], number: bool) -> None:
    shown = comparison_table(("", "what"), *(("row", cell) for cell in column))
    html = shown._repr_mimebundle_()["text/html"]
    assert (f'<td class="number">{column[0]}</td>' in html) is number


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0.0, "0.000"),
        (12.3, "12.30"),
        (60_000, "60,000"),
        (0.001234, "0.001234"),
        (12.344, "12.34"),
        (-236.4812, "-236.5"),
        (12345.6, "12,346"),
        (1e-7, "1.00e-07"),
        (2.5e9, "2,500,000,000"),
        (5, "5"),
    ],
)
def test_numbers_are_written_for_a_reader(value: float, written: str) -> None:
    assert format_number(value) == written


@given(st.floats(-1e12, 1e12))
def test_a_written_number_is_the_number_to_within_half_a_percent(value: float) -> None:
    assert float(format_number(value).replace(",", "")) == pytest.approx(value, rel=5e-3)


def test_provenance_names_profile_device_and_versions() -> None:
    plain = provenance("quick")._repr_mimebundle_()["text/plain"]
    assert "quick" in plain and "threads" in plain and "torch" in plain and "Python 3." in plain


@pytest.mark.parametrize("thing", [gaussian_kl, VAE])
def test_shown_source_is_the_source_of_the_package(thing: object) -> None:
    shown = show_source(thing)
    assert shown.code == inspect.getsource(thing)
    bundle = shown._repr_mimebundle_()
    assert bundle["text/plain"] == shown.code
    text = unescape("".join(part.partition(">")[2] for part in bundle["text/html"].split("<")))
    assert text.strip() == shown.code.strip()
    assert "<style" not in bundle["text/html"] and "http" not in bundle["text/html"]


def test_plus_minus_is_the_mean_and_its_standard_error() -> None:
    values = torch.linspace(1, 5, 5)
    error = values.std().item() / 5**0.5
    assert plus_minus(values) == f"3.00 ± {error:.2f}" == "3.00 ± 0.71"
    assert plus_minus([1000.0, 1010.0]) == "1005.0 ± 5.0"
    assert plus_minus([1e-3, 2e-3]) == "0.00150 ± 0.00050"
    assert plus_minus([2.0, 2.0]) == "2.00 ± 0.00"
    assert plus_minus([0.0, math.nan]) == "nan ± nan"
    assert plus_minus([0.0, math.inf]) == "inf ± nan"


@pytest.mark.parametrize("values", [[], [1.0]])
def test_one_value_has_no_spread(values: list[float]) -> None:
    with pytest.raises(ValueError, match="at least two values"):
        plus_minus(values)
