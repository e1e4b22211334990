"""How well a model explains held-out images: ELBO, log p(x) by importance sampling, bits/dim."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vae_course.distributions import kl, with_generator
from vae_course.objectives import (
    JointModel,
    LatentVariableModel,
    check_fits,
    check_observed,
    log_weights,
)


@dataclass(frozen=True)
class ELBOEstimate:
    """Terms of held-out images, each `(N,)` in nats per image.

    Attributes:
        elbo: log p(x|z) averaged over samples of q, minus the KL.
        reconstruction: −log p(x|z), averaged over samples of q.
        kl: KL(q(z|x) ‖ p(z)), in closed form.
    """

    elbo: Tensor
    reconstruction: Tensor
    kl: Tensor


@torch.no_grad()
def estimate_elbo(
    model: LatentVariableModel,
    x: Tensor,
    *,
    samples: int = 1,
    chunk: int = 4096,
    generator: torch.Generator | None = None,
) -> ELBOEstimate:
    """ELBO(x) = E_q[log p(x|z)] − KL(q(z|x) ‖ p(z)) for each image, p(z) the model's own prior.

    Args:
        model: anything with `encode`, `decode` and `prior`.
        x: images, `(N, ...)`, of any number.
        samples: draws of q for the first term.
        chunk: pairs of image and sample decoded at once; memory does not grow past it.
        generator: source of the samples.

    Returns:
        Terms of shape `(N,)`.

    Raises:
        ValueError: samples < 1, or images that the model cannot score.
        TypeError: the KL to the model's prior has no closed form.

    Source: Kingma & Welling (2014), equation 10.

    Example:
        >>> from vae_course.models import random_linear_gaussian
        >>> noise = torch.Generator().manual_seed(0)
        >>> model = random_linear_gaussian(observed=6, latent=3, sigma=0.5, generator=noise)
        >>> x = torch.zeros(1, 6, dtype=torch.float64)
        >>> estimate = estimate_elbo(model, x, samples=20_000, generator=noise)
        >>> bool((estimate.elbo - model.optimal_elbo(x)).abs() < 0.1)
        True
    """
    if samples < 1:
        raise ValueError(f"samples = {samples}: an estimate of the ELBO needs at least one sample")
    check_fits(estimate_elbo, model, LatentVariableModel)
    check_observed(model, x)
    reconstruction, divergence = [], []
    for batch in x.split(max(1, chunk // samples)):
        q = with_generator(model.encode(batch))
        total = torch.zeros(len(batch), device=x.device)
        for part in _parts(samples, chunk):
            z = q.rsample((part,), generator)
            total = total + model.decode(z).log_prob(batch).sum(0)
        reconstruction.append(-total / samples)
        divergence.append(kl(q, model.prior()))
    first, second = torch.cat(reconstruction), torch.cat(divergence)
    return ELBOEstimate(-first - second, first, second)


@torch.no_grad()
def log_marginal(
    model: LatentVariableModel | JointModel,
    x: Tensor,
    k: int,
    *,
    chunk: int = 4096,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Estimate log p(x) by L_k: exactly k importance samples an image, in constant memory.

    The estimate is a lower bound in expectation; it tightens with k.

    Args:
        model: anything with `encode`, `decode` and `prior`, or with `log_weights` of its own.
        x: images, `(N, ...)`, of any number.
        k: importance samples for each image.
        chunk: pairs of image and sample decoded at once; memory does not grow past it.
        generator: source of the samples.

    Returns:
        Shape `(N,)`, nats per image.

    Raises:
        ValueError: k < 1, or images that the model cannot score.

    Source: Burda et al. (2016), section 5 (k = 5000); Rezende et al. (2014), appendix E.

    Example:
        >>> from vae_course.models import random_linear_gaussian
        >>> noise = torch.Generator().manual_seed(0)
        >>> model = random_linear_gaussian(observed=6, latent=3, sigma=0.5, generator=noise)
        >>> x = torch.zeros(1, 6, dtype=torch.float64)
        >>> estimate = log_marginal(model, x, k=20_000, generator=noise)
        >>> bool((estimate - model.marginal().log_prob(x)).abs() < 0.1)
        True
    """
    if k < 1:
        raise ValueError(f"k = {k}: an estimate of log p(x) needs at least one sample")
    check_observed(model, x)
    bounds = []
    for batch in x.split(max(1, chunk // k)):
        running = torch.full((len(batch),), -math.inf, device=x.device, dtype=torch.float64)
        for part in _parts(k, chunk):
            log_w = log_weights(model, batch, part, generator).double()
            running = torch.logaddexp(running, torch.logsumexp(log_w, dim=-1))
        bounds.append(running - math.log(k))
    return torch.cat(bounds).to(torch.get_default_dtype() if x.dtype != torch.float64 else x.dtype)


def _parts(total: int, at_most: int) -> Iterator[int]:
    """Split a number into parts no larger than `at_most`: 10, 4 → 4, 4, 2."""
    for start in range(0, total, at_most):
        yield min(at_most, total - start)


def bits_per_dim(log_px: Tensor, image_shape: Sequence[int]) -> Tensor:
    """−log p(x) / (D log 2): nats per image → bits per dimension, D = channels · height · width."""
    return -log_px / (math.prod(image_shape) * math.log(2))
