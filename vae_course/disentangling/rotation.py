"""Turning latent space: the prior does not notice, diagonal posteriors do."""

import math

import torch
from torch import Tensor


def plane_rotation(latent_dim: int, first: int, second: int, angle: float) -> Tensor:
    """Return the orthogonal matrix `(latent, latent)` that turns the plane of two latents.

    Codes `(batch, latent)` are turned by `z @ u.T`; 90° puts the first latent in the second's
    place.

    Args:
        latent_dim: size of z.
        first: a latent.
        second: another one.
        angle: in radians.

    Raises:
        ValueError: it is one latent twice.
        IndexError: there is no such latent.
    """
    if first == second:
        raise ValueError(f"latent {first} twice: a plane takes two")
    u = torch.eye(latent_dim)
    u[first, first] = u[second, second] = math.cos(angle)
    u[first, second], u[second, first] = -math.sin(angle), math.sin(angle)
    return u


def diagonal_gap(log_var: Tensor, u: Tensor) -> Tensor:
    """½ (Σ_d log Λ_dd − log det Λ), Λ = U diag(1/σ²) Uᵀ: what a diagonal stand-in loses.

    It is the smallest KL(q' ‖ p') from a diagonal Gaussian to the posterior N(μ, diag σ²) turned
    by U, whatever μ.

    Args:
        log_var: log σ², shape `(batch, latent)`.
        u: orthogonal, `(latent, latent)`.

    Returns:
        Shape `(batch,)`, nats per image; not negative.

    Source: Bishop (2006), section 10.1.2; Rolínek et al. (2019) for what it does to a VAE.
    """
    diagonal = torch.exp(-log_var) @ u.square().T  # Λ_dd = Σ_k U_dk² / σ_k²
    return 0.5 * (diagonal.log().sum(-1) + log_var.sum(-1))
