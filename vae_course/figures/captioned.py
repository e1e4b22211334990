"""A figure that carries its caption and its alternative text wherever the notebook goes."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from importlib.resources import as_file, files
from io import BytesIO
from typing import Any

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

_DPI = 160

AxesArray = NDArray[np.object_]


@contextmanager
def house_style() -> Iterator[None]:
    """Draw in the book's one style; matplotlib's own settings come back afterwards."""
    with (
        as_file(files("vae_course.figures") / "vae.mplstyle") as path,
        matplotlib.style.context(["default", str(path)]),
    ):
        yield


@contextmanager
def subplots(
    rows: int = 1, columns: int = 1, *, size: tuple[float, float] = (7.0, 3.2), **options: Any
) -> Iterator[tuple[Figure, AxesArray]]:
    """Give a figure and its axes, `(rows, columns)`, to draw on in the book's style.

    Used as `with subplots(1, 2) as (figure, axes):`. Unlike `pyplot.subplots` it leaves no global
    figure and no setting behind: the figure is shown where it is captioned.

    Args:
        rows: rows of axes.
        columns: columns of axes.
        size: width and height in inches.
        options: what `Figure.subplots` takes, `sharex` say.
    """
    with house_style():
        figure = Figure(figsize=size)
        axes = figure.subplots(rows, columns, squeeze=False, **options)
        for ax in axes.flat:
            ax.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10]))
        yield figure, axes


@contextmanager
def one_axes(size: tuple[float, float] = (6.0, 3.2)) -> Iterator[tuple[Figure, Axes]]:
    """Give a figure with a single axes: `with one_axes() as (figure, ax):`."""
    with subplots(size=size) as (figure, axes):
        yield figure, axes[0, 0]


def need_words(**texts: str) -> None:
    """Raise `ValueError` if a text of a figure is empty."""
    for name, text in texts.items():
        if not text.strip():
            raise ValueError(f"a figure needs a {name}: say in words what it shows")


def with_caption(picture: str, caption: str) -> dict[str, str]:
    """Return what a notebook shows of a picture in HTML and its caption, by MIME type."""
    caption_html = f"<figcaption>{escape(caption)}</figcaption>"
    return {
        "text/html": f'<figure class="vae-figure">{picture}{caption_html}</figure>',
        "text/plain": f"Figure: {caption}",
    }


@dataclass(frozen=True)
class Captioned:
    """A figure with the two texts it never goes without; the last line of a cell shows it.

    Attributes:
        figure: a matplotlib figure.
        caption: what the reader is to see in it, one or two sentences.
        alt: what it shows, for those who do not see it.

    Raises:
        ValueError: caption or alt is empty.
    """

    figure: Figure
    caption: str
    alt: str

    def __post_init__(self) -> None:
        """Refuse an empty text."""
        need_words(caption=self.caption, alt=self.alt)

    def png(self) -> bytes:
        """Return the figure as PNG."""
        buffer = BytesIO()
        with house_style():
            self.figure.savefig(buffer, format="png", dpi=_DPI, bbox_inches="tight")
        return buffer.getvalue()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        png = self.png()
        data = base64.b64encode(png).decode()
        width = int.from_bytes(png[16:20]) * 100 // _DPI  # the header's width, at 100 an inch
        image = (
            f'<img alt="{escape(self.alt)}" width="{width}" src="data:image/png;base64,{data}"/>'
        )
        return with_caption(image, self.caption)
