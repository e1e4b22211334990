"""The discretized logistic: a mass for each of 256 gray levels."""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Distribution, constraints

from vae_course.distributions.sampling import Shape


class _GrayLevels(constraints.Constraint):
    """The 256 values {0, 1/255, ..., 1}, to a hundredth of their distance."""

    is_discrete = True

    def check(self, value: Tensor) -> Tensor:
        level = 255 * value
        return (value >= 0) & (value <= 1) & ((level - level.round()).abs() < 0.01)


class DiscretizedLogistic(Distribution):
    """A logistic density integrated over the 256 bins of a pixel in {0, 1/255, ..., 1}.

    P(x) = σ((x + ½·1/255 − μ)/s) − σ((x − ½·1/255 − μ)/s), with the two outer bins open to ∓∞, so
    that the masses sum to one. Between two levels it is the mass of a bin around x, and those
    numbers sum to nothing: `support` says where the levels are.

    Args:
        mean: μ, any shape.
        log_scale: log s, broadcastable to it.
        validate_args: refuse parameters that are NaN, and values off the levels in `log_prob`.

    Source: Salimans et al. (2017), equation 2 with one component; the idea is that of Kingma et
    al. (2016), "Improved variational inference with inverse autoregressive flow", appendix C.5.

    Example:
        >>> p = DiscretizedLogistic(torch.tensor(0.5), torch.tensor(-3.0))
        >>> p.log_prob(p.enumerate_support()).logsumexp(0).abs() < 1e-4
        tensor(True)
    """

    arg_constraints = {"location": constraints.real, "log_scale": constraints.real}  # noqa: RUF012
    support = _GrayLevels()
    has_enumerate_support = True
    levels = 256

    def __init__(self, mean: Tensor, log_scale: Tensor, *, validate_args: bool = False) -> None:
        """Hold the location and log-scale of the underlying logistic."""
        self.location, self.log_scale = torch.broadcast_tensors(mean, log_scale)
        super().__init__(self.location.shape, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        """E[x] = s·(log(1 + e^{μ/s}) − log(1 + e^{(μ−1)/s})), to within half a gray level.

        It is the mean of the logistic clamped to [0, 1]: the integral whose midpoint sum over the
        gray levels is the exact mean.
        """
        scale = torch.exp(self.log_scale)
        above = F.softplus(self.location / scale) - F.softplus((self.location - 1) / scale)
        return scale * above

    @property
    def variance(self) -> Tensor:
        """Var[x] = Σ_x P(x) (x − E[x])², over the 256 levels."""
        x = self.enumerate_support()
        mass = self.log_prob(x).exp()
        return (mass * (x - (mass * x).sum(0)).square()).sum(0)

    def entropy(self) -> Tensor:
        """H = −Σ_x P(x) log P(x), over the 256 levels, in nats."""
        log_mass = self.log_prob(self.enumerate_support())
        return -(log_mass.exp() * log_mass).sum(0)

    def expand(self, batch_shape: Shape, _instance: object = None) -> "DiscretizedLogistic":
        """Return the same distribution, repeated over `batch_shape`."""
        new = self._get_checked_instance(DiscretizedLogistic, _instance)
        new.location = self.location.expand(batch_shape)
        new.log_scale = self.log_scale.expand(batch_shape)
        super(DiscretizedLogistic, new).__init__(new.location.shape, validate_args=False)
        new._validate_args = self._validate_args
        return new  # type: ignore[no-any-return]

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """Return the 256 levels, `(256, *batch)`; not expanded, `(256, 1, ..., 1)`."""
        grid = torch.arange(self.levels, dtype=self.location.dtype, device=self.location.device)
        values = (grid / (self.levels - 1)).view(-1, *(1 for _ in self.batch_shape))
        return values.expand(-1, *self.batch_shape) if expand else values

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-mass of each pixel, the shape of the broadcast arguments."""
        if self._validate_args:
            self._validate_sample(value)
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

    def cdf(self, value: Tensor) -> Tensor:
        """P(X ≤ x) = σ((x + ½·1/255 − μ)/s) at the last level that is not above x."""
        steps = self.levels - 1
        level = torch.floor(value * steps + 0.01)  # k/255 in float32 may lie below itself
        inside = torch.sigmoid(((level + 0.5) / steps - self.location) * torch.exp(-self.log_scale))
        return torch.where(level < 0, 0.0, torch.where(level >= steps, 1.0, inside))

    def sample(self, sample_shape: Shape = (), generator: torch.Generator | None = None) -> Tensor:
        """Draw pixels on the grid {0, 1/255, ..., 1}."""
        with torch.no_grad():
            shape = torch.Size(sample_shape) + self.location.shape
            tiny = torch.finfo(self.location.dtype).tiny
            uniform = torch.rand(
                shape, generator=generator, dtype=self.location.dtype, device=self.location.device
            )
            draw = self.location + torch.exp(self.log_scale) * torch.logit(uniform.clamp(min=tiny))
            steps = self.levels - 1
            return torch.round(draw.clamp(0, 1) * steps) / steps
