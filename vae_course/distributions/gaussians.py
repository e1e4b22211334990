"""Gaussians over codes, as `torch.distributions` that draw from an explicit generator."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal

from vae_course.distributions.sampling import Reparameterized, Shape, reparameterize


class DiagonalGaussian(Reparameterized, Independent):  # type: ignore[type-arg]
    """N(μ, diag σ²) over the last dimension, held as (μ, log σ²).

    It is a `torch.distributions.Independent(Normal)`; what it adds is that `rsample` takes an
    explicit generator, and that `log_var` stays at hand for the closed-form KL.

    Args:
        mean: μ, shape `(..., latent)`.
        log_var: log σ², the same shape.
        validate_args: refuse parameters and values that are NaN. Off, because a NaN that training
            runs into is reported by `fit`, which knows the step.

    Raises:
        ValueError: the shapes differ.

    Example:
        >>> q = DiagonalGaussian(torch.zeros(5, 2), torch.zeros(5, 2))
        >>> q.rsample((3,), torch.Generator().manual_seed(0)).shape
        torch.Size([3, 5, 2])
        >>> q.log_prob(torch.zeros(5, 2))
        tensor([-1.8379, -1.8379, -1.8379, -1.8379, -1.8379])
    """

    def __init__(self, mean: Tensor, log_var: Tensor, *, validate_args: bool = False) -> None:
        """Hold μ and log σ² as a distribution whose event is the last dimension."""
        if mean.shape != log_var.shape:
            raise ValueError(
                f"mean has shape {tuple(mean.shape)} but log_var {tuple(log_var.shape)}: "
                "a diagonal Gaussian needs one log-variance for each mean"
            )
        self.log_var = log_var
        normal = Normal(mean, torch.exp(0.5 * log_var), validate_args=validate_args)
        super().__init__(normal, 1, validate_args=validate_args)

    def expand(self, batch_shape: Shape, _instance: object = None) -> "DiagonalGaussian":
        """Return the same distribution, repeated over `batch_shape`."""
        new = self._get_checked_instance(DiagonalGaussian, _instance)
        new.log_var = self.log_var.expand((*batch_shape, *self.event_shape))
        return super().expand(batch_shape, _instance=new)  # type: ignore[no-any-return]

    def detach(self) -> "DiagonalGaussian":
        """Return the same distribution, with parameters that no gradient reaches."""
        return DiagonalGaussian(self.mean.detach(), self.log_var.detach())

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density of codes `(..., latent)`, in nats: shape `(...)`."""
        check_event(self, value)
        return super().log_prob(value)  # type: ignore[no-any-return]

    def rsample(self, sample_shape: Shape = (), generator: torch.Generator | None = None) -> Tensor:
        """Draw `(*sample_shape, ..., latent)` reparameterized samples."""
        shape = torch.Size(sample_shape) + self.mean.shape
        return reparameterize(self.mean.expand(shape), self.log_var.expand(shape), generator)


class StandardNormal(DiagonalGaussian):
    """N(0, I) over the last dimension: the prior of the VAE, and known as such to `kl`.

    Args:
        shape: `latent`, or `(..., latent)`.
        dtype: of the mean and of what is drawn; torch's default when left out.
        device: where they live.

    Example:
        >>> StandardNormal(2).log_prob(torch.zeros(2))
        tensor(-1.8379)
    """

    def __init__(
        self,
        shape: int | Shape,
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        """Hold zeros as μ and log σ²."""
        zeros = torch.zeros(shape, dtype=dtype, device=device)
        super().__init__(zeros, zeros)

    def expand(self, batch_shape: Shape, _instance: object = None) -> "StandardNormal":
        """Return the same distribution, repeated over `batch_shape`."""
        new = self._get_checked_instance(StandardNormal, _instance)
        return super().expand(batch_shape, _instance=new)  # type: ignore[return-value]


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


class FullGaussian(Reparameterized, MultivariateNormal):
    """N(μ, L Lᵀ) over the last dimension, held as (μ, L) with L lower triangular.

    It is a `torch.distributions.MultivariateNormal`; what it adds is that `rsample` takes an
    explicit generator: z = μ + L ε with ε ~ N(0, I).

    Args:
        mean: μ, shape `(..., latent)`.
        scale_tril: L, shape `(..., latent, latent)`, lower triangular with a positive diagonal.
        validate_args: refuse parameters that are not so, and values that are NaN.

    Raises:
        ValueError: the shapes do not fit.

    Example:
        >>> q = FullGaussian(torch.zeros(2), torch.tensor([[1.0, 0.0], [1.0, 1.0]]))
        >>> q.covariance_matrix
        tensor([[1., 1.],
                [1., 2.]])
    """

    def __init__(self, mean: Tensor, scale_tril: Tensor, *, validate_args: bool = False) -> None:
        """Hold μ and L as a distribution whose event is the last dimension."""
        if scale_tril.shape != (*mean.shape, mean.shape[-1]):
            raise ValueError(
                f"mean has shape {tuple(mean.shape)} but scale_tril {tuple(scale_tril.shape)}: "
                "a full Gaussian needs one square matrix for each mean"
            )
        super().__init__(mean, scale_tril=scale_tril, validate_args=validate_args)

    def expand(self, batch_shape: Shape, _instance: object = None) -> "FullGaussian":
        """Return the same distribution, repeated over `batch_shape`."""
        new = self._get_checked_instance(FullGaussian, _instance)
        return super().expand(batch_shape, _instance=new)  # type: ignore[no-any-return]

    def detach(self) -> "FullGaussian":
        """Return the same distribution, with parameters that no gradient reaches."""
        return FullGaussian(self.mean.detach(), self.scale_tril.detach())

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density of codes `(..., latent)`, in nats: shape `(...)`."""
        check_event(self, value)
        return super().log_prob(value)  # type: ignore[no-any-return]

    def rsample(self, sample_shape: Shape = (), generator: torch.Generator | None = None) -> Tensor:
        """Draw `(*sample_shape, ..., latent)` reparameterized samples."""
        mean = self.mean
        shape = torch.Size(sample_shape) + mean.shape
        noise = torch.randn(shape, generator=generator, dtype=mean.dtype, device=mean.device)
        return mean + (self.scale_tril @ noise.unsqueeze(-1)).squeeze(-1)


def check_event(p: Distribution, value: Tensor) -> None:
    """Refuse codes of another size, which would broadcast: a wrong number without a word.

    Raises:
        ValueError: the last dimension of `value` is not p's event.
    """
    if value.shape[-1:] != p.event_shape:
        raise ValueError(
            f"codes have shape {tuple(value.shape)}, but this {type(p).__name__} is over "
            f"{p.event_shape[0]} latents: the last dimension has to be {p.event_shape[0]}"
        )


def log_standard_normal(z: Tensor) -> Tensor:
    """log N(z; 0, I) summed over the last dimension, in nats: shape `z.shape[:-1]`."""
    return -0.5 * (z.square().sum(-1) + z.shape[-1] * math.log(2 * math.pi))
