"""Whole image sets in memory, checked before use: ``load``, ``binarize``, ``to_unit``."""

from vae_course.data.dequantization import dequantize
from vae_course.data.errors import DataError, DataWarning, ReducedDataWarning
from vae_course.data.images import ImageSet, Labeled, binarize, to_unit
from vae_course.data.loading import load
from vae_course.data.sprites import FACTORS, SHAPES, FactorImages, Sprites, read_dsprites

__all__ = [
    "FACTORS",
    "SHAPES",
    "DataError",
    "DataWarning",
    "FactorImages",
    "ImageSet",
    "Labeled",
    "ReducedDataWarning",
    "Sprites",
    "binarize",
    "dequantize",
    "load",
    "read_dsprites",
    "to_unit",
]
