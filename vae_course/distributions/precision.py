"""The precision that the numbers of a distribution are read in from a network."""

import torch
from torch import Tensor


def full_precision(x: Tensor) -> Tensor:
    """Lift what autocast or half-precision weights left to float32; float64 stays float64."""
    return x if x.dtype == torch.float64 else x.float()
