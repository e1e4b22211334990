"""Probability distributions that `torch.distributions` lacks, in its own vocabulary."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal, constraints


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


def gumbel_softmax(
    logits: Tensor, temperature: float, samples: int, generator: torch.Generator | None = None
) -> Tensor:
    """y = softmax((logits + g) / τ), g_i = −log(−log u_i): a one-hot choice, made differentiable.

    The largest entry falls on class i with probability softmax(logits)_i at every temperature;
    as τ → 0 the whole vector becomes that one-hot choice.

    Args:
        logits: shape `(..., classes)`.
        temperature: τ > 0.
        samples: how many to draw.
        generator: source of the noise.

    Returns:
        Shape `(samples, ..., classes)`; each vector sums to 1.

    Raises:
        ValueError: the temperature is not positive.

    Source: Jang et al. (2017), equation 2; Maddison et al. (2017).
    """
    if not temperature > 0:
        raise ValueError(f"temperature = {temperature} is not positive: at 0 it is an arg max")
    exponential = torch.empty(
        (samples, *logits.shape), dtype=logits.dtype, device=logits.device
    ).exponential_(generator=generator)
    return torch.softmax((logits - torch.log(exponential)) / temperature, dim=-1)


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


def diagonal_kl(q: DiagonalGaussian, p: DiagonalGaussian) -> Tensor:
    """KL(q ‖ p) = ½ (log σ_p² − log σ_q² + (σ_q² + (μ_q − μ_p)²) / σ_p² − 1), latent by latent.

    Args:
        q: the distribution that the average is taken over, event `(latent,)`.
        p: the other one; its shape is q's, or broadcasts to it.

    Returns:
        Shape `(batch, latent)`, in nats; `.sum(-1)` is the KL of the whole layer.

    Source: Kingma & Welling (2014), appendix B, for p = N(0, I).
    """
    log_ratio = q.log_var - p.log_var
    distance = (q.mean - p.mean).square() * (-p.log_var).exp()
    return 0.5 * (log_ratio.exp() + distance - log_ratio - 1)


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


class DiscretizedLogistic(Distribution):
    """A logistic density integrated over the 256 bins of a pixel in {0, 1/255, ..., 1}.

    P(x) = σ((x + ½·1/255 − μ)/s) − σ((x − ½·1/255 − μ)/s), with the two outer bins open to ∓∞, so
    that the masses sum to one.

    Args:
        mean: μ, any shape.
        log_scale: log s, broadcastable to it.

    Source: Salimans et al. (2017), equation 2 with one component; the idea is that of Kingma et
    al. (2016), "Improved variational inference with inverse autoregressive flow", appendix C.5.
    """

    arg_constraints = {"location": constraints.real, "log_scale": constraints.real}  # noqa: RUF012
    support = constraints.unit_interval
    levels = 256

    def __init__(self, mean: Tensor, log_scale: Tensor) -> None:
        """Hold the location and log-scale of the underlying logistic."""
        self.location, self.log_scale = torch.broadcast_tensors(mean, log_scale)
        super().__init__(self.location.shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        """E[x] = s·(log(1 + e^{μ/s}) − log(1 + e^{(μ−1)/s})), to within half a gray level.

        It is the mean of the logistic clamped to [0, 1]: the integral whose midpoint sum over the
        gray levels is the exact mean.
        """
        scale = torch.exp(self.log_scale)
        above = F.softplus(self.location / scale) - F.softplus((self.location - 1) / scale)
        return scale * above

    def expand(
        self, batch_shape: torch.Size | list[int] | tuple[int, ...], _instance: object = None
    ) -> "DiscretizedLogistic":
        """Return the same distribution, repeated over `batch_shape`."""
        return DiscretizedLogistic(
            self.location.expand(batch_shape), self.log_scale.expand(batch_shape)
        )

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-mass of each pixel, the shape of the broadcast arguments."""
        half_bin = 0.5 / (self.levels - 1)
        inverse_scale = torch.exp(-self.log_scale)
        upper = (value + half_bin - self.location) * inverse_scale
        lower = (value - half_bin - self.location) * inverse_scale
        # σ(b) − σ(a) = σ(b) σ(−a) (1 − exp(a − b)), and each factor is stable in logs.
        log_below = torch.where(value >= 1, 0.0, F.logsigmoid(upper))
        log_above = torch.where(value <= 0, 0.0, F.logsigmoid(-lower))
        inner = (value > 0) & (value < 1)
        width = torch.where(inner, 2 * half_bin * inverse_scale, 1.0)
        log_width = torch.where(inner, torch.log(-torch.expm1(-width)), 0.0)
        return log_below + log_above + log_width

    def sample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        """Draw pixels on the grid {0, 1/255, ..., 1}."""
        with torch.no_grad():
            shape = torch.Size(sample_shape) + self.location.shape
            tiny = torch.finfo(self.location.dtype).tiny
            uniform = torch.rand(shape, dtype=self.location.dtype, device=self.location.device)
            noise = torch.logit(uniform.clamp(tiny, 1 - 1e-7))
            draw = self.location + torch.exp(self.log_scale) * noise
            steps = self.levels - 1
            return torch.round(draw.clamp(0, 1) * steps) / steps


def log_standard_normal(z: Tensor) -> Tensor:
    """Log N(z; 0, I) summed over the last dimension, in nats: shape `z.shape[:-1]`."""
    return -0.5 * (z.square().sum(-1) + z.shape[-1] * math.log(2 * math.pi))
