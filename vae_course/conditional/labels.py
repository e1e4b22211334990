"""Labels as conditions: whole numbers, of which a model knows the first so many."""

import torch
from torch import Tensor

UNKNOWN = -1  # the label of an image without one


def check_kind(y: object) -> None:
    """Refuse what are no labels; nothing is read from them.

    Raises:
        TypeError: not a tensor.
        ValueError: not whole numbers, as indices are.
    """
    if not isinstance(y, Tensor):
        raise TypeError(
            f"labels are a {type(y).__name__}, not a tensor: torch.tensor([…]), one for each image"
        )
    if y.dtype not in (torch.int64, torch.int32):
        raise ValueError(f"labels are whole numbers, not {y.dtype}: use y.long() for classes")


def check_classes(y: Tensor, classes: int, *, least: int = 0) -> None:
    """Refuse labels outside of `least` … `classes − 1`; it reads them, and waits for a GPU's.

    Raises:
        ValueError: one of them is outside.
    """
    if not y.numel():
        return
    low, high = int(y.min()), int(y.max())
    if low < least or high >= classes:
        unknown = f", and {UNKNOWN} for an unknown one" if least == UNKNOWN else ""
        raise ValueError(
            f"labels go from {low} to {high} but the model has {classes} classes, 0 to "
            f"{classes - 1}{unknown}: number them so, or build it with as many classes as there are"
        )
