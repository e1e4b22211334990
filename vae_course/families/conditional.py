"""p(x₂ | x₁): a missing coordinate, given the other, as a table over a grid of values."""

import math
from dataclasses import dataclass
from typing import Protocol, Self, cast

import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution, Independent, MixtureSameFamily, Normal

from vae_course.distributions import log_standard_normal
from vae_course.families.points import Grid


def mixture_conditional(
    weights: Tensor, means: Tensor, covariances: Tensor, x1: Tensor
) -> MixtureSameFamily:
    """p(x₂|x₁) of a mixture of K Gaussians in the plane: again a mixture of K Gaussians.

    Component k has weight ∝ π_k N(x₁; μ_1, C_11), mean μ_2 + C_21/C_11 (x₁ − μ_1) and variance
    C_22 − C_21²/C_11.

    Args:
        weights: π, `(K,)`.
        means: μ, `(K, 2)`.
        covariances: C, `(K, 2, 2)`.
        x1: observed first coordinates, `(batch,)`.

    Returns:
        A mixture with batch shape `(batch,)`.

    Source: Bishop (2006), equations 2.81 and 2.82 for one Gaussian.
    """
    c11, c21, c22 = covariances[:, 0, 0], covariances[:, 1, 0], covariances[:, 1, 1]
    observed = Normal(means[:, 0], c11.sqrt()).log_prob(x1[:, None])  # (batch, K)
    mean = means[:, 1] + c21 / c11 * (x1[:, None] - means[:, 0])
    deviation = (c22 - c21.square() / c11).sqrt().expand_as(mean)
    return MixtureSameFamily(Categorical(logits=weights.log() + observed), Normal(mean, deviation))


class GaussianMean(Protocol):
    """What decodes codes into Gaussians of one σ: a `VAE` with likelihood "shared-gaussian"."""

    def decode(self, z: Tensor) -> Distribution:
        """Return p(x|z)."""
        ...


@dataclass(frozen=True)
class FiniteMixture:
    """p(x) = Σ_i w_i N(x; g_i, σ² I) in the plane, for very many components.

    Attributes:
        log_weights: log w, `(components,)`.
        centers: g, `(components, 2)`.
        sigma: σ.
    """

    log_weights: Tensor
    centers: Tensor
    sigma: float

    @classmethod
    @torch.no_grad()
    def from_decoder(cls, model: GaussianMean, grid: Grid, device: torch.device | str) -> Self:
        """Replace the integral ∫ p(x|z) N(z; 0, I) dz over 2-D codes by a sum over a grid.

        The component of the code z_i is the decoder's N(x; g(z_i), σ² I), and its weight is the
        prior's mass of the grid's cell. Points are images of shape `(1, 1, 2)` to the model.
        """
        z = grid.points(device)
        p = cast("Independent[Normal]", model.decode(z)).base_dist
        log_weights = torch.log_softmax(log_standard_normal(z), dim=0)
        return cls(log_weights, p.loc.flatten(1), float(p.scale.flatten()[0]))

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x) in nats: `(batch, 2)` => `(batch,)`."""
        log_p = []
        for part in x.split(256):
            squared = torch.cdist(part, self.centers).square()  # (part, components)
            log_p.append(torch.logsumexp(self.log_weights - squared / (2 * self.sigma**2), dim=-1))
        return torch.cat(log_p) - math.log(2 * math.pi * self.sigma**2)

    def conditional(self, x1: Tensor, values: Tensor) -> "ConditionalTable":
        """p(x₂|x₁) = Σ_i w_i(x₁) N(x₂; g_i2, σ²), with w_i(x₁) ∝ w_i N(x₁; g_i1, σ²).

        Args:
            x1: observed first coordinates, `(batch,)`.
            values: an even grid of x₂, `(values,)`.
        """
        explains = Normal(self.centers[:, 0], self.sigma).log_prob(x1[:, None])
        weights = torch.softmax(self.log_weights + explains, dim=-1)  # (batch, components)
        at_values = Normal(self.centers[:, 1, None], self.sigma).log_prob(values).exp()
        return ConditionalTable(values, weights @ at_values)


@dataclass(frozen=True)
class ConditionalTable:
    """Densities p(x₂|x₁) on an even grid of x₂, one row for each observed x₁.

    Attributes:
        values: the grid of x₂, `(values,)`; it has to hold practically all of the mass.
        density: `(batch, values)`; rows are normalized here.
    """

    values: Tensor
    density: Tensor

    def __post_init__(self) -> None:
        """Make every row integrate to one."""
        total = self.density.sum(-1, keepdim=True) * self.spacing
        object.__setattr__(self, "density", self.density / total)

    @property
    def spacing(self) -> float:
        """Distance between neighboring values."""
        return float(self.values[1] - self.values[0])

    def mean(self) -> Tensor:
        """E[x₂|x₁], `(batch,)`: the point with the smallest expected squared error."""
        return self.density @ self.values * self.spacing

    def sample(self, generator: torch.Generator) -> Tensor:
        """Draw one x₂ for each row, `(batch,)`."""
        return self.values[torch.multinomial(self.density, 1, generator=generator).squeeze(-1)]

    def log_prob(self, x2: Tensor) -> Tensor:
        """log p(x₂|x₁) in nats, `(batch,)`: the density at the nearest value of the grid."""
        return self.density.gather(-1, self._nearest(x2)).squeeze(-1).log()

    def threshold(self, mass: float) -> Tensor:
        """Density above which a fraction `mass` of each row's probability lies, `(batch,)`."""
        sorted_density = self.density.sort(dim=-1, descending=True).values
        below = (sorted_density.cumsum(-1) * self.spacing < mass).sum(-1, keepdim=True)
        return sorted_density.gather(-1, below.clamp(max=len(self.values) - 1)).squeeze(-1)

    def covers(self, x2: Tensor, mass: float) -> Tensor:
        """Whether x₂ is in its row's highest-density set of this mass, `(batch,)`."""
        return self.density.gather(-1, self._nearest(x2)).squeeze(-1) >= self.threshold(mass)

    def length(self, mass: float) -> Tensor:
        """Total length of each row's highest-density set, `(batch,)`: it may be several pieces."""
        inside = self.density >= self.threshold(mass)[:, None]
        return inside.sum(-1) * self.spacing

    def _nearest(self, x2: Tensor) -> Tensor:
        index = torch.round((x2 - self.values[0]) / self.spacing).long()
        return index.clamp(0, len(self.values) - 1)[:, None]
