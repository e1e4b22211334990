"""Neighbors in latent space: distances between posteriors, and how many neighbors are alike."""

from torch import Tensor

from vae_course.distributions import DiagonalGaussian
from vae_course.objectives import check_diagonal


def symmetric_kl(q: DiagonalGaussian, r: DiagonalGaussian) -> Tensor:
    """KL(q_n ‖ r_m) + KL(r_m ‖ q_n) for every pair of two sets of posteriors.

    = ½ Σ_d [(Δμ² + σ_q²) / σ_r² + (Δμ² + σ_r²) / σ_q²] − latent, by matrix products.

    Args:
        q: batch shape `(n,)`.
        r: batch shape `(m,)`.

    Returns:
        `(n, m)`, nats.

    Source: Jeffreys (1946); the divergence by its other name.
    """
    for each in (q, r):
        check_diagonal(symmetric_kl, each)
    one, two = q.log_var.neg().exp(), r.log_var.neg().exp()  # 1 / σ²
    forward = q.mean.square() @ two.T - 2 * q.mean @ (r.mean * two).T + (r.mean**2 * two).sum(-1)
    back = (q.mean**2 * one).sum(-1)[:, None] - 2 * (q.mean * one) @ r.mean.T + one @ (r.mean**2).T
    spread = q.variance @ two.T + one @ r.variance.T
    return 0.5 * (forward + back + spread) - q.mean.shape[-1]


def precision_at_k(neighbors: Tensor, labels: Tensor) -> Tensor:
    """Share of each query's neighbors that have its label, `(n,)`.

    Args:
        neighbors: labels of the k nearest, `(n, k)`.
        labels: of the queries, `(n,)`.
    """
    return (neighbors == labels[:, None]).float().mean(-1)
