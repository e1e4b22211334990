"""log p(x), the true posterior and divergences by brute force: a grid over a small latent space."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from vae_course.distributions import unbatched
from vae_course.objectives import LatentVariableModel, check_observed

MOST_DIMENSIONS = 3


@dataclass(frozen=True)
class LatentGrid:
    """Equal cells that tile the cube [−bound, bound]^latent.

    Attributes:
        points: the cells' centers, `(cells, latent)`, float64; the last coordinate runs fastest.
        axis: the centers along one coordinate, `(points,)`, float64.
        cell_volume: Δ, the volume of a cell.
    """

    points: Tensor
    axis: Tensor
    cell_volume: float


def latent_grid(
    latent_dim: int, bound: float, points: int, *, device: torch.device | str | None = None
) -> LatentGrid:
    """Lay `points` cells along each coordinate from −bound to bound: points^latent_dim in all.

    Args:
        latent_dim: 1, 2 or 3.
        bound: half the side of the cube, in standard deviations of the prior N(0, I).
        points: cells along one coordinate.
        device: where the points live.

    Raises:
        ValueError: more latents than a grid is good for, no points, or a bound that is not
            positive.
    """
    if not 1 <= latent_dim <= MOST_DIMENSIONS:
        raise ValueError(
            f"a grid over {latent_dim} latents with {points} points along each has "
            f"{points}^{latent_dim} cells; grids are for 1 to {MOST_DIMENSIONS} latents, beyond "
            "that estimate log p(x) by vae_course.metrics.log_marginal"
        )
    if points < 1 or not bound > 0:
        raise ValueError(
            f"points = {points} and bound = {bound}: a grid needs at least one point and a "
            "positive bound"
        )
    step = 2 * bound / points
    axis = (torch.arange(points, dtype=torch.float64, device=device) + 0.5) * step - bound
    mesh = torch.meshgrid(*[axis] * latent_dim, indexing="ij")
    return LatentGrid(torch.stack([m.flatten() for m in mesh], -1), axis, step**latent_dim)


def grid_log_joint(
    model: LatentVariableModel, x: Tensor, grid: LatentGrid, *, chunk: int = 4096
) -> Tensor:
    """log p(x, z_j) = log p(x|z_j) + log p(z_j) at the center z_j of every cell.

    Args:
        model: anything with `decode` and `prior`.
        x: images, `(batch, ...)`.
        grid: over the model's latent space.
        chunk: pairs of image and code evaluated at once; memory does not grow past it (unless
            gradients are recorded).

    Returns:
        Shape `(batch, cells)`, nats. Every image is scored against the same decoded codes.

    Raises:
        ValueError: the grid and the model differ in their latent size, or the prior is another
            one for each image.
    """
    check_observed(model, x)
    latents = unbatched(model.prior()).event_shape[-1]
    if grid.points.shape[-1] != latents:
        raise ValueError(f"the grid has {grid.points.shape[-1]} latents but the model {latents}")
    parts = []
    for z in grid.points.to(x.dtype).split(max(1, chunk // len(x))):
        log_px = model.decode(z.unsqueeze(1)).log_prob(x)  # (part, batch)
        parts.append(log_px.T + model.prior().log_prob(z))
    return torch.cat(parts, dim=-1)


def grid_log_marginal(log_joint: Tensor, grid: LatentGrid) -> Tensor:
    """log p(x) ≈ log Σ_j p(x|z_j) p(z_j) Δ: the midpoint rule, in log space.

    Two things make it wrong: cells wider than the posterior, and a bound that cuts the posterior
    off. For integrands that are smooth and vanish at the bounds the first error falls faster than
    any power of the cell's width.

    Args:
        log_joint: from `grid_log_joint`, `(batch, cells)`.
        grid: the same grid.

    Returns:
        Shape `(batch,)`, nats per image.

    Source: Trefethen & Weideman (2014), section 5 (the trapezoidal rule on the real line; shifted
    by half a cell it is the midpoint rule).
    """
    total = torch.logsumexp(log_joint.double(), dim=-1) + math.log(grid.cell_volume)
    return total.to(log_joint.dtype)


def grid_log_posterior(log_joint: Tensor, grid: LatentGrid) -> Tensor:
    """log p(z_j|x) = log p(x, z_j) − log p(x): Bayes' rule on the grid.

    A log-*density*: Σ_j p(z_j|x) Δ = 1, so that it compares with `q.log_prob(z)`.

    Args:
        log_joint: from `grid_log_joint`, `(batch, cells)`.
        grid: the same grid.

    Returns:
        Shape `(batch, cells)`.
    """
    return log_joint - grid_log_marginal(log_joint, grid).unsqueeze(-1)


def grid_kl(log_q: Tensor, log_p: Tensor, grid: LatentGrid) -> Tensor:
    """KL(q ‖ p) ≈ Σ_j q(z_j) (log q(z_j) − log p(z_j)) Δ.

    Args:
        log_q: log-density of q at the grid's points, `(..., cells)`.
        log_p: log-density of p there, broadcastable to it.
        grid: the same grid; q's mass has to lie inside it.

    Returns:
        Shape `(...)`, nats.
    """
    wide_q, wide_p = log_q.double(), log_p.double()
    divergence = (wide_q.exp() * (wide_q - wide_p)).sum(-1) * grid.cell_volume
    return divergence.to(log_q.dtype)
