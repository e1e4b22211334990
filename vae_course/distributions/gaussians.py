"""Gaussians over codes, as `torch.distributions` that draw from an explicit generator."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Independent, MultivariateNormal, Normal


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


class DiagonalGaussian(Independent):  # type: ignore[type-arg]
    """N(μ, diag σ²) over the last dimension, held as (μ, log σ²).

    It is a `torch.distributions.Independent(Normal)`; what it adds is that `rsample` takes an
    explicit generator, and that `log_var` stays at hand for the closed-form KL.

    Args:
        mean: μ, shape `(..., latent)`.
        log_var: log σ², the same shape.

    Raises:
        ValueError: the shapes differ.
    """

    def __init__(self, mean: Tensor, log_var: Tensor) -> None:
        """Hold μ and log σ² as a distribution whose event is the last dimension."""
        if mean.shape != log_var.shape:
            raise ValueError(
                f"mean has shape {tuple(mean.shape)} but log_var {tuple(log_var.shape)}: "
                "a diagonal Gaussian needs one log-variance for each mean"
            )
        self.log_var = log_var
        scale = torch.exp(0.5 * log_var)
        super().__init__(Normal(mean, scale, validate_args=False), 1, validate_args=False)

    def expand(
        self, batch_shape: torch.Size | list[int] | tuple[int, ...], _instance: object = None
    ) -> "DiagonalGaussian":
        """Return the same distribution, repeated over `batch_shape`."""
        shape = torch.Size(batch_shape) + self.event_shape
        return DiagonalGaussian(self.mean.expand(shape), self.log_var.expand(shape))

    def rsample(
        self,
        sample_shape: torch.Size | list[int] | tuple[int, ...] = (),
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Draw `(*sample_shape, ..., latent)` reparameterized samples."""
        shape = torch.Size(sample_shape) + self.mean.shape
        return reparameterize(self.mean.expand(shape), self.log_var.expand(shape), generator)

    def sample(
        self,
        sample_shape: torch.Size | list[int] | tuple[int, ...] = (),
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Draw like `rsample`, without a gradient."""
        with torch.no_grad():
            return self.rsample(sample_shape, generator)


class StandardNormal(DiagonalGaussian):
    """N(0, I) over the last dimension: the prior of the VAE, and known as such to `kl`.

    Args:
        shape: `latent`, or `(..., latent)`.
        dtype: of the mean and of what is drawn; torch's default when left out.
        device: where they live.
    """

    def __init__(
        self,
        shape: int | Sequence[int],
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        """Hold zeros as μ and log σ²."""
        zeros = torch.zeros(shape, dtype=dtype, device=device)
        super().__init__(zeros, zeros)

    def expand(
        self, batch_shape: torch.Size | list[int] | tuple[int, ...], _instance: object = None
    ) -> "StandardNormal":
        """Return the same distribution, repeated over `batch_shape`."""
        shape = torch.Size(batch_shape) + self.event_shape
        return StandardNormal(shape, dtype=self.mean.dtype, device=self.mean.device)


def precision_weighted(evidence: DiagonalGaussian, prior: DiagonalGaussian) -> DiagonalGaussian:
    """Return the normalized product of two Gaussians: precisions add, means are weighted by them.

    1/σ² = 1/σ̂² + 1/σ_p² and μ = σ² (μ̂ / σ̂² + μ_p / σ_p²).

    Args:
        evidence: N(μ̂, σ̂²), what the image says about a layer; as a function of z it is a
            likelihood, so that the result is Bayes' rule.
        prior: N(μ_p, σ_p²), what the layer above says, of the same shape.

    Returns:
        N(μ, σ²), narrower than both.

    Source: Sønderby et al. (2016), section 2.
    """
    log_odds = prior.log_var - evidence.log_var  # log of the ratio of precisions
    weight = log_odds.sigmoid()  # the evidence's share of the precision
    mean = prior.mean + weight * (evidence.mean - prior.mean)
    return DiagonalGaussian(mean, evidence.log_var + F.logsigmoid(log_odds))


class FullGaussian(MultivariateNormal):
    """N(μ, L Lᵀ) over the last dimension, held as (μ, L) with L lower triangular.

    It is a `torch.distributions.MultivariateNormal`; what it adds is that `rsample` takes an
    explicit generator: z = μ + L ε with ε ~ N(0, I).

    Args:
        mean: μ, shape `(..., latent)`.
        scale_tril: L, shape `(..., latent, latent)`, lower triangular with a positive diagonal.

    Raises:
        ValueError: the shapes do not fit.
    """

    def __init__(self, mean: Tensor, scale_tril: Tensor) -> None:
        """Hold μ and L as a distribution whose event is the last dimension."""
        if scale_tril.shape != (*mean.shape, mean.shape[-1]):
            raise ValueError(
                f"mean has shape {tuple(mean.shape)} but scale_tril {tuple(scale_tril.shape)}: "
                "a full Gaussian needs one square matrix for each mean"
            )
        super().__init__(mean, scale_tril=scale_tril, validate_args=False)

    def expand(
        self, batch_shape: torch.Size | list[int] | tuple[int, ...], _instance: object = None
    ) -> "FullGaussian":
        """Return the same distribution, repeated over `batch_shape`."""
        shape = torch.Size(batch_shape) + self.event_shape
        scale_tril = self.scale_tril.expand(*shape, shape[-1])
        return FullGaussian(self.mean.expand(shape), scale_tril)

    def rsample(
        self,
        sample_shape: torch.Size | list[int] | tuple[int, ...] = (),
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Draw `(*sample_shape, ..., latent)` reparameterized samples."""
        shape = torch.Size(sample_shape) + self.mean.shape
        noise = torch.randn(
            shape, generator=generator, dtype=self.mean.dtype, device=self.mean.device
        )
        return self.mean + (self.scale_tril @ noise.unsqueeze(-1)).squeeze(-1)

    def sample(
        self,
        sample_shape: torch.Size | list[int] | tuple[int, ...] = (),
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Draw like `rsample`, without a gradient."""
        with torch.no_grad():
            return self.rsample(sample_shape, generator)


def log_standard_normal(z: Tensor) -> Tensor:
    """Log N(z; 0, I) summed over the last dimension, in nats: shape `z.shape[:-1]`."""
    return -0.5 * (z.square().sum(-1) + z.shape[-1] * math.log(2 * math.pi))
