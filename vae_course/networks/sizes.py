"""Sizes as they are given: whole numbers, each at least one."""

from collections.abc import Iterable
from operator import index
from typing import Any

ImageShape = tuple[int, int, int]


def as_size(name: str, value: Any) -> int:
    """Return a size as an int.

    Raises:
        TypeError: it is not a whole number.
        ValueError: it is less than one.
    """
    if not hasattr(value, "__index__") or isinstance(value, bool):
        raise TypeError(f"{name} = {value!r:.80} is not a whole number")
    size = index(value)
    if size < 1:
        raise ValueError(f"{name} = {size}: a size is at least 1")
    return size


def as_sizes(name: str, values: Any) -> tuple[int, ...]:
    """Return several sizes as ints.

    Raises:
        TypeError: it is no sequence of whole numbers.
        ValueError: one of them is less than one.
    """
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise TypeError(
            f"{name} = {values!r:.80} is not a sequence: give ({values!r:.80},) for one"
        )
    return tuple(as_size(f"{name}[{i}]", value) for i, value in enumerate(values))


def as_image_shape(shape: Any, name: str = "image_shape") -> ImageShape:
    """Return `(channels, height, width)` as ints.

    Raises:
        TypeError: it is no sequence of whole numbers.
        ValueError: there are not three of them, or one is less than one.
    """
    wanted = "(channels, height, width), as (1, 28, 28) for gray images of 28×28 pixels"
    if isinstance(shape, str) or not isinstance(shape, Iterable):
        raise TypeError(f"{name} = {shape!r:.80} is no shape: give {wanted}")
    sizes = as_sizes(name, shape)
    if len(sizes) != 3:
        raise ValueError(f"{name} = {sizes} has {len(sizes)} sizes: give {wanted}")
    return sizes[0], sizes[1], sizes[2]
