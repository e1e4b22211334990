"""Figures: one style, and never without a caption and an alternative text."""

from vae_course.figures.captioned import Captioned, one_axes, subplots
from vae_course.figures.ellipses import add_ellipses
from vae_course.figures.images import image_grid, image_rows, mosaic
from vae_course.figures.plots import code_cloud, curves

__all__ = [
    "Captioned",
    "add_ellipses",
    "code_cloud",
    "curves",
    "image_grid",
    "image_rows",
    "mosaic",
    "one_axes",
    "subplots",
]
