"""What every stack of latent layers has: one pass through all, and its importance weights."""

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vae_course.distributions import DiagonalGaussian, full_precision
from vae_course.models.shapes import check_images
from vae_course.networks import ImageShape


@dataclass(frozen=True)
class StackOutput:
    """One pass: every layer inferred and sampled once. Index 0 is z_1, next to the image.

    Attributes:
        q: for each layer the Gaussian that z was drawn from, at the codes it is conditioned on.
        prior: for each layer p(z_l|z_{l+1}) at the drawn z_{l+1}; N(0, I) for the last.
        z: the codes, each `(batch, latent)`.
        kl: each layer's share of the divergence, `(batch, layers)`, nats per image.
        p: p(x|z_1), batch shape `(batch,)`, event one image.
    """

    q: tuple[DiagonalGaussian, ...]
    prior: tuple[DiagonalGaussian, ...]
    z: tuple[Tensor, ...]
    kl: Tensor
    p: Distribution


class Stacked(nn.Module):
    """A model that infers and draws all its layers in one pass; index 0 is z_1, next to the image.

    Attributes:
        image_shape: `(channels, height, width)`.
        latent_dims: size of each z_l.
        trunks: networks without noise, upwards from the image.
        decoder: the last network, from codes or a stream to the likelihood's numbers.
        likelihood: p(x|·) of these numbers.
    """

    image_shape: ImageShape
    latent_dims: tuple[int, ...]
    trunks: nn.ModuleList
    decoder: nn.Module
    likelihood: nn.Module

    @property
    def layers(self) -> int:
        """L, the number of latent layers."""
        return len(self.latent_dims)

    def decode(self, z: Tensor) -> Distribution:
        """Return p(x|z) for what the decoder takes, `(batch, size)`: z_1, or a stream's end h_1."""
        p: Distribution = self.likelihood(self.decoder(z))
        return p

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> StackOutput:
        """Infer every layer once, and decode."""
        return self.infer(x, 1, generator)

    def infer(
        self, x: Tensor, samples: int, generator: torch.Generator | None = None
    ) -> StackOutput:
        """Draw `samples` stacks of codes for each image.

        Returns:
            A batch of `samples · batch`: all images, then all images again.

        Raises:
            ValueError: the images do not have the model's shape, or samples < 1.
        """
        check_images(x, self.image_shape, self.trunks)
        if samples < 1:
            raise ValueError(f"samples = {samples}: inference draws at least one")
        return self._pass(x, samples, generator)

    @abstractmethod
    def _pass(self, x: Tensor, samples: int, generator: torch.Generator | None) -> StackOutput:
        """Infer and decode."""

    def log_weights(self, x: Tensor, k: int, generator: torch.Generator | None = None) -> Tensor:
        """log w = log p(x|z) + Σ_l (log p(z_l|·) − log q(z_l|·)) for k stacks an image.

        Each layer is conditioned on those above it, as the model has them.

        Returns:
            Shape `(batch, k)`, nats per image; what `vae_course.objectives.log_weights` gives.

        Source: Burda et al. (2016), equation 8, with z all layers together.
        """
        out = self.infer(x, k, generator)
        log_px = out.p.log_prob(x.repeat(k, *[1] * (x.dim() - 1)))
        terms = zip(out.q, out.prior, out.z, strict=True)
        log_w: Tensor = log_px + sum(p.log_prob(z) - q.log_prob(z) for q, p, z in terms)
        return log_w.view(k, len(x)).T


def as_gaussian(numbers: Tensor) -> DiagonalGaussian:
    """Take mean and log-variance, the second as 10 tanh(· / 10), as NVAE's code does.

    Without a bound, the variance of an unused layer that passes codes on falls until KLs overflow.
    """
    mean, log_var = full_precision(numbers).chunk(2, dim=-1)
    return DiagonalGaussian(mean, 10 * (log_var / 10).tanh())


def repeated(q: DiagonalGaussian, samples: int) -> DiagonalGaussian:
    """The same Gaussians `samples` times over: `(batch, …)` => `(samples · batch, …)`."""
    if samples == 1:
        return q
    return DiagonalGaussian(q.mean.repeat(samples, 1), q.log_var.repeat(samples, 1))
