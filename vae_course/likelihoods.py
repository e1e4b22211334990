"""p(x|z): what the numbers that come out of a decoder mean as a distribution over images.

A likelihood is called with the decoder's output, shape `(..., parameters · channels, height,
width)`, and returns a `torch.distributions` object whose event is one image: `log_prob(x)` has the
batch's shape and is in nats per image, a sum over pixels and never a mean.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal, constraints

from vae_course.distributions import (
    BernoulliImages,
    ContinuousBernoulliImages,
    DiscretizedLogistic,
    full_precision,
)

_IMAGE_DIMS = 3  # channels, height, width
_TO_UNIT = (
    "scale the images to [0, 1] (bytes by vae_course.data.to_unit), or choose the likelihood "
    "'gaussian'"
)


class ImagesOf(Independent):  # type: ignore[type-arg]
    """A distribution of pixels as one of images: the event is `(channels, height, width)`."""

    def __init__(self, pixels: Distribution) -> None:
        """Make the last three dimensions one event."""
        super().__init__(pixels, _IMAGE_DIMS, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density of images `(..., channels, height, width)`, nats per image.

        Raises:
            ValueError: another shape, which would be broadcast to images that nobody gave.
        """
        if value.shape[-_IMAGE_DIMS:] != self.event_shape:
            raise ValueError(
                f"images have shape {tuple(value.shape)} and p(x|z) is over images of shape "
                f"{tuple(self.event_shape)}: give (batch, channels, height, width), by "
                ".unsqueeze(1) where the channel is missing"
            )
        out: Tensor = super().log_prob(value)
        return out

    def expand(self, batch_shape: Any, _instance: object = None) -> "ImagesOf":
        """Return the same images, in another batch shape."""
        images = self._get_checked_instance(ImagesOf, _instance)
        out: ImagesOf = super().expand(batch_shape, _instance=images)
        return out


class Likelihood(nn.Module):
    """What all likelihoods have: a distribution from a decoder's output, and where it is one.

    Attributes:
        parameters_per_pixel: how many numbers the decoder gives for a pixel.
        support: which pixels it takes.
        way_out: what to do with images that have others, for the message.
    """

    parameters_per_pixel = 1
    support: constraints.Constraint
    way_out: str

    def check_support(self, x: Tensor) -> None:
        """Look at all pixels of a batch once: a few passes over memory, no gradient.

        Args:
            x: images, `(batch, ...)`.

        Raises:
            ValueError: a pixel is outside the support, or not finite; the first such is named.
        """
        outside = ~(self.support.check(x) & x.isfinite())
        if outside.any():
            image = int(outside.nonzero()[0, 0])
            value, low, high = float(x[outside][0]), float(x.min()), float(x.max())
            raise ValueError(
                f"image {image} of the batch has a pixel {value:.6g}, which {type(self).__name__} "
                f"does not take (the batch ranges from {low:.4g} to {high:.4g}): {self.way_out}"
            )


class BernoulliLikelihood(Likelihood):
    """log p(x|z) = Σ x log π + (1 − x) log(1 − π), for pixels in {0, 1}; the output is logit π.

    Gray pixels in [0, 1] are let through: the expression is then no log-mass, but its maximum is
    at π = x all the same.

    Source: Kingma & Welling (2014), appendix C.1.

    Example:
        >>> p = BernoulliLikelihood()(torch.zeros(5, 1, 28, 28))
        >>> p.log_prob(torch.ones(5, 1, 28, 28)).shape  # nats per image: 784 log ½ each
        torch.Size([5])
    """

    support = constraints.unit_interval
    way_out = _TO_UNIT

    def forward(self, outputs: Tensor) -> Distribution:
        """Read the decoder's output as logits."""
        return ImagesOf(BernoulliImages(logits=full_precision(outputs), validate_args=False))


class ContinuousBernoulliLikelihood(Likelihood):
    """The Bernoulli expression with the constant that makes it a density on [0, 1].

    log p(x|z) = Σ log C(λ) + x log λ + (1 − x) log(1 − λ).

    Source: Loaiza-Ganem & Cunningham (2019), section 3.
    """

    support = constraints.unit_interval
    way_out = _TO_UNIT

    def forward(self, outputs: Tensor) -> Distribution:
        """Read the decoder's output as logits of λ."""
        return ImagesOf(
            ContinuousBernoulliImages(logits=full_precision(outputs), validate_args=False)
        )


class GaussianLikelihood(Likelihood):
    """log p(x|z) = Σ log N(x; x̂, σ²), with σ given: MSE / 2σ² plus a constant.

    Args:
        sigma: the standard deviation of every pixel.

    Raises:
        ValueError: `sigma` is not positive.

    Source: Rybkin et al. (2021), equation 2.
    """

    support = constraints.real
    way_out = "leave that image out, or mend it"

    def __init__(self, sigma: float = 1.0) -> None:
        """Fix σ."""
        super().__init__()
        if not sigma > 0:
            raise ValueError(f"sigma = {sigma} is not positive: a standard deviation has to be")
        self.log_sigma = nn.Parameter(torch.tensor(math.log(sigma)), requires_grad=False)

    def forward(self, outputs: Tensor) -> Distribution:
        """Read the decoder's output as the mean image."""
        outputs = full_precision(outputs)
        sigma = torch.exp(self.log_sigma).expand_as(outputs)
        return ImagesOf(Normal(outputs, sigma, validate_args=False))


class SharedGaussianLikelihood(GaussianLikelihood):
    """A Gaussian whose one σ, shared by all pixels and images, is learned with the network.

    Source: Rybkin et al. (2021), section 3.1.
    """

    def __init__(self, sigma: float = 1.0) -> None:
        """Start σ at `sigma` and let the optimizer move it."""
        super().__init__(sigma)
        self.log_sigma.requires_grad_(True)


class DiscretizedLogisticLikelihood(Likelihood):
    """Mass of each of 256 gray levels under a logistic with learned location and scale per pixel.

    Source: Salimans et al. (2017), equation 2; Kingma et al. (2016), appendix C.5.
    """

    parameters_per_pixel = 2
    support = DiscretizedLogistic.support
    way_out = (
        "scale the images to [0, 1] and round them to the gray levels, (255 * x).round() / 255, or "
        "choose the likelihood 'continuous-bernoulli'"
    )

    def forward(self, outputs: Tensor) -> Distribution:
        """Read the first half of the channels as locations, the second as log-scales."""
        location, log_scale = full_precision(outputs).chunk(2, dim=-3)
        return ImagesOf(DiscretizedLogistic(location, log_scale.clamp(-7, 7)))


LIKELIHOODS: dict[str, type[Likelihood]] = {
    "bernoulli": BernoulliLikelihood,
    "continuous-bernoulli": ContinuousBernoulliLikelihood,
    "gaussian": GaussianLikelihood,
    "shared-gaussian": SharedGaussianLikelihood,
    "discretized-logistic": DiscretizedLogisticLikelihood,
}


def likelihood(name: str) -> Likelihood:
    """Make the likelihood called `name`.

    Raises:
        ValueError: there is none of that name; the message lists those there are.
    """
    if name not in LIKELIHOODS:
        raise ValueError(f"unknown likelihood {name!r}; choose one of {', '.join(LIKELIHOODS)}")
    return LIKELIHOODS[name]()
