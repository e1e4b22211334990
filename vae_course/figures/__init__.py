"""Figures: one style, and never without a caption and an alternative text."""

from vae_course.figures.captioned import Captioned, one_axes, subplots
from vae_course.figures.ellipses import add_ellipses
from vae_course.figures.images import image_grid, image_rows, mosaic
from vae_course.figures.plots import code_cloud, curves
from vae_course.figures.schematics import (
    Schematic,
    autoencoder_schematic,
    generation_schematic,
    gradient_schematic,
    inference_schematic,
    ladder_schematic,
    quantization_schematic,
    vae_schematic,
)

__all__ = [
    "Captioned",
    "Schematic",
    "add_ellipses",
    "autoencoder_schematic",
    "code_cloud",
    "curves",
    "generation_schematic",
    "gradient_schematic",
    "image_grid",
    "image_rows",
    "inference_schematic",
    "ladder_schematic",
    "mosaic",
    "one_axes",
    "quantization_schematic",
    "subplots",
    "vae_schematic",
]
