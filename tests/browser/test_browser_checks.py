"""The checks can fail: each finds its own trouble on a page that is broken on purpose."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from reader import Reader, new_reader
from server import serve

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def broken(browser: Browser) -> Iterator[Reader]:
    with (
        serve(Path(__file__).parent) as origin,
        new_reader(browser, origin) as reader,
    ):
        reader.open("broken.html")
        yield reader


@pytest.mark.parametrize(
    ("check", "trouble"),
    [
        ("math", "raw TeX: The raw formula $x^2$"),
        ("math", "equation not typeset: \\[ y = 1 \\]"),
        ("math", "TeX error: Undefined control sequence"),
        ("directives", "unrendered directive or role: :::{note}"),
        ("directives", "unrendered directive: {chapter-table}"),
        ("images", "empty image: missing.png"),
        ("images", "image without alt: missing.png"),
        ("images", "drawing without title"),
        ("images", "empty cell output"),
        ("captions", "figure without a caption"),
        ("captions", "picture of a cell outside a figure"),
        ("headings", "2 headings of level 1"),
        ("headings", "level 4 after 1: A skipped level"),
        ("width", "window of 1280 px, first too wide: <div>"),
        ("equations", "start of an equation out of reach: a wide equation"),
        ("contrast", "in <p>: Hardly legible."),
        ("darkFigures", "figure colors changed: brightness(0.8)"),
        ("darkFigures", "figure without a light card"),
    ],
)
def test_a_check_finds_its_trouble(broken: Reader, check: str, trouble: str) -> None:
    assert any(trouble in finding for finding in broken.check(check))


@pytest.mark.parametrize(
    ("heard", "trouble"),
    [
        ("network", "status 404"),
        ("network", "request to another place: http://127.0.0.1:9/elsewhere"),
        ("network", "request failed: http://127.0.0.1:9/elsewhere"),
        ("scripts", "console error: a message on the console"),
        ("scripts", "page error: an error of the page"),
    ],
)
def test_the_reader_hears_of_trouble(broken: Reader, heard: str, trouble: str) -> None:
    assert any(trouble in line for line in getattr(broken, heard))


def test_each_check_finds_only_its_own_trouble(broken: Reader) -> None:
    found = {name: len(broken.check(name)) for name in ("captions", "headings", "width")}
    assert found == {"captions": 3, "headings": 2, "width": 1}
