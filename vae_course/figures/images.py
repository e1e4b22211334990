"""Figures made of images."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from vae_course.figures.captioned import Captioned, one_axes, subplots


def to_pixels(images: Tensor) -> NDArray[np.float32]:
    """Return images `(N, C, H, W)` as an array `(N, H, W, C)` in [0, 1], gray ones as three equal.

    Raises:
        ValueError: not a batch of images with one or three channels.
    """
    if images.dim() != 4 or images.shape[1] not in (1, 3):
        raise ValueError(
            f"images have shape {tuple(images.shape)}; a figure takes (N, 1 or 3, height, width)"
        )
    array = images.detach().float().cpu().clamp(0, 1).permute(0, 2, 3, 1).numpy()
    return np.repeat(array, 3, axis=-1) if array.shape[-1] == 1 else array


def mosaic(images: Tensor, columns: int, gap: int = 2) -> NDArray[np.float32]:
    """Lay images `(N, C, H, W)` out row by row on one white sheet, `(height, width, 3)`."""
    pixels = to_pixels(images)
    count, height, width, _ = pixels.shape
    rows = -(-count // columns)
    shape = (rows * (height + gap) - gap, columns * (width + gap) - gap, 3)
    sheet = np.ones(shape, dtype=np.float32)
    for i, image in enumerate(pixels):
        top, left = i // columns * (height + gap), i % columns * (width + gap)
        sheet[top : top + height, left : left + width] = image
    return sheet


def image_rows(rows: Mapping[str, Tensor], *, caption: str, alt: str) -> Captioned:
    """Show one labeled row of images for each entry.

    Args:
        rows: label → images in [0, 1], `(N, C, H, W)`; every row has the same N.
        caption: for the reader.
        alt: for those who do not see it.
    """
    count = max(len(images) for images in rows.values())
    with subplots(len(rows), 1, size=(7.0, 0.1 + 5.6 / count * len(rows))) as (figure, axes):
        for ax, (label, images) in zip(axes[:, 0], rows.items(), strict=True):
            ax.imshow(mosaic(images, count), aspect="equal")
            ax.set_ylabel(label, rotation=0, ha="right", va="center", fontsize=9)
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
    return Captioned(figure, caption, alt)


def image_grid(images: Tensor, columns: int, *, caption: str, alt: str) -> Captioned:
    """Show images `(N, C, H, W)` in [0, 1] as one sheet."""
    sheet = mosaic(images, columns, gap=1)
    with one_axes(size=(6.0, 6.0 * sheet.shape[0] / sheet.shape[1])) as (figure, ax):
        ax.imshow(sheet)
        ax.axis("off")
    return Captioned(figure, caption, alt)
