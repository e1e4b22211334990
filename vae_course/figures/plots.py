"""Figures made of lines and points."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.ticker import LogFormatter
from numpy.typing import ArrayLike
from torch import Tensor

from vae_course.figures.captioned import Captioned, one_axes

Line = tuple[ArrayLike, ArrayLike]


def curves(
    lines: Mapping[str, Line],
    *,
    x: str,
    y: str,
    caption: str,
    alt: str,
    log: str = "",
) -> Captioned:
    """Draw labeled curves.

    Args:
        lines: label → (x values, y values).
        x: the horizontal axis in words, with its unit.
        y: the vertical axis in words, with its unit.
        caption: for the reader.
        alt: for those who do not see it.
        log: which axes are logarithmic: `""`, `"x"`, `"y"` or `"xy"`.
    """
    with one_axes() as (figure, ax):
        for label, (horizontal, vertical) in lines.items():
            few = len(np.asarray(horizontal)) <= 20
            ax.plot(horizontal, vertical, label=label, marker="o" if few else None)
        ax.set(xlabel=x, ylabel=y)
        for axis, letter, scale in ((ax.xaxis, "x", ax.set_xscale), (ax.yaxis, "y", ax.set_yscale)):
            if letter in log:
                scale("log")
                axis.set_major_formatter("{x:g}")
                axis.set_minor_formatter(LogFormatter())
        if len(lines) > 1:
            ax.legend()
    return Captioned(figure, caption, alt)


def code_cloud(
    codes: Tensor, labels: Tensor, classes: Sequence[str], *, caption: str, alt: str
) -> Captioned:
    """Scatter 2-D codes `(N, 2)`, colored by label, with a legend of the classes."""
    with one_axes(size=(6.6, 4.6)) as (figure, ax):
        for label, name in enumerate(classes):
            points = codes[labels == label].detach().cpu().numpy()
            ax.scatter(points[:, 0], points[:, 1], color=colormaps["tab10"](label), s=5, label=name)
        ax.set(xlabel="z₁", ylabel="z₂", aspect="equal")
        ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), markerscale=3)
    return Captioned(figure, caption, alt)
