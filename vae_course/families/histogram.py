"""A density by counting: the simplest model there is."""

import torch
from torch import Tensor


class Histogram:
    """p(x) = (n_b + a) / (N + a B²) / (area of a bin), for x in bin b of a square of B × B bins.

    Without the pseudo-count a, a point in a bin that no training point fell into would have
    probability zero and log-probability −∞.

    Args:
        points: training points, `(N, 2)`.
        bins: B, bins along each side.
        extent: half the width of the square [−extent, extent]².
        pseudo_count: a, added to the count of every bin.
    """

    def __init__(self, points: Tensor, bins: int, extent: float, pseudo_count: float) -> None:
        """Count the points of every bin."""
        self.bins, self.extent = bins, extent
        index = self._index(points)
        inside = (index >= 0).all(-1) & (index < bins).all(-1)
        flat = index[inside, 0] * bins + index[inside, 1]
        counts = torch.bincount(flat, minlength=bins**2).float() + pseudo_count
        self.density = counts / counts.sum() / (2 * extent / bins) ** 2

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x) in nats, `(n, 2)` => `(n,)`; −∞ outside the square."""
        index = self._index(x)
        inside = (index >= 0).all(-1) & (index < self.bins).all(-1)
        index = index.clamp(0, self.bins - 1)
        density = self.density[index[:, 0] * self.bins + index[:, 1]]
        return torch.log(torch.where(inside, density, 0.0))

    def _index(self, x: Tensor) -> Tensor:
        return torch.floor((x + self.extent) / (2 * self.extent) * self.bins).long()
