"""The aggregate posterior q(z) = (1/N) Σ q(z|x_n), and what it does to the KL."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Distribution

from vae_course.distributions import DiagonalGaussian, log_standard_normal
from vae_course.objectives import check_diagonal
from vae_course.priors.mixtures import log_gaussians


@torch.no_grad()
def log_aggregate(z: Tensor, posteriors: DiagonalGaussian, *, chunk: int = 1024) -> Tensor:
    """log q(z) = log (1/N) Σ_n q(z|x_n): the density of the codes of all the images together.

    Args:
        z: codes, `(M, latent)`.
        posteriors: q(z|x_n) of N images, batch shape `(N,)`.
        chunk: codes at once; memory grows with chunk · N.

    Returns:
        Shape `(M,)`, nats.

    Source: Hoffman & Johnson (2016); Tomczak & Welling (2018), section 3.
    """
    check_diagonal(log_aggregate, posteriors)
    mean, log_var = posteriors.mean, posteriors.log_var
    pairs = (log_gaussians(part, mean, log_var).to(z.dtype) for part in z.split(chunk))
    return torch.cat([torch.logsumexp(part, -1) for part in pairs]) - math.log(len(mean))


@dataclass(frozen=True)
class Surgery:
    """The average KL cut in two, at one z ~ q(z|x_n) each: `(codes,)`, nats per image.

    Attributes:
        kl: log q(z|x_n) − log p(z); its mean estimates the average KL.
        mutual_information: log q(z|x_n) − log q(z), at most log N.
        marginal_kl: log q(z) − log p(z); its mean estimates KL(q(z) ‖ p(z)).
    """

    kl: Tensor
    mutual_information: Tensor
    marginal_kl: Tensor


@torch.no_grad()
def elbo_surgery(
    posteriors: DiagonalGaussian,
    codes: int,
    generator: torch.Generator | None = None,
    *,
    prior: Distribution | None = None,
) -> Surgery:
    """(1/N) Σ KL(q(z|x_n) ‖ p(z)) = I(n; z) + KL(q(z) ‖ p(z)), with q(z) of these N images.

    Args:
        posteriors: q(z|x_n), batch shape `(N,)`.
        codes: for how many of the images, the first ones, a code is drawn; q(z) is of all N.
        generator: source of the codes.
        prior: p(z), a model's `prior()`; N(0, I) when left out.

    Source: Hoffman & Johnson (2016).
    """
    check_diagonal(elbo_surgery, posteriors)
    q = DiagonalGaussian(posteriors.mean[:codes], posteriors.log_var[:codes])
    z = q.sample(generator=generator)  # (codes, latent)
    log_qzx = q.log_prob(z)
    log_qz = log_aggregate(z, posteriors)
    log_pz = log_standard_normal(z) if prior is None else prior.log_prob(z)
    return Surgery(log_qzx - log_pz, log_qzx - log_qz, log_qz - log_pz)
