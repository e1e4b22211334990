"""A linear-Gaussian model whose posterior is turned against the axes by a known angle."""

import math

import torch

from vae_course.models.linear_gaussian import LinearGaussian


def rotated_linear_gaussian(strengths: tuple[float, float], degrees: float) -> LinearGaussian:
    """Return x = diag(s) Rᵀ z + ε with R a turn by `degrees` and ε ~ N(0, I), in float64.

    p(x) = N(0, diag(s² + 1)) does not depend on the angle, because the prior looks the same from
    every side; the posterior's precision Λ = R diag(1 + s²) Rᵀ does.

    Args:
        strengths: s, how strongly each direction of latent space shows in x.
        degrees: the angle between those directions and the axes of z.
    """
    angle = math.radians(degrees)
    cos, sin = math.cos(angle), math.sin(angle)
    turn = torch.tensor([[cos, -sin], [sin, cos]], dtype=torch.float64)
    weight = torch.diag(torch.tensor(strengths, dtype=torch.float64)) @ turn.T
    return LinearGaussian(weight, torch.zeros(2, dtype=torch.float64), 1.0)
