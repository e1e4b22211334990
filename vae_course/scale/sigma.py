"""The scale of a Gaussian likelihood: the best σ in closed form, and the β that a loss hides."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from vae_course.distributions import kl
from vae_course.objectives import ELBOTerms, LatentVariableModel, check_fits, check_observed, elbo


def optimal_variance(x: Tensor, mean: Tensor) -> Tensor:
    """σ*² = mean of (x − x̂)² over pixels and images: where Σ log N(x; x̂, σ²) is largest in σ².

    Args:
        x: images, `(batch, channels, height, width)`.
        mean: x̂, the same shape.

    Returns:
        A scalar; the same when every image is repeated.

    Source: Rybkin et al. (2021), the optimal σ-VAE.
    """
    return (x - mean).square().mean()


def optimal_gaussian_log_px(x: Tensor, mean: Tensor) -> Tensor:
    """log N(x; x̂, σ*² I) for each image, with the one σ*² that is best for these images together.

    The batch's average is −D/2 · (log 2πσ*² + 1). Its gradient is the one it has with σ*² held
    fixed, because at the maximum the derivative with respect to σ² is zero (envelope theorem).

    Args:
        x: images, `(batch, channels, height, width)`, not all of them equal pixel by pixel to x̂:
            σ*² = 0 has no logarithm.
        mean: x̂, the same shape.

    Returns:
        Shape `(batch,)`, nats per image.

    Source: Rybkin et al. (2021), the optimal σ-VAE.
    """
    variance = optimal_variance(x, mean)
    pixels = x[0].numel()
    squared = (x - mean).square().flatten(1).sum(-1)
    return -0.5 * (squared / variance + pixels * torch.log(2 * math.pi * variance))


@dataclass(frozen=True)
class OptimalSigmaLoss:
    """−ELBO of a Gaussian decoder whose one σ is, at every step, the best for the batch.

    It takes the decoder's mean image and ignores the σ that the model's likelihood has; after
    training, give the model `GaussianLikelihood(optimal_sigma(model, images))`, or what it decodes
    is not the distribution that was trained.

    Source: Rybkin et al. (2021), the optimal σ-VAE.
    """

    def __call__(
        self,
        model: LatentVariableModel,
        x: Tensor,
        step: int,
        generator: torch.Generator | None = None,
    ) -> ELBOTerms:
        """Evaluate at one sample z ~ q(z|x)."""
        check_fits(self, model, LatentVariableModel)
        q = model.encode(x)
        mean = model.decode(q.rsample(generator=generator)).mean
        log_px = optimal_gaussian_log_px(x, mean)
        divergence = kl(q, model.prior())
        return ELBOTerms(-elbo(log_px, divergence), -log_px, divergence)


@torch.no_grad()
def optimal_sigma(
    model: LatentVariableModel, x: Tensor, generator: torch.Generator | None = None
) -> float:
    """σ* = √ mean (x − x̂)² over all pixels and images, with x̂ decoded from one z ~ q(z|x) each.

    Args:
        model: anything with `encode` and `decode`.
        x: images, `(N, ...)`, of any number: the training images, for a σ to keep.
        generator: source of the samples.
    """
    check_observed(model, x)
    total = 0.0
    for part in x.split(4096):
        mean = model.decode(model.encode(part).rsample(generator=generator)).mean
        total += float(optimal_variance(part, mean)) * len(part)
    return math.sqrt(total / len(x))


def effective_beta(error_weight: float, kl_weight: float, sigma: float = 1.0) -> float:
    """β = b / (2aσ²), for which a·‖x − x̂‖² + b·KL is a multiple of −log N(x; x̂, σ²) + β·KL.

    ‖x − x̂‖² is 2σ² times the negative log-likelihood, up to a constant, so the loss is
    2aσ² · (−log N(x; x̂, σ²) + b / (2aσ²) · KL) plus a constant.

    Args:
        error_weight: a, the weight of one image's squared error *summed* over pixels: 1 / D where
            the loss has the mean over D pixels.
        kl_weight: b, the weight of its KL summed over latents: 1 / d for the mean over d latents.
        sigma: of the Gaussian that β is to refer to.

    Raises:
        ValueError: `error_weight` or `sigma` is not positive.
    """
    if not (error_weight > 0 and sigma > 0):
        raise ValueError(
            f"error_weight = {error_weight} and sigma = {sigma}: both have to be positive"
        )
    return kl_weight / (2 * error_weight * sigma**2)
