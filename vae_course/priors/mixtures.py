"""Mixtures of Gaussians as distributions over codes, with samples from an explicit generator."""

import math

import torch
from torch import Tensor
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from vae_course.distributions import DiagonalGaussian
from vae_course.distributions.gaussians import check_event
from vae_course.distributions.sampling import Shape


class LatentMixture(MixtureSameFamily):
    """Σ_k π_k N(m_k, S_k) over codes, event `(latent,)`.

    It is a `torch.distributions.MixtureSameFamily`; what it adds is that `sample` takes an explicit
    generator, and that many diagonal components are evaluated by matrix products.

    Args:
        weights: π, shape `(..., components)`, positive; they are normalized.
        components: `DiagonalGaussian` or `MultivariateNormal` of the batch shape of `weights`.
        validate_args: refuse values that are NaN in `log_prob`.

    Raises:
        ValueError: the numbers of weights and components differ, or a weight is not positive.

    Example:
        >>> means = torch.tensor([[-3.0], [3.0]])
        >>> p = LatentMixture(torch.ones(2), DiagonalGaussian(means, torch.zeros(2, 1)))
        >>> p.mean, p.variance
        (tensor([0.]), tensor([10.]))
    """

    def __init__(
        self,
        weights: Tensor,
        components: DiagonalGaussian | MultivariateNormal,
        *,
        validate_args: bool = False,
    ) -> None:
        """Hold weights and components."""
        if components.batch_shape != weights.shape:
            raise ValueError(
                f"weights have shape {tuple(weights.shape)} but the components' batch shape is "
                f"{tuple(components.batch_shape)}: a mixture needs one weight for each component"
            )
        if not (weights > 0).all():
            raise ValueError(
                f"the smallest weight of the mixture is {float(weights.min())}: every component "
                "needs a positive one, so leave out those without"
            )
        super().__init__(
            Categorical(probs=weights, validate_args=False), components, validate_args=validate_args
        )

    @property
    def weights(self) -> Tensor:
        """π, normalized, `(..., components)`."""
        return self.mixture_distribution.probs

    @property
    def components(self) -> DiagonalGaussian | MultivariateNormal:
        """The Gaussians, batch shape `(..., components)`."""
        return self.component_distribution  # type: ignore[return-value]

    def expand(self, batch_shape: Shape, _instance: object = None) -> "LatentMixture":
        """Return the same distribution, repeated over `batch_shape`."""
        new = self._get_checked_instance(LatentMixture, _instance)
        return super().expand(batch_shape, _instance=new)  # type: ignore[no-any-return]

    def log_prob(self, value: Tensor) -> Tensor:
        """log Σ_k π_k N(z; m_k, S_k) of codes `(..., latent)`: shape `value.shape[:-1]`, nats."""
        check_event(self, value)
        if self.batch_shape or not isinstance(self.components, DiagonalGaussian):
            return super().log_prob(value)  # type: ignore[no-any-return]
        if self._validate_args:
            self._validate_sample(value)
        pairs = log_gaussians(value, self.components.mean, self.components.log_var)
        return torch.logsumexp(pairs + self.weights.double().log(), -1).to(value.dtype)

    def sample(self, sample_shape: Shape = (), generator: torch.Generator | None = None) -> Tensor:
        """Choose a component for each code, and draw from it: `(*sample_shape, ..., latent)`."""
        draws, (latent,) = math.prod(sample_shape), self.event_shape
        with torch.no_grad():
            weights = self.weights.flatten(0, -2) if self.batch_shape else self.weights[None]
            chosen = torch.multinomial(weights, draws, replacement=True, generator=generator)
            rows = torch.arange(len(weights), device=weights.device)[:, None]
            means = self.components.mean.reshape(*weights.shape, latent)[rows, chosen]
            noise = torch.randn(
                means.shape, generator=generator, dtype=means.dtype, device=means.device
            )  # (batch, draws, latent)
            if isinstance(self.components, DiagonalGaussian):
                offsets = (
                    self.components.stddev.reshape(*weights.shape, latent)[rows, chosen] * noise
                )
            else:
                roots = self.components.scale_tril.reshape(*weights.shape, latent, latent)
                offsets = (roots[rows, chosen] @ noise.unsqueeze(-1)).squeeze(-1)
            drawn = (means + offsets).transpose(0, 1)
            return drawn.reshape(*sample_shape, *self.batch_shape, latent)

    def __repr__(self) -> str:
        """Return weights and components, under this class's name."""
        return f"LatentMixture(\n  {self.mixture_distribution},\n  {self.components})"


def log_gaussians(z: Tensor, mean: Tensor, log_var: Tensor) -> Tensor:
    """log N(z_i; μ_k, diag σ_k²) of every code under every Gaussian.

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
