"""Pixels in [0, 1] from one logit each: the Bernoulli and the continuous Bernoulli."""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Bernoulli, constraints

from vae_course.distributions.sampling import Reparameterized, Shape


class BernoulliImages(Bernoulli):
    """Bernoulli(σ(logits)) whose log-mass is one fused expression: x·logits − log(1 + e^logits)."""

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-mass of each pixel; the same as torch's, in half its passes over memory."""
        if self._validate_args:
            self._validate_sample(value)
        return value * self.logits - F.softplus(self.logits)


class ContinuousBernoulliImages(Reparameterized):
    """The density η e^{ηx} / (e^η − 1) on [0, 1], with η = logit λ, for an η of any size.

    torch's clamps λ to 1 − 1.2e-7: beyond |η| = 16 it is no longer a density (at 40 it integrates
    to 0.4), and dark pixels do drive η there. Here everything is a function of η, by a form that
    does not overflow and, around η = 0, where all of them are 0/0, by a series.

    Args:
        logits: η, any shape.
        validate_args: refuse logits that are NaN, and values outside [0, 1] in `log_prob`.

    Source: Loaiza-Ganem & Cunningham (2019), section 3 and appendix.

    Example:
        >>> dark = ContinuousBernoulliImages(torch.tensor([-200.0, 0.0]))
        >>> dark.mean
        tensor([0.0050, 0.5000])
    """

    arg_constraints = {"logits": constraints.real}  # noqa: RUF012
    support = constraints.unit_interval
    has_rsample = True

    def __init__(self, logits: Tensor, *, validate_args: bool = False) -> None:
        """Hold η."""
        self.logits = logits
        super().__init__(logits.shape, validate_args=validate_args)

    def expand(self, batch_shape: Shape, _instance: object = None) -> "ContinuousBernoulliImages":
        """Return the same distribution, repeated over `batch_shape`."""
        new = self._get_checked_instance(ContinuousBernoulliImages, _instance)
        new.logits = self.logits.expand(batch_shape)
        super(ContinuousBernoulliImages, new).__init__(new.logits.shape, validate_args=False)
        new._validate_args = self._validate_args
        return new  # type: ignore[no-any-return]

    @property
    def mean(self) -> Tensor:
        """E[x] = 1 / (1 − e^{−η}) − 1 / η."""
        eta, near_zero, safe = self._split()
        series = 0.5 + eta / 12 - eta**3 / 720
        return torch.where(near_zero, series, -1 / torch.expm1(-safe.clamp(min=-80)) - 1 / safe)

    @property
    def variance(self) -> Tensor:
        """Var[x] = 1 / η² − 1 / (4 sinh² ½η)."""
        eta, near_zero, safe = self._split(0.5)
        series = 1 / 12 - eta**2 / 240 + eta**4 / 6048 - eta**6 / 172800 + eta**8 / 5322240
        half = (safe / 2).clamp(-40, 40)
        return torch.where(near_zero, series, 1 / safe**2 - 0.25 / torch.sinh(half) ** 2)

    def entropy(self) -> Tensor:
        """H = log((1 − e^{−a}) / a) + 1 − a / (e^a − 1) with a = |η|, in nats; never above 0."""
        eta, near_zero, safe = self._split()
        series = -(eta**2) / 24 + eta**4 / 960 - eta**6 / 36288
        size = safe.abs()
        exact = torch.log(-torch.expm1(-size) / size) + 1 - size / torch.expm1(size.clamp(max=80))
        return torch.where(near_zero, series, exact)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density of each pixel: x·η − log((e^η − 1) / η)."""
        if self._validate_args:
            self._validate_sample(value)
        eta, near_zero, safe = self._split()
        series = eta / 2 + eta**2 / 24 - eta**4 / 2880
        size = safe.abs()
        exact = safe.clamp(min=0) + torch.log(-torch.expm1(-size) / size)
        return value * eta - torch.where(near_zero, series, exact)

    def cdf(self, value: Tensor) -> Tensor:
        """P(X ≤ x) = (e^{ηx} − 1) / (e^η − 1)."""
        if self._validate_args:
            self._validate_sample(value)
        x = value.clamp(0, 1)
        eta, near_zero, safe = self._split(0.01)
        product = x * (x - 1)
        series = x + product * (eta / 2 + eta**2 * (2 * x - 1) / 12 + eta**3 * product / 24)
        size, decay = safe.abs(), torch.exp(-safe.clamp(min=0) * (1 - x))
        return torch.where(near_zero, series, decay * torch.expm1(-size * x) / torch.expm1(-size))

    def icdf(self, value: Tensor) -> Tensor:
        """Return the x with P(X ≤ x) = u: log(1 + u (e^η − 1)) / η."""
        eta, near_zero, safe = self._split(0.01)
        product = value * (1 - value)
        tilt = 1 - 2 * value
        series = value + product * (eta / 2 + eta**2 * tilt / 6 + eta**3 * (1 - 6 * product) / 24)
        # The law of 1 − X has −η for η: one of the two does not overflow.
        size, u = safe.abs(), torch.where(safe > 0, 1 - value, value)
        inside = torch.where(u < 1, u, 0.0)
        x = torch.where(u < 1, -torch.log1p(inside * torch.expm1(-size)) / size, 1.0)
        return torch.where(near_zero, series, torch.where(safe > 0, 1 - x, x))

    def rsample(self, sample_shape: Shape = (), generator: torch.Generator | None = None) -> Tensor:
        """Draw `(*sample_shape, *batch)` pixels by the inverse of the distribution function."""
        shape = torch.Size(sample_shape) + self.batch_shape
        logits = self.logits
        return self.icdf(
            torch.rand(shape, generator=generator, dtype=logits.dtype, device=logits.device)
        )

    def _split(self, size: float = 0.1) -> tuple[Tensor, Tensor, Tensor]:
        """η, whether a series around 0 is to be used, and an η that is never near 0."""
        eta = self.logits
        near_zero = eta.abs() < size
        return eta, near_zero, torch.where(near_zero, 1.0, eta)
