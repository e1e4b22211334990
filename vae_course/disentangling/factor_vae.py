"""FactorVAE: a VAE and a discriminator that looks at its codes."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from torch import nn

from vae_course.models import VAE


class FactorVAE(VAE):
    """A VAE with a second network that tells codes from codes of shuffled columns.

    Trained with `vae_course.disentangling.FactorLoss`, in which each network's weights see only
    their own loss.

    Args:
        image_shape: as for `VAE`.
        latent_dim: size of z.
        discriminator_widths: its hidden layers, with leaky ReLU of slope 0.2.
        vae: the other keyword arguments of `VAE`.

    Source: Kim & Mnih (2018); appendix A, table 2, for the discriminator.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        latent_dim: int,
        *,
        discriminator_widths: Sequence[int] = (1000,) * 6,
        **vae: Any,
    ) -> None:
        """Build the VAE, then the discriminator."""
        super().__init__(image_shape, latent_dim, **vae)
        layers: list[nn.Module] = []
        for before, after in pairwise([latent_dim, *discriminator_widths]):
            layers += [nn.Linear(before, after), nn.LeakyReLU(0.2)]
        self.discriminator = nn.Sequential(*layers, nn.Linear(discriminator_widths[-1], 1))
