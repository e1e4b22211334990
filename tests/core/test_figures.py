import base64
import re
from collections.abc import Callable
from html.parser import HTMLParser

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest
import torch

from vae_course.figures import (
    Captioned,
    code_cloud,
    curves,
    image_grid,
    image_rows,
    mosaic,
    one_axes,
    subplots,
)

TEXTS = {"caption": "What to see.", "alt": "What it shows."}
IMAGES = torch.rand(6, 1, 4, 5, generator=torch.Generator().manual_seed(0))

HELPERS: dict[str, Callable[[], Captioned]] = {
    "image_grid": lambda: image_grid(IMAGES, 3, **TEXTS),
    "image_rows": lambda: image_rows({"in": IMAGES, "out": IMAGES.expand(-1, 3, -1, -1)}, **TEXTS),
    "curves": lambda: curves(
        {"a": ([1, 2], [3, 4]), "b": (range(30), range(30))}, x="epoch", y="nats", **TEXTS
    ),
    "code_cloud": lambda: code_cloud(
        torch.randn(9, 2), torch.arange(9) % 3, ("a", "b", "c"), **TEXTS
    ),
}


class Tags(HTMLParser):
    """Collects start tags and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("name", HELPERS)
def test_every_helper_makes_a_figure_with_its_two_texts(name: str) -> None:
    bundle = HELPERS[name]()._repr_mimebundle_()
    assert set(bundle) == {"text/html", "text/plain"}
    html = Tags(bundle["text/html"])
    assert [tag for tag, _ in html.tags] == ["figure", "img", "figcaption"]
    assert html.tags[0][1] == {"class": "vae-figure"}
    assert html.tags[1][1]["alt"] == "What it shows."
    assert html.text == "What to see."
    head, data = html.tags[1][1]["src"].split(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(data).startswith(b"\x89PNG")


@pytest.mark.parametrize("name", HELPERS)
def test_no_global_figure_and_no_setting_is_left_behind(name: str) -> None:
    before = dict(mpl.rcParams)
    HELPERS[name]()._repr_mimebundle_()
    assert plt.get_fignums() == []
    assert dict(mpl.rcParams) == before


def test_the_style_does_not_depend_on_the_readers_settings() -> None:
    plain = HELPERS["curves"]().png()
    with mpl.rc_context({"font.size": 30, "lines.linewidth": 9, "axes.grid": True}):
        assert HELPERS["curves"]().png() == plain


@pytest.mark.parametrize("empty", ["", "  \n"])
@pytest.mark.parametrize("text", ["caption", "alt"])
def test_a_figure_without_a_text_is_refused(text: str, empty: str) -> None:
    with pytest.raises(ValueError, match=f"a figure needs a {text}"):
        image_grid(IMAGES, 3, **{**TEXTS, text: empty})


def test_texts_are_escaped() -> None:
    with one_axes() as (figure, _):
        pass
    nasty = 'p < q & "r" <script>alert(1)</script>'
    html = Captioned(figure, nasty, nasty)._repr_mimebundle_()["text/html"]
    tags = Tags(html)
    assert [tag for tag, _ in tags.tags] == ["figure", "img", "figcaption"]
    assert tags.tags[1][1]["alt"] == nasty
    assert tags.text == nasty


def test_mosaic_puts_each_pixel_in_its_place() -> None:
    sheet = mosaic(IMAGES, columns=4, gap=2)
    assert sheet.shape == (2 * 4 + 2, 4 * 5 + 3 * 2, 3)
    for index in range(6):
        row, column = divmod(index, 4)
        top, left = row * 6, column * 7
        patch = sheet[top : top + 4, left : left + 5]
        for channel in range(3):
            assert (patch[..., channel] == IMAGES[index, 0].numpy()).all()
    assert (sheet[4:6] == 1).all() and (sheet[:, 5:7] == 1).all()  # the gaps are white
    assert (sheet[6:, 14:] == 1).all()  # and so is what the last row lacks


def test_mosaic_keeps_colors_apart_and_clips() -> None:
    image = torch.stack([torch.full((2, 2), value) for value in (-1.0, 0.25, 7.0)])
    assert mosaic(image[None], columns=1)[0, 0].tolist() == [0, 0.25, 1]


@pytest.mark.parametrize("shape", [(4, 5), (6, 2, 4, 5), (6, 4, 5)])
def test_what_is_no_batch_of_images_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=re.escape(str(shape))):
        mosaic(torch.zeros(shape), columns=2)


def test_curves_draw_what_they_are_given() -> None:
    captioned = curves(
        {"a": ([1, 10], [2, 20]), "b": ([1, 10], [3, 30])}, x="step", y="nats", log="xy", **TEXTS
    )
    (axes,) = captioned.figure.axes
    assert [line.get_xydata().tolist() for line in axes.lines] == [
        [[1, 2], [10, 20]],
        [[1, 3], [10, 30]],
    ]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("step", "nats")
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a", "b"]


def test_code_cloud_groups_points_by_class() -> None:
    codes = torch.arange(12.0).view(6, 2)
    labels = torch.tensor([0, 1, 0, 1, 1, 0])
    (axes,) = code_cloud(codes, labels, ("shirt", "shoe"), **TEXTS).figure.axes
    shown = [collection.get_offsets().tolist() for collection in axes.collections]
    assert shown == [codes[labels == 0].tolist(), codes[labels == 1].tolist()]


def test_subplots_are_always_a_grid() -> None:
    with subplots() as (_, axes):
        assert axes.shape == (1, 1)
    with subplots(2, 3, sharex=True) as (figure, axes):
        assert axes.shape == (2, 3) and len(figure.axes) == 6
