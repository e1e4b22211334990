"""Whole image sets in memory, checked before use: ``load``, ``binarize``, ``to_unit``."""

from vae_course.data.errors import DataError, DataWarning, ReducedDataWarning
from vae_course.data.images import ImageSet, Labeled, binarize, to_unit
from vae_course.data.loading import load

__all__ = [
    "DataError",
    "DataWarning",
    "ImageSet",
    "Labeled",
    "ReducedDataWarning",
    "binarize",
    "load",
    "to_unit",
]
