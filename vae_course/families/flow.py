"""A normalizing flow of affine couplings: invertible, with an exact log p(x)."""

import torch
from torch import Tensor, nn

from vae_course.distributions import full_precision, log_standard_normal
from vae_course.models import Model
from vae_course.networks import MLPEncoder


class _Coupling(nn.Module):
    """y_a = x_a and y_b = x_b · exp(s(x_a)) + t(x_a): the Jacobian is triangular.

    |s| is held below 2 by a tanh, so that no layer can blow up.

    Source: Dinh et al. (2017), equations 4 to 6.
    """

    def __init__(self, width: int, first: int) -> None:
        super().__init__()
        self.first = first  # the coordinate that is passed on, 0 or 1
        self.network = MLPEncoder((1, 1, 1), (width, width), 2)

    def _scale_and_shift(self, kept: Tensor) -> tuple[Tensor, Tensor]:
        raw, shift = full_precision(self.network(kept)).chunk(2, dim=-1)
        return 2 * torch.tanh(raw / 2), shift

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return y, and log |det ∂y/∂x|, which is s."""
        kept, moved = x[:, self.first, None], x[:, 1 - self.first, None]
        log_scale, shift = self._scale_and_shift(kept)
        moved = moved * torch.exp(log_scale) + shift
        return self._join(kept, moved), log_scale.squeeze(-1)

    def inverse(self, y: Tensor) -> Tensor:
        """Return x = ((y_b − t) · exp(−s) beside y_a): as cheap as the way there."""
        kept, moved = y[:, self.first, None], y[:, 1 - self.first, None]
        log_scale, shift = self._scale_and_shift(kept)
        return self._join(kept, (moved - shift) * torch.exp(-log_scale))

    def _join(self, kept: Tensor, moved: Tensor) -> Tensor:
        return torch.cat([kept, moved] if self.first == 0 else [moved, kept], dim=-1)


class CouplingFlow(Model):
    """Points in the plane ↔ N(0, I), through affine couplings of alternating coordinates.

    log p(x) = log N(f(x); 0, I) + log |det ∂f/∂x|.

    Args:
        layers: number of couplings.
        width: of the two hidden layers in each.

    Source: Dinh et al. (2017), "Density estimation using Real NVP", equations 2 and 4 to 8.
    """

    def __init__(self, layers: int = 8, width: int = 64) -> None:
        """Stack the couplings."""
        super().__init__()
        self.couplings = nn.ModuleList(_Coupling(width, layer % 2) for layer in range(layers))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return z = f(x), `(batch, 2)`, and log |det ∂f/∂x|, `(batch,)`."""
        log_det = x.new_zeros(len(x))
        for coupling in self.couplings:
            x, change = coupling(x)
            log_det = log_det + change
        return x, log_det

    def inverse(self, z: Tensor) -> Tensor:
        """Return x = f⁻¹(z), `(batch, 2)`."""
        for coupling in reversed(self.couplings):
            z = coupling.inverse(z)  # type: ignore[operator]
        return z

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x) by the change of variables, `(batch,)`, in nats."""
        z, log_det = self.forward(x)
        return log_standard_normal(z) + log_det

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw z ~ N(0, I) and send it back: `(n, 2)`."""
        return self.inverse(torch.randn(n, 2, generator=generator, device=generator.device))
