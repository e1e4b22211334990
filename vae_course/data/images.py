"""Images as tensors: the set in memory, and the two ways to make them floats."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class ImageSet:
    """One split of an image set, whole, in memory; numpy arrays become tensors.

    Attributes:
        images: uint8, ``(N, C, H, W)``, 0 to 255.
        labels: int64, ``(N,)``, an index into ``classes``.
        name: The set that was really loaded; ``fashion-mnist-mini`` after a fallback.
        split: ``"train"`` or ``"test"``.
        classes: The names of the labels.

    Raises:
        TypeError: images that are not uint8, or labels that are not whole numbers.
        ValueError: shapes or labels other than those above.
    """

    images: Tensor = field(repr=False)
    labels: Tensor = field(repr=False)
    name: str
    split: str
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        """Check and convert."""
        pair = Labeled(_uint8(self.images), self.labels)
        shape, count = tuple(pair.images.shape), len(self.classes)
        if len(shape) != 4 or 0 in shape:
            raise ValueError(f"images have shape {shape}, not (N, C, H, W) with at least one")
        if pair.labels.dim() != 1 or not 0 <= pair.labels.min() <= pair.labels.max() < count:
            raise ValueError(f"labels have to be (N,), 0 to {count - 1}: one of {count} classes")
        object.__setattr__(self, "images", pair.images)
        object.__setattr__(self, "labels", pair.labels)

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
        images: ``(N, ...)``; a numpy array becomes a tensor.
        labels: Classes, ``(N,)`` whole numbers, kept as int64 (−1: not known); or what else is
            known, such as probabilities or another image, ``(N, ...)`` with one row for each.

    Raises:
        TypeError: neither tensors nor arrays, or classes that are not whole numbers.
        ValueError: not as many labels as images, or classes of shape ``(N, 1)``.

    Examples:
        >>> data = Labeled(torch.rand(5, 1, 28, 28), torch.tensor([3, 0, 1, 1, 2]))
        >>> len(data), data[1:3].labels
        (5, tensor([0, 1]))
    """

    images: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        """Check and convert; only shapes and types, since every batch comes through here."""
        images, labels = as_tensor(self.images, "images"), as_tensor(self.labels, "labels")
        if not (images.dim() and labels.dim() and len(images) == len(labels)):
            count, given = (len(part) if part.dim() else "no axis of" for part in (images, labels))
            raise ValueError(f"{count} images but {given} labels: one label for each image")
        object.__setattr__(self, "images", images)
        object.__setattr__(self, "labels", _rows(labels))

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.images)

    def __getitem__(self, index: Tensor | slice) -> "Labeled":
        """Return some of them; one alone is ``[i : i + 1]``."""
        images = self.images[index]
        if images.dim() != self.images.dim():
            raise TypeError(
                f"index {index}: give a slice, such as [0:1], or a tensor (n,) of indices"
            )
        return Labeled(images, self.labels[index])

    def to(self, *args: Any, **kwargs: Any) -> "Labeled":
        """Move both, as a tensor's own ``to`` does; classes stay whole numbers."""
        images, labels = self.images.to(*args, **kwargs), self.labels
        whole = not labels.is_floating_point()
        return Labeled(images, labels.to(images.device) if whole else labels.to(*args, **kwargs))


def as_tensor(values: Tensor | np.ndarray, name: str) -> Tensor:
    """Return a tensor as it is, and a numpy array as a tensor of its own memory.

    Raises:
        TypeError: something else, or an array of what is not a number; it says ``name``.
    """
    if isinstance(values, Tensor):
        return values
    if isinstance(values, np.ndarray) and values.dtype.kind in "biuf":
        return torch.from_numpy(np.array(values, values.dtype.newbyteorder("=")))
    kind = f"an array of {values.dtype}" if isinstance(values, np.ndarray) else type(values)
    raise TypeError(f"{name}: {kind}; give a torch.Tensor or a numpy array of numbers")


def _rows(labels: Tensor) -> Tensor:
    """Return labels as they are, but classes as int64."""
    fraction = labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool
    if labels.dim() == 1 and fraction:
        raise TypeError(
            f"labels {tuple(labels.shape)} are {labels.dtype}: classes are whole numbers, "
            "labels.long(); another condition has a row for each image, labels[:, None]"
        )
    if labels.shape[1:] == (1,) and not fraction:
        raise ValueError(f"labels {tuple(labels.shape)}: classes are (N,), labels[:, 0]")
    return labels.long() if labels.dim() == 1 else labels


def to_unit(images: Tensor | np.ndarray) -> Tensor:
    """Scale gray values to [0, 1]: x = pixel / 255.

    Args:
        images: uint8, any shape, on any device; a tensor or a numpy array.

    Returns:
        float32, the same shape and device.

    Raises:
        TypeError: ``images`` is not uint8 (scaled twice, perhaps).

    Examples:
        >>> to_unit(torch.tensor([0, 51, 255], dtype=torch.uint8))
        tensor([0.0000, 0.2000, 1.0000])
    """
    return _uint8(images).to(torch.float32).div_(255)


def binarize(images: Tensor | np.ndarray, generator: torch.Generator) -> Tensor:
    """Draw x ~ Bernoulli(pixel / 255), each pixel by itself.

    Called once with a fixed generator this is static binarization; called on each batch, dynamic
    (Salakhutdinov and Murray 2008; Burda et al. 2016). The probability is exact: u is uniform on
    the 255 integers 0 … 254 and x = 1 where u < pixel, so 0 is never and 255 always drawn.

    Args:
        images: uint8, any shape, on any device; a tensor or a numpy array.
        generator: Where the randomness comes from; on the device of ``images``.

    Returns:
        float32 of zeros and ones, the same shape and device.

    Raises:
        TypeError: ``images`` is not uint8 (binarized before, perhaps), or no generator is given.
        ValueError: ``generator`` is on another device than ``images``.

    Examples:
        >>> gray = torch.tensor([0, 128, 128, 128, 255], dtype=torch.uint8)
        >>> binarize(gray, torch.Generator().manual_seed(1))
        tensor([0., 0., 1., 0., 1.])
    """
    images = _uint8(images)
    if not isinstance(generator, torch.Generator):
        raise TypeError(
            f"generator is {generator!r}, not a torch.Generator: torch.Generator().manual_seed(0)"
        )
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


def _uint8(images: Tensor | np.ndarray) -> Tensor:
    images = as_tensor(images, "images")
    if images.dtype != torch.uint8:
        raise TypeError(
            f"images are {images.dtype}, but gray levels, 0 to 255, are torch.uint8, as load() "
            "gives them: cast levels by .to(torch.uint8); what to_unit or binarize made goes into "
            "a model as it is"
        )
    return images
