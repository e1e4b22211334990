"""Draws from an explicit generator: what all distributions here add to torch's."""

from collections.abc import Sequence

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


class Reparameterized(Distribution):
    """A distribution whose draws are a differentiable function of noise from a generator."""

    def rsample(self, sample_shape: Shape = (), generator: torch.Generator | None = None) -> Tensor:
        """Draw `(*sample_shape, *batch, *event)`; the gradient flows into the parameters."""
        raise NotImplementedError

    def sample(self, sample_shape: Shape = (), generator: torch.Generator | None = None) -> Tensor:
        """Draw like `rsample`, without a gradient."""
        with torch.no_grad():
            return self.rsample(sample_shape, generator)
