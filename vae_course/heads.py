"""Heads: how the last layer's numbers become the covariance of q(z|x)."""

import math
from collections.abc import Callable
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vae_course.distributions import DiagonalGaussian, FullGaussian, full_precision
from vae_course.models import VAE
from vae_course.models.shapes import check_images
from vae_course.networks import Network

# Name → (the log-variance of a head's output, the output at which the variance is one).
VARIANCE_HEADS: dict[str, tuple[Callable[[Tensor], Tensor], float]] = {
    "log-variance": (lambda raw: raw, 0.0),
    "softplus": (lambda raw: F.softplus(raw).log(), math.log(math.e - 1)),
    "relu": (lambda raw: F.relu(raw).log(), 1.0),
    "relu + 1e-6": (lambda raw: (F.relu(raw) + 1e-6).log(), 1.0),
    "raw": (lambda raw: raw.log(), 1.0),
}


class VarianceHeadVAE(VAE):
    """A VAE whose second head gives the variance in one of several ways, for comparison.

    Every head's bias starts where the variance is one, the prior's: no head is put at a
    disadvantage by where it begins. `"log-variance"` is the plain `VAE`.

    Args:
        head: a name from `VARIANCE_HEADS`.
        arguments: those of `VAE`.
        settings: those of `VAE`.

    Raises:
        ValueError: no head of that name, or an encoder of your own that does not end in a bias.
    """

    def __init__(self, *arguments: Any, head: str, **settings: Any) -> None:
        """Build a VAE and shift the bias of its second head."""
        if head not in VARIANCE_HEADS:
            raise ValueError(f"unknown head {head!r}; choose one of {', '.join(VARIANCE_HEADS)}")
        super().__init__(*arguments, **settings)
        self.to_log_var, start = VARIANCE_HEADS[head]
        bias = list(self.encoder.parameters())[-1]
        if bias.shape != (2 * self.latent_dim,):
            raise ValueError(
                f"the encoder's last parameter has shape {tuple(bias.shape)}: it has to be the "
                f"bias of its {2 * self.latent_dim} outputs, because a head starts by shifting it"
            )
        with torch.no_grad():
            bias[self.latent_dim :] += start

    def encode(self, x: Tensor) -> DiagonalGaussian:
        """Return q(z|x) for images `(batch, channels, height, width)`."""
        check_images(x, self.image_shape, self.encoder)
        mean, raw = full_precision(self.encoder(x)).chunk(2, dim=-1)
        return DiagonalGaussian(mean, self.to_log_var(raw))


def cholesky_outputs(latent_dim: int) -> int:
    """How many numbers a full Gaussian takes: d for μ and d (d + 1) / 2 for L."""
    return latent_dim + latent_dim * (latent_dim + 1) // 2


def cholesky_head(outputs: Tensor, latent_dim: int) -> FullGaussian:
    """Read a layer's outputs as N(μ, L Lᵀ): any real numbers give a valid covariance.

    The first d are μ, the next d are log L_dd², and the rest fill L below its diagonal, row by
    row. With zeros there, it is the diagonal Gaussian of (μ, log σ²).

    Args:
        outputs: shape `(..., d + d (d + 1) / 2)`.
        latent_dim: d.

    Returns:
        Batch shape `outputs.shape[:-1]`, event `(d,)`.

    Raises:
        ValueError: not as many outputs as that.

    Source: Kingma & Welling (2019), section 2.5.1.
    """
    if outputs.shape[-1] != cholesky_outputs(latent_dim):
        raise ValueError(
            f"{outputs.shape[-1]} outputs, but a full Gaussian of {latent_dim} latents takes "
            f"{cholesky_outputs(latent_dim)}"
        )
    below = latent_dim * (latent_dim - 1) // 2
    mean, log_diagonal, rest = outputs.split([latent_dim, latent_dim, below], dim=-1)
    rows, columns = torch.tril_indices(latent_dim, latent_dim, offset=-1, device=outputs.device)
    scale_tril = torch.diag_embed(torch.exp(0.5 * log_diagonal))
    scale_tril[..., rows, columns] = rest
    return FullGaussian(mean, scale_tril)


class FullCovarianceVAE(VAE):
    """A VAE with q(z|x) = N(μ, L Lᵀ): the latents of one image may be correlated.

    It starts as the plain `VAE` of the same seed, with zeros below the diagonal of L.

    Args:
        arguments: those of `VAE`.
        network: as for `VAE`; an encoder of your own gives d + d (d + 1) / 2 numbers.
        settings: those of `VAE`.

    Source: Kingma & Welling (2019), section 2.5.1.
    """

    def __init__(self, *arguments: Any, network: Network = "mlp", **settings: Any) -> None:
        """Build a VAE and widen its encoder to d + d (d + 1) / 2 outputs."""
        super().__init__(*arguments, network=network, **settings)
        if not isinstance(network, str):
            return
        layers = cast(nn.Sequential, self.encoder.layers)
        narrow = cast(nn.Linear, layers[-1])
        wide = nn.Linear(narrow.in_features, cholesky_outputs(self.latent_dim))
        with torch.no_grad():
            for new, old in ((wide.weight, narrow.weight), (wide.bias, narrow.bias)):
                new.zero_()
                new[: len(old)] = old
        layers[-1] = wide

    def _encoder_outputs(self, network: Network) -> int:
        """As many as the plain VAE's at first, whose weights are to be kept; all from your own."""
        plain = isinstance(network, str)
        return 2 * self.latent_dim if plain else cholesky_outputs(self.latent_dim)

    def encode(self, x: Tensor) -> FullGaussian:  # type: ignore[override]
        """Return q(z|x) for images `(batch, channels, height, width)`."""
        check_images(x, self.image_shape, self.encoder)
        return cholesky_head(full_precision(self.encoder(x)), self.latent_dim)
