"""The discretized logistic: a mass for each of 256 gray levels."""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Distribution, constraints


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
