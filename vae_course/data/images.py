"""Images as tensors: the set in memory, and the two ways to make them floats."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class ImageSet:
    """One split of an image set, whole, in memory.

    Attributes:
        images: uint8, ``(N, C, H, W)``, 0 to 255.
        labels: int64, ``(N,)``, an index into ``classes``.
        name: The set that was really loaded; ``fashion-mnist-mini`` after a fallback.
        split: ``"train"`` or ``"test"``.
        classes: The names of the labels.
    """

    images: Tensor = field(repr=False)
    labels: Tensor = field(repr=False)
    name: str
    split: str
    classes: tuple[str, ...]

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.images)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """``(C, H, W)`` of one image."""
        channels, height, width = self.images.shape[1:]
        return channels, height, width


@dataclass(frozen=True, eq=False)
class Labeled:
    """Images with what is known about each: a batch of it is an index slice of both.

    Attributes:
        images: ``(N, ...)``.
        labels: ``(N,)`` int64, or any tensor with one row for each image.

    Raises:
        ValueError: not as many labels as images.
    """

    images: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        """Check the lengths."""
        if len(self.images) != len(self.labels):
            raise ValueError(f"{len(self.images)} images but {len(self.labels)} labels")

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.images)

    def __getitem__(self, index: Tensor | slice) -> "Labeled":
        """Return some of them."""
        return Labeled(self.images[index], self.labels[index])

    def to(self, *args: Any, **kwargs: Any) -> "Labeled":
        """Move both, as a tensor's own ``to`` does."""
        return Labeled(self.images.to(*args, **kwargs), self.labels.to(*args, **kwargs))


def to_unit(images: Tensor) -> Tensor:
    """Scale gray values to [0, 1]: x = pixel / 255.

    Args:
        images: uint8, any shape, on any device.

    Returns:
        float32, the same shape and device.

    Raises:
        TypeError: ``images`` is not uint8 (scaled twice, perhaps).
    """
    _require_uint8(images)
    return images.to(torch.float32).div_(255)


def binarize(images: Tensor, generator: torch.Generator) -> Tensor:
    """Draw x ~ Bernoulli(pixel / 255), each pixel by itself.

    Called once with a fixed generator this is static binarization; called on each batch, dynamic
    (Salakhutdinov and Murray 2008; Burda et al. 2016). The probability is exact: u is uniform on
    the 255 integers 0 … 254 and x = 1 where u < pixel, so 0 is never and 255 always drawn.

    Args:
        images: uint8, any shape, on any device.
        generator: Where the randomness comes from; on the device of ``images``.

    Returns:
        float32 of zeros and ones, the same shape and device.

    Raises:
        TypeError: ``images`` is not uint8 (binarized before, perhaps).
        ValueError: ``generator`` is on another device than ``images``.
    """
    _require_uint8(images)
    if generator.device.type != images.device.type:
        raise ValueError(
            f"binarize: the images are on {images.device} and the generator on {generator.device}; "
            f"make it with torch.Generator(device={images.device.type!r})"
        )
    if images.device.type == "cpu":
        uniform = _uniform_below_255(images.shape, generator)
    else:
        uniform = torch.randint(
            0, 255, images.shape, dtype=torch.uint8, generator=generator, device=images.device
        )
    return uniform.lt_(images).to(torch.float32)


def _uniform_below_255(shape: torch.Size, generator: torch.Generator) -> Tensor:
    """Draw uint8 uniform on 0 … 254, exactly, several times faster than ``torch.randint``.

    Torch's CPU generator gives one number at a time, so one 64-bit number is taken for eight
    pixels; the one byte in 256 that is 255 is drawn again.
    """
    count = math.prod(shape)
    words = torch.empty(-(-count // 8), dtype=torch.int64)
    draws = words.random_(-(2**63), None, generator=generator).view(torch.uint8)[:count]
    again = torch.from_numpy(np.flatnonzero(draws.numpy() == 255))
    draws[again] = torch.randint(0, 255, again.shape, dtype=torch.uint8, generator=generator)
    return draws.view(shape)


def _require_uint8(images: Tensor) -> None:
    if images.dtype != torch.uint8:
        raise TypeError(
            f"images must be torch.uint8 (0 to 255), as load() gives them, not {images.dtype}; "
            "pass ImageSet.images, not what to_unit or binarize made of it"
        )
