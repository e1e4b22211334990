"""What lies around a code: steps in random directions, in units that no rescaling can change."""

from dataclasses import dataclass

import torch
from torch import Tensor

from vae_course.distributions import DiagonalGaussian
from vae_course.objectives import check_diagonal


@dataclass(frozen=True)
class Whitening:
    """The linear map w = R⁻¹ (z − m) that gives codes mean 0 and covariance I.

    An autoencoder's loss does not change when its codes are mapped by z ↦ A z + b and its decoder
    undoes it. Distances between w are the Mahalanobis distances of the codes, and do not either.

    Attributes:
        center: m, shape `(latent,)`.
        root: R, lower triangular, with R Rᵀ the covariance of the codes, `(latent, latent)`.
    """

    center: Tensor
    root: Tensor

    def whiten(self, z: Tensor) -> Tensor:
        """Return w of codes `(..., latent)`, the same shape."""
        shifted = (z - self.center).unsqueeze(-1)
        solved: Tensor = torch.linalg.solve_triangular(self.root, shifted, upper=False)
        return solved.squeeze(-1)

    def restore(self, w: Tensor) -> Tensor:
        """Return the codes z = m + R w, the inverse of `whiten`."""
        return self.center + w @ self.root.T


def fit_whitening(codes: Tensor) -> Whitening:
    """Take mean and covariance of codes `(N, latent)`.

    Raises:
        ValueError: the codes do not spread in every direction, so no unit fits all of them.

    Source: Mahalanobis (1936).
    """
    center = codes.double().mean(0)
    covariance = torch.cov(codes.double().T).reshape(codes.shape[1], codes.shape[1])
    root, failed = torch.linalg.cholesky_ex(covariance)
    # What is left of each latent once those before it are known; codes are exact to about 1e-7.
    rest = root.diagonal() / covariance.diagonal().sqrt()
    if failed or not bool((rest > 1e-6).all()):
        raise ValueError(
            f"the covariance of {len(codes)} codes of size {codes.shape[1]} is singular: some "
            "direction has no spread to measure a step by"
        )
    return Whitening(center.to(codes), root.to(codes))


def unit_directions(count: int, latent: int, generator: torch.Generator) -> Tensor:
    """Draw directions uniformly from the unit sphere: normalized N(0, I), `(count, latent)`.

    Source: Muller (1959).
    """
    drawn = torch.randn(count, latent, generator=generator, device=generator.device)
    return torch.nn.functional.normalize(drawn, dim=-1)


def neighborhood(codes: Tensor, radii: Tensor, generator: torch.Generator) -> Tensor:
    """Walk from each code in a random direction of its own: z + r u with ‖u‖ = 1.

    Args:
        codes: shape `(N, latent)`.
        radii: how far, `(R,)`, in units of the codes' coordinates; all lie on one ray.
        generator: source of the directions, on the codes' device.

    Returns:
        `(R, N, latent)`.
    """
    directions = unit_directions(codes.shape[0], codes.shape[1], generator)
    return codes + radii.to(codes).view(-1, 1, 1) * directions


def nearest_code(codes: Tensor, others: Tensor, block: int = 1024) -> tuple[Tensor, Tensor]:
    """Return the Euclidean distance to the nearest of `others`, and its index, both `(N,)`.

    Args:
        codes: shape `(N, latent)`.
        others: shape `(M, latent)`.
        block: codes compared at a time, which bounds the memory to `block · M` numbers.
    """
    found = [torch.cdist(part, others).min(dim=1) for part in codes.split(block)]
    return torch.cat([f.values for f in found]), torch.cat([f.indices for f in found])


def overlap(p: DiagonalGaussian, q: DiagonalGaussian) -> Tensor:
    """∫ √(p(z) q(z)) dz: 1 for equal distributions, 0 for ones that never meet.

    For diagonal Gaussians it is the product over latents of
    √(2 σ₁ σ₂ / (σ₁² + σ₂²)) · exp(−¼ (μ₁ − μ₂)² / (σ₁² + σ₂²)).

    Returns:
        The batch shapes of p and q, broadcast.

    Source: Bhattacharyya (1943); exercise 3.2 derives it.
    """
    for each in (p, q):
        check_diagonal(overlap, each)
    both = p.variance + q.variance
    width = 0.5 * (torch.log(2 * p.stddev * q.stddev) - torch.log(both))
    apart = 0.25 * (p.mean - q.mean).square() / both
    return torch.exp((width - apart).sum(-1))
