"""Mixtures of Gaussians as distributions over codes, with samples from an explicit generator."""

import math

import torch
from torch import Tensor
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from vae_course.distributions import DiagonalGaussian


class LatentMixture(MixtureSameFamily):
    """Σ_k π_k N(m_k, S_k) over codes, event `(latent,)`.

    It is a `torch.distributions.MixtureSameFamily`; what it adds is that `sample` takes an explicit
    generator, and that many diagonal components are evaluated by matrix products.

    Args:
        weights: π, shape `(components,)`, positive; they are normalized.
        components: `DiagonalGaussian` or `MultivariateNormal` with batch shape `(components,)`.

    Raises:
        ValueError: the numbers of weights and components differ.
    """

    def __init__(self, weights: Tensor, components: DiagonalGaussian | MultivariateNormal) -> None:
        """Hold weights and components."""
        if components.batch_shape != weights.shape:
            raise ValueError(
                f"weights have shape {tuple(weights.shape)} but the components' batch shape is "
                f"{tuple(components.batch_shape)}: a mixture needs one weight for each component"
            )
        super().__init__(
            Categorical(probs=weights, validate_args=False), components, validate_args=False
        )
        self.weights = weights / weights.sum()
        self.components = components

    def log_prob(self, value: Tensor) -> Tensor:
        """Log Σ_k π_k N(z; m_k, S_k) of codes `(..., latent)`: shape `value.shape[:-1]`, nats."""
        if isinstance(self.components, DiagonalGaussian):
            pairs = log_gaussians(value, self.components.mean, self.components.log_var)
            return torch.logsumexp(pairs + self.weights.double().log(), -1).to(value.dtype)
        return super().log_prob(value)  # type: ignore[no-any-return]

    def sample(
        self,
        sample_shape: torch.Size | list[int] | tuple[int, ...] = (),
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Choose a component for each code, and draw from it: `(*sample_shape, latent)`."""
        shape = torch.Size(sample_shape)
        with torch.no_grad():
            chosen = torch.multinomial(
                self.weights, math.prod(shape), replacement=True, generator=generator
            )
            means = self.components.mean[chosen]  # (draws, latent)
            noise = torch.randn(
                means.shape, generator=generator, dtype=means.dtype, device=means.device
            )
            if isinstance(self.components, DiagonalGaussian):
                offsets = self.components.stddev[chosen] * noise
            else:
                roots = self.components.scale_tril[chosen]  # (draws, latent, latent)
                offsets = (roots @ noise.unsqueeze(-1)).squeeze(-1)
            return (means + offsets).view(*shape, -1)


def log_gaussians(z: Tensor, mean: Tensor, log_var: Tensor) -> Tensor:
    """Log N(z_i; μ_k, diag σ_k²) of every code under every Gaussian.

    The square is multiplied out, Σ_d (z² − 2 z μ + μ²) / σ², so that the pairs cost two matrix
    products; in float64, because the terms nearly cancel where σ is small.

    Args:
        z: codes, `(..., latent)`.
        mean: μ, `(components, latent)`.
        log_var: log σ², the same shape.

    Returns:
        `(..., components)`, float64, nats.
    """
    z, mean, log_var = z.double(), mean.double(), log_var.double()
    precision = torch.exp(-log_var)  # (components, latent)
    constant = (mean.square() * precision + log_var).sum(-1) + mean.shape[-1] * math.log(
        2 * math.pi
    )
    return -0.5 * (z.square() @ precision.T + constant) + z @ (mean * precision).T
