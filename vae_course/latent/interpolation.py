"""Paths between two codes: along the sphere, and along the decoder's own metric."""

from collections.abc import Callable

import torch
from torch import Tensor

from vae_course.models import interpolate


def slerp(start: Tensor, end: Tensor, steps: int) -> Tensor:
    """Return z(α) = [sin((1 − α) Ω) start + sin(α Ω) end] / sin Ω for α from 0 to 1.

    Ω is the angle between the two codes, cos Ω = ⟨start, end⟩ / (‖start‖ ‖end‖). Codes of equal
    norm are joined by the shorter arc of a great circle, at constant speed; as Ω → 0 the path
    becomes the straight line.

    Args:
        start: codes, `(..., latent)`.
        end: codes of the same shape.
        steps: how many, both ends counted.

    Returns:
        `(steps, ..., latent)`.

    Raises:
        ValueError: a code is zero, or two codes point in opposite directions: there is no angle,
            or no one shortest arc.

    Source: Shoemake (1985); White (2016), section 2.1.
    """
    norms = start.norm(dim=-1, keepdim=True) * end.norm(dim=-1, keepdim=True)
    if (norms == 0).any():
        raise ValueError("slerp: a code of norm zero has no direction")
    cosine = ((start * end).sum(-1, keepdim=True) / norms).clamp(-1, 1)
    omega = torch.arccos(cosine)
    if (torch.pi - omega < 1e-3).any():
        raise ValueError("slerp: two codes point in opposite directions, so every arc is shortest")
    alpha = torch.linspace(0, 1, steps, device=start.device, dtype=start.dtype)
    alpha = alpha.view(-1, *[1] * start.dim())
    near = omega < 1e-3  # sin(α Ω) / sin Ω is α to 1e-7 there
    safe = torch.where(near, 1.0, omega)
    first = torch.where(near, 1 - alpha, torch.sin((1 - alpha) * safe) / torch.sin(safe))
    second = torch.where(near, alpha, torch.sin(alpha * safe) / torch.sin(safe))
    return first * start + second * end


def path_length(points: Tensor) -> Tensor:
    """Σ_i ‖x_{i+1} − x_i‖ of paths `(steps, batch, ...)`: shape `(batch,)`, in the points' unit."""
    steps: Tensor = points.diff(dim=0).flatten(2).norm(dim=-1)
    return steps.sum(0)


def path_energy(points: Tensor) -> Tensor:
    """(S − 1) Σ_i ‖x_{i+1} − x_i‖² of paths `(S, batch, ...)`: shape `(batch,)`.

    With this factor length² ≤ energy, and the two are equal if and only if all steps have the
    same length.

    Source: Shao et al. (2018), the discrete energy of their algorithm 1.
    """
    steps = points.diff(dim=0).flatten(2)
    return len(steps) * steps.square().sum(dim=(0, 2))


def geodesic(
    decode: Callable[[Tensor], Tensor],
    start: Tensor,
    end: Tensor,
    steps: int,
    *,
    iterations: int = 200,
    learning_rate: float = 0.05,
) -> Tensor:
    """Bend the straight line between two codes until its decoded energy is (locally) smallest.

    The energy is that of the decoder's images along the path, `path_energy(decode(z))`, which
    measures every step by the pull-back metric J(z)ᵀ J(z). The end points stay; the inner ones
    follow Adam, whose rate decays to zero along half a cosine.

    Args:
        decode: codes `(..., latent)` to points `(..., *shape)`, differentiable.
        start: codes, `(batch, latent)`.
        end: codes of the same shape.
        steps: points of the path, both ends counted, at least 3.
        iterations: of Adam.
        learning_rate: of the first iteration.

    Returns:
        `(steps, batch, latent)`. A path whose energy did not fall is left straight.

    Raises:
        ValueError: a path of fewer than three points has nothing to move.

    Source: Shao et al. (2018), algorithm 1; Arvanitidis et al. (2018) on the metric.
    """
    if steps < 3:
        raise ValueError(f"steps = {steps}: a path with points to move has at least 3")
    line = interpolate(start.detach(), end.detach(), steps)
    inner = line[1:-1].clone().requires_grad_()
    optimizer = torch.optim.Adam([inner], lr=learning_rate)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, iterations)
    for _ in range(iterations):
        path = torch.cat([line[:1], inner, line[-1:]])
        (inner.grad,) = torch.autograd.grad(path_energy(decode(path)).sum(), [inner])
        optimizer.step()
        decay.step()
    with torch.no_grad():
        bent = torch.cat([line[:1], inner, line[-1:]])
        lower = path_energy(decode(bent)) < path_energy(decode(line))
        return torch.where(lower.view(1, -1, 1), bent, line)
