"""Draws from an explicit generator: what all distributions here add to torch's."""

from collections.abc import Sequence
from inspect import Parameter, signature
from typing import cast

import torch
from torch import Tensor
from torch.distributions import Distribution

Shape = Sequence[int]  # torch.Size, a list or a tuple


def reparameterize(
    mean: Tensor, log_var: Tensor, generator: torch.Generator | None = None
) -> Tensor:
    """Draw z = μ + σ ⊙ ε with ε ~ N(0, I) and σ = exp(½ log σ²).

    The noise does not depend on the parameters, so the gradient flows through μ and σ.

    Args:
        mean: μ, shape `(..., latent)`.
        log_var: log σ², the same shape.
        generator: source of ε; torch's global one when left out.

    Returns:
        z, the shape of `mean`.

    Source: Kingma & Welling (2014), section 2.4.
    """
    noise = torch.randn(mean.shape, generator=generator, dtype=mean.dtype, device=mean.device)
    return mean + torch.exp(0.5 * log_var) * noise


def with_generator(q: Distribution, draw: str = "rsample") -> "Reparameterized":
    """Return a distribution whose draws take a generator, which it is.

    Args:
        q: the distribution.
        draw: `"rsample"`, or `"sample"` where no gradient is asked of the draws.

    Raises:
        TypeError: it is torch's own, say, whose draws are from the global stream alone.
    """
    takes = signature(getattr(q, draw)).parameters.values()
    if any(p.name == "generator" or p.kind is Parameter.VAR_KEYWORD for p in takes):
        return cast(Reparameterized, q)
    raise TypeError(
        f"the model gives a {type(q).__name__} whose {draw} takes no generator, so its draws "
        "could not be repeated: give a DiagonalGaussian(mean, log_var), or derive the class from "
        "vae_course.distributions.Reparameterized"
    )


def unbatched(p: Distribution) -> Distribution:
    """Return a prior that is the same for all images, which it is.

    Raises:
        ValueError: it has one for each image, as `model.given(y)` has for many conditions.
    """
    if p.batch_shape:
        raise ValueError(
            f"the prior has batch shape {tuple(p.batch_shape)}, one for each of so many "
            "conditions, and draws are for one: give the model a single condition at a time"
        )
    return p


class Reparameterized(Distribution):
    """A distribution whose draws are a differentiable function of noise from a generator."""

    def rsample(self, sample_shape: Shape = (), generator: torch.Generator | None = None) -> Tensor:
        """Draw `(*sample_shape, *batch, *event)`; the gradient flows into the parameters."""
        raise NotImplementedError

    def sample(self, sample_shape: Shape = (), generator: torch.Generator | None = None) -> Tensor:
        """Draw like `rsample`, without a gradient."""
        with torch.no_grad():
            return self.rsample(sample_shape, generator)
