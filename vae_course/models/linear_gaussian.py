"""The one latent variable model in which everything has a closed form: the book's yardstick."""

import math

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal

from vae_course.distributions import DiagonalGaussian, StandardNormal
from vae_course.models.base import Model


class LinearGaussian(Model):
    """z ~ N(0, I), x|z ~ N(W z + b, σ² I): probabilistic PCA.

    It has a VAE's interface (`prior`, `encode`, `decode`), so every objective and metric runs on
    it, and beside it the exact `marginal` p(x), `posterior` p(z|x) and `optimal_elbo`.

    Args:
        weight: W, shape `(observed, latent)`.
        bias: b, shape `(observed,)`.
        sigma: σ, the noise's standard deviation.

    Raises:
        ValueError: shapes do not fit or `sigma` is not positive.

    Source: Tipping & Bishop (1999), equations 2 to 6; Bishop (2006), section 12.2.

    Example:
        >>> import torch
        >>> from vae_course.models import LinearGaussian
        >>> model = LinearGaussian(torch.tensor([[1.0], [1.0]]), torch.zeros(2), sigma=1.0)
        >>> model.marginal().covariance_matrix
        tensor([[2., 1.],
                [1., 2.]])
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, bias: Tensor, sigma: float) -> None:
        """Hold W, b and σ."""
        super().__init__()
        if weight.dim() != 2 or bias.shape != weight.shape[:1]:
            raise ValueError(
                f"weight {tuple(weight.shape)} and bias {tuple(bias.shape)} do not fit: they are "
                "(observed, latent) and (observed,)"
            )
        if not sigma > 0:
            raise ValueError(f"sigma = {sigma} is not positive: a standard deviation has to be")
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)
        self.sigma = sigma
        self.latent_dim = weight.shape[1]

    @property
    def precision(self) -> Tensor:
        """Λ = I + Wᵀ W / σ², the precision matrix of p(z|x) (the same for every x)."""
        identity = torch.eye(self.latent_dim, dtype=self.weight.dtype, device=self.weight.device)
        return identity + self.weight.T @ self.weight / self.sigma**2

    def prior(self) -> StandardNormal:
        """Return p(z) = N(0, I)."""
        return StandardNormal(self.latent_dim, dtype=self.weight.dtype, device=self.weight.device)

    def decode(self, z: Tensor) -> Distribution:
        """Return p(x|z) = N(W z + b, σ² I) for codes `(..., latent)`."""
        mean = z @ self.weight.T + self.bias
        pixels = Normal(mean, torch.full_like(mean, self.sigma), validate_args=False)
        return Independent(pixels, 1, validate_args=False)

    def posterior_mean(self, x: Tensor) -> Tensor:
        """E[z|x] = Λ⁻¹ Wᵀ (x − b) / σ², `(batch, latent)`."""
        projected = (x - self.bias) @ self.weight / self.sigma**2
        solved: Tensor = torch.linalg.solve(self.precision, projected.T)
        return solved.T

    def posterior(self, x: Tensor) -> MultivariateNormal:
        """Return the exact p(z|x) = N(E[z|x], Λ⁻¹), full covariance."""
        return MultivariateNormal(self.posterior_mean(x), precision_matrix=self.precision)

    def encode(self, x: Tensor) -> DiagonalGaussian:
        """Return the best factorized q(z|x): the posterior's mean, and variances 1 / Λ_dd.

        Source: Bishop (2006), equations 10.12 to 10.15.
        """
        log_var = -torch.log(torch.diagonal(self.precision))
        mean = self.posterior_mean(x)
        return DiagonalGaussian(mean, log_var.expand_as(mean))

    def expected_log_px(self, x: Tensor, q: DiagonalGaussian) -> Tensor:
        """E_q[log p(x|z)] for z ~ N(m, S): −½ (D log 2πσ² + (‖x − W m − b‖² + tr W S Wᵀ) / σ²).

        Shape `(batch,)`, nats.
        """
        error = (x - q.mean @ self.weight.T - self.bias).square().sum(-1)
        spread = q.variance @ self.weight.square().sum(0)
        constant = x.shape[-1] * math.log(2 * math.pi * self.sigma**2)
        return -0.5 * (constant + (error + spread) / self.sigma**2)

    def marginal(self) -> MultivariateNormal:
        """Return the exact p(x) = N(b, W Wᵀ + σ² I)."""
        observed = self.weight.shape[0]
        noise = self.sigma**2 * torch.eye(observed, dtype=self.weight.dtype).to(self.weight)
        return MultivariateNormal(self.bias, self.weight @ self.weight.T + noise)

    def optimal_elbo(self, x: Tensor) -> Tensor:
        """Return log p(x) − ½ (Σ_d log Λ_dd − log det Λ): the best a diagonal q can reach.

        The gap is KL(q ‖ p(z|x)) at `encode(x)`; it does not depend on x. Shape `(batch,)`, nats.
        """
        precision = self.precision
        gap = 0.5 * (torch.log(torch.diagonal(precision)).sum() - torch.logdet(precision))
        log_px: Tensor = self.marginal().log_prob(x)
        return log_px - gap


def random_linear_gaussian(
    observed: int, latent: int, sigma: float, generator: torch.Generator
) -> LinearGaussian:
    """Draw a `LinearGaussian` in float64 with weights N(0, 1/latent) and no bias."""
    weight = torch.randn(observed, latent, generator=generator, dtype=torch.float64)
    bias = torch.zeros(observed, dtype=torch.float64)
    return LinearGaussian(weight / math.sqrt(latent), bias, sigma)


def rotated_linear_gaussian(strengths: tuple[float, float], degrees: float) -> LinearGaussian:
    """Return x = diag(s) Rᵀ z + ε with R a turn by `degrees` and ε ~ N(0, I), in float64.

    p(x) = N(0, diag(s² + 1)) does not depend on the angle, because the prior looks the same from
    every side; the posterior's precision Λ = R diag(1 + s²) Rᵀ does.

    Args:
        strengths: s, how strongly each direction of latent space shows in x.
        degrees: the angle between those directions and the axes of z.
    """
    angle = math.radians(degrees)
    cos, sin = math.cos(angle), math.sin(angle)
    turn = torch.tensor([[cos, -sin], [sin, cos]], dtype=torch.float64)
    weight = torch.diag(torch.tensor(strengths, dtype=torch.float64)) @ turn.T
    return LinearGaussian(weight, torch.zeros(2, dtype=torch.float64), 1.0)
