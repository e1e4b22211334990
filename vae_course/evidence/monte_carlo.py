"""log p(x) by sampling codes: weights from the prior or any proposal, and their worth."""

import torch
from torch import Tensor

from vae_course.distributions import DiagonalGaussian, with_generator
from vae_course.objectives import LatentVariableModel, check_observed


def prior_log_weights(
    model: LatentVariableModel, x: Tensor, k: int, generator: torch.Generator | None = None
) -> Tensor:
    """log w_i = log p(x|z_i) for k codes z_i ~ p(z) an image: naive Monte Carlo.

    The mean of w_i is unbiased for p(x). `iwae_bound` of the log-weights, the log of that mean,
    is too low for log p(x) on average.

    Args:
        model: anything with `decode` and `prior`.
        x: images, `(batch, ...)`.
        k: codes an image, at least 1; `k · batch` of them are decoded at once.
        generator: source of the codes.

    Returns:
        Shape `(batch, k)`, nats per image.

    Raises:
        ValueError: k < 1.
    """
    _require_samples(k)
    check_observed(model, x)
    prior = model.prior()
    shape = (k,) if prior.batch_shape else (k, len(x))  # of given(y), a prior for each image
    z = with_generator(prior, "sample").sample(shape, generator)  # (k, batch, latent)
    log_w: Tensor = model.decode(z).log_prob(x)
    return log_w.T


def proposal_log_weights(
    model: LatentVariableModel,
    x: Tensor,
    q: DiagonalGaussian,
    k: int,
    generator: torch.Generator | None = None,
) -> Tensor:
    """log w_i = log p(x|z_i) + log p(z_i) − log q(z_i) for k codes z_i ~ q an image.

    What `vae_course.objectives.log_weights` does with the encoder's q, with any q.

    Args:
        model: anything with `decode` and `prior`.
        x: images, `(batch, ...)`.
        q: the proposal, batch shape `(batch,)`.
        k: codes an image, at least 1; `k · batch` of them are decoded at once.
        generator: source of the codes.

    Returns:
        Shape `(batch, k)`, nats per image.

    Raises:
        ValueError: k < 1, or q is not one distribution for each image.
    """
    _require_samples(k)
    check_observed(model, x)
    if q.batch_shape != x.shape[:1]:
        raise ValueError(f"q has batch shape {tuple(q.batch_shape)} but there are {len(x)} images")
    z = q.sample((k,), generator)  # (k, batch, latent)
    log_joint = model.decode(z).log_prob(x) + model.prior().log_prob(z)
    log_w: Tensor = log_joint - q.log_prob(z)
    return log_w.T


def effective_sample_size(log_w: Tensor) -> Tensor:
    """(Σ w_i)² / Σ w_i²: how many equal weights would average as well.

    From 1, where one weight outweighs all others, to k, where all are equal; a common factor of
    the weights changes nothing. It is itself an estimate: k weights of which none has met the
    posterior can look even.

    Args:
        log_w: log-weights, `(batch, k)`.

    Returns:
        Shape `(batch,)`.

    Source: Kong, Liu & Wong (1994); Owen (2013), section 9.3.
    """
    return torch.exp(2 * torch.logsumexp(log_w, dim=-1) - torch.logsumexp(2 * log_w, dim=-1))


def _require_samples(k: int) -> None:
    if k < 1:
        raise ValueError(f"k = {k}: an estimate of p(x) needs at least one sample")
