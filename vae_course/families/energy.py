"""A distance between two clouds of points that needs no density."""

import torch
from torch import Tensor


def energy_distance(x: Tensor, y: Tensor) -> float:
    """2 E‖X − Y‖ − E‖X − X'‖ − E‖Y − Y'‖, estimated without bias; 0 only for equal distributions.

    Args:
        x: points, `(n, dimensions)`, at least two.
        y: points, `(m, dimensions)`, at least two.

    Returns:
        In the unit of the points. Being unbiased, it can be slightly negative: compare it with
        its values between two halves of real data.

    Raises:
        ValueError: fewer than two points on either side.

    Source: Székely & Rizzo (2013), equation 1.
    """
    if min(len(x), len(y)) < 2:
        raise ValueError(f"{len(x)} and {len(y)} points: a distance needs two on either side")
    between = 2 * torch.cdist(x, y).mean()
    return float(between - _mean_distance(x) - _mean_distance(y))


def _mean_distance(x: Tensor) -> Tensor:
    """Mean distance of two different points of one cloud."""
    return torch.cdist(x, x).sum() / (len(x) * (len(x) - 1))
