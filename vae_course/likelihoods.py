"""p(x|z): what the numbers that come out of a decoder mean as a distribution over images.

A likelihood is called with the decoder's output, shape `(..., parameters · channels, height,
width)`, and returns a `torch.distributions` object whose event is one image: `log_prob(x)` has the
batch's shape and is in nats per image, a sum over pixels and never a mean.
"""

import math

import torch
from torch import Tensor, nn
from torch.distributions import (
    Bernoulli,
    ContinuousBernoulli,
    Distribution,
    Independent,
    Normal,
    constraints,
)

from vae_course.distributions import DiscretizedLogistic

_IMAGE_DIMS = 3  # channels, height, width


def _over_images(pixels: Distribution) -> Distribution:
    return Independent(pixels, _IMAGE_DIMS, validate_args=False)


class BernoulliImages(Bernoulli):
    """Bernoulli(σ(logits)) whose log-mass is one fused expression: x·logits − log(1 + e^logits)."""

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-mass of each pixel; the same as torch's, in half its passes over memory."""
        return value * self.logits - nn.functional.softplus(self.logits)


class ContinuousBernoulliImages(ContinuousBernoulli):
    """The density η e^{ηx} / (e^η − 1) on [0, 1], with η = logit λ, for an η of any size.

    torch's clamps λ to 1 − 1.2e-7: beyond |η| = 16 it is no longer a density (at 40 it integrates
    to 0.4), and dark pixels do drive η there.
    """

    @property
    def mean(self) -> Tensor:
        """E[x] = 1 / (1 − e^{−η}) − 1 / η."""
        eta, near_zero, safe = self._split()
        series = 0.5 + eta / 12 - eta**3 / 720
        return torch.where(near_zero, series, -1 / torch.expm1(-safe) - 1 / safe)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density of each pixel: x·η − log((e^η − 1) / η)."""
        eta, near_zero, safe = self._split()
        series = eta / 2 + eta**2 / 24 - eta**4 / 2880
        size = safe.abs()
        exact = safe.clamp(min=0) + torch.log(-torch.expm1(-size) / size)
        return value * eta - torch.where(near_zero, series, exact)

    def _split(self) -> tuple[Tensor, Tensor, Tensor]:
        """η, whether a series around 0 is to be used, and an η that is never near 0."""
        eta = self.logits
        near_zero = eta.abs() < 0.1
        return eta, near_zero, torch.where(near_zero, 1.0, eta)


class BernoulliLikelihood(nn.Module):
    """log p(x|z) = Σ x log π + (1 − x) log(1 − π), for pixels in {0, 1}; the output is logit π.

    Source: Kingma & Welling (2014), appendix C.1.
    """

    parameters_per_pixel = 1
    support = constraints.boolean

    def forward(self, outputs: Tensor) -> Distribution:
        """Read the decoder's output as logits."""
        return _over_images(BernoulliImages(logits=outputs.float(), validate_args=False))


class ContinuousBernoulliLikelihood(nn.Module):
    """The Bernoulli expression with the constant that makes it a density on [0, 1].

    log p(x|z) = Σ log C(λ) + x log λ + (1 − x) log(1 − λ).

    Source: Loaiza-Ganem & Cunningham (2019), section 3.
    """

    parameters_per_pixel = 1
    support = constraints.unit_interval

    def forward(self, outputs: Tensor) -> Distribution:
        """Read the decoder's output as logits of λ."""
        return _over_images(ContinuousBernoulliImages(logits=outputs.float(), validate_args=False))


class GaussianLikelihood(nn.Module):
    """log p(x|z) = Σ log N(x; x̂, σ²), with σ given: MSE / 2σ² plus a constant.

    Args:
        sigma: the standard deviation of every pixel.

    Raises:
        ValueError: `sigma` is not positive.

    Source: Rybkin et al. (2021), equation 2.
    """

    parameters_per_pixel = 1
    support = constraints.real

    def __init__(self, sigma: float = 1.0) -> None:
        """Fix σ."""
        super().__init__()
        if not sigma > 0:
            raise ValueError(f"sigma = {sigma} is not positive: a standard deviation has to be")
        self.log_sigma = nn.Parameter(torch.tensor(math.log(sigma)), requires_grad=False)

    def forward(self, outputs: Tensor) -> Distribution:
        """Read the decoder's output as the mean image."""
        outputs = outputs.float()
        sigma = torch.exp(self.log_sigma).expand_as(outputs)
        return _over_images(Normal(outputs, sigma, validate_args=False))


class SharedGaussianLikelihood(GaussianLikelihood):
    """A Gaussian whose one σ, shared by all pixels and images, is learned with the network.

    Source: Rybkin et al. (2021), section 3.1.
    """

    def __init__(self, sigma: float = 1.0) -> None:
        """Start σ at `sigma` and let the optimizer move it."""
        super().__init__(sigma)
        self.log_sigma.requires_grad_(True)


class DiscretizedLogisticLikelihood(nn.Module):
    """Mass of each of 256 gray levels under a logistic with learned location and scale per pixel.

    Source: Salimans et al. (2017), equation 2; Kingma et al. (2016), appendix C.5.
    """

    parameters_per_pixel = 2
    support = constraints.unit_interval

    def forward(self, outputs: Tensor) -> Distribution:
        """Read the first half of the channels as locations, the second as log-scales."""
        location, log_scale = outputs.float().chunk(2, dim=-3)
        return _over_images(DiscretizedLogistic(location, log_scale.clamp(-7, 7)))


LIKELIHOODS: dict[str, type[nn.Module]] = {
    "bernoulli": BernoulliLikelihood,
    "continuous-bernoulli": ContinuousBernoulliLikelihood,
    "gaussian": GaussianLikelihood,
    "shared-gaussian": SharedGaussianLikelihood,
    "discretized-logistic": DiscretizedLogisticLikelihood,
}


def likelihood(name: str) -> nn.Module:
    """Make the likelihood called `name`.

    Raises:
        ValueError: there is none of that name; the message lists those there are.
    """
    if name not in LIKELIHOODS:
        raise ValueError(f"unknown likelihood {name!r}; choose one of {', '.join(LIKELIHOODS)}")
    return LIKELIHOODS[name]()
