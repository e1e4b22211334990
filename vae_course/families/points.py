"""Points in the plane whose true density is known, and grids to integrate over."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor


def twist(x: Tensor, rate: float) -> Tensor:
    """Turn every point of the plane by the angle rate · |x|.

    In polar coordinates it is (r, φ) ↦ (r, φ + rate · r), whose Jacobian has determinant 1: areas,
    and so densities, stay as they are. The inverse is `twist(x, -rate)`.

    Args:
        x: points, `(..., 2)`.
        rate: radians per unit of length.

    Returns:
        The shape of `x`.
    """
    angle = rate * x.norm(dim=-1)
    cos, sin = torch.cos(angle), torch.sin(angle)
    first, second = x.unbind(-1)
    return torch.stack([cos * first - sin * second, sin * first + cos * second], dim=-1)


@dataclass(frozen=True)
class Pinwheel:
    """Gaussian blobs around the origin, each longer than wide, then twisted into curved arms.

    The density is that of the blobs at the untwisted point, because `twist` keeps areas:
    p(x) = (1/K) Σ_k N(R(−θ_k) twist(x, −rate); (radius, 0), diag(length², width²)).

    Attributes:
        arms: K, how many.
        radius: distance of the blobs' centers from the origin.
        length: standard deviation along an arm.
        width: standard deviation across it.
        rate: of the twist, in radians per unit of length.
    """

    arms: int = 3
    radius: float = 1.6
    length: float = 0.5
    width: float = 0.2
    rate: float = 1.0

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw n points, `(n, 2)`, and the arm each belongs to, `(n,)`."""
        device = generator.device
        arm = torch.randint(self.arms, (n,), generator=generator, device=device)
        noise = torch.randn(n, 2, generator=generator, device=device)
        scale = torch.tensor([self.length, self.width], device=device)
        center = torch.tensor([self.radius, 0.0], device=device)
        return twist(_turn(center + scale * noise, self._angle(arm)), self.rate), arm

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x) in nats: points `(..., 2)` => `(...)`."""
        arm = torch.arange(self.arms, device=x.device)
        blob = _turn(twist(x, -self.rate).unsqueeze(-2), -self._angle(arm).to(x.dtype))
        along = (blob[..., 0] - self.radius) / self.length  # (..., arms)
        across = blob[..., 1] / self.width
        constant = math.log(2 * math.pi * self.length * self.width * self.arms)
        return torch.logsumexp(-0.5 * (along**2 + across**2), dim=-1) - constant

    def entropy(self) -> float:
        """−∫ p(x) log p(x) dx in nats, by the trapezoidal rule on a fine grid."""
        grid = Grid(self.radius + 8 * self.length, 801)
        log_p = self.log_prob(grid.points().double())
        return -float((log_p.exp() * log_p).sum()) * grid.cell

    def _angle(self, arm: Tensor) -> Tensor:
        return 2 * math.pi * arm / self.arms


def _turn(x: Tensor, angle: Tensor) -> Tensor:
    """Rotate points `(..., 2)` by angles `(...)`."""
    cos, sin = torch.cos(angle), torch.sin(angle)
    first, second = x.unbind(-1)
    return torch.stack([cos * first - sin * second, sin * first + cos * second], dim=-1)


@dataclass(frozen=True)
class Grid:
    """A square grid over [−extent, extent]², for pictures of densities and for integrals.

    The sum of f over the points times `cell` is the trapezoidal rule for ∫ f where f vanishes at
    the border; for smooth f it is then exact to rounding, once the spacing is below f's own scale.

    Attributes:
        extent: half the width of the square.
        side: points along each side.
    """

    extent: float
    side: int

    def axis(self, device: torch.device | str = "cpu") -> Tensor:
        """Return the coordinates along one side, `(side,)`."""
        return torch.linspace(-self.extent, self.extent, self.side, device=device)

    def points(self, device: torch.device | str = "cpu") -> Tensor:
        """Return all points, `(side · side, 2)`, the second coordinate moving slowest."""
        axis = self.axis(device)
        second, first = torch.meshgrid(axis, axis, indexing="ij")
        return torch.stack([first.flatten(), second.flatten()], dim=-1)

    @property
    def spacing(self) -> float:
        """Distance between neighbors."""
        return 2 * self.extent / (self.side - 1)

    @property
    def cell(self) -> float:
        """Area that belongs to each point."""
        return self.spacing**2
