"""Samples from the prior, straight walks and grids."""

import torch
from torch import Tensor
from torch.distributions import Normal

from vae_course.distributions import unbatched, with_generator
from vae_course.models.vae import VAE


@torch.no_grad()
def sample_images(model: VAE, n: int, generator: torch.Generator | None = None) -> Tensor:
    """Draw z ~ p(z) and return the mean image E[x|z] of each, `(n, C, H, W)`.

    Raises:
        ValueError: the prior is another one for each of several conditions.
    """
    z = with_generator(unbatched(model.prior()), "sample").sample((n,), generator)
    return model.decode(z).mean


def interpolate(start: Tensor, end: Tensor, steps: int) -> Tensor:
    """Return z(α) = (1 − α) start + α end for `steps` values of α from 0 to 1.

    Args:
        start: codes, `(..., latent)`.
        end: codes of the same shape.
        steps: how many, both ends counted.

    Returns:
        `(steps, ..., latent)`.
    """
    alpha = torch.linspace(0, 1, steps, device=start.device, dtype=start.dtype)
    return torch.lerp(start, end, alpha.view(-1, *[1] * start.dim()))


def traverse(z: Tensor, dim: int, values: Tensor) -> Tensor:
    """Return copies of one code `(latent,)` with coordinate `dim` set to each of `values`.

    Returns:
        `(len(values), latent)`.

    Raises:
        IndexError: the code has no coordinate `dim`.
    """
    if not 0 <= dim < len(z):
        raise IndexError(f"dim = {dim}, but a code of {len(z)} latents has 0 to {len(z) - 1}")
    codes = z.repeat(len(values), 1)
    codes[:, dim] = values.to(codes)
    return codes


def manifold_grid(side: int) -> Tensor:
    """Return a `side × side` grid of 2-D codes at equal steps of the probability of N(0, I).

    Row by row from the top left; z = Φ⁻¹(u) for u at the centers of `side` equal parts of [0, 1],
    the first coordinate growing to the right and the second upwards.

    Returns:
        `(side · side, 2)`.

    Source: Kingma & Welling (2014), figure 4.
    """
    u = (torch.arange(side) + 0.5) / side
    quantiles = Normal(0.0, 1.0).icdf(u)
    up, right = torch.meshgrid(quantiles.flip(0), quantiles, indexing="ij")
    return torch.stack([right.flatten(), up.flatten()], dim=-1)
