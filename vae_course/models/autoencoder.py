"""The classical autoencoder: one code for an image, and no distribution anywhere."""

from collections.abc import Sequence

from torch import Tensor

from vae_course.distributions import full_precision
from vae_course.models.base import Model
from vae_course.models.shapes import as_image_shape, check_images, decode_batches
from vae_course.networks import Network, encoder_and_decoder


class Autoencoder(Model):
    """z = f(x) and x̂ = g(z), trained to make x̂ close to x.

    Args:
        image_shape: `(channels, height, width)`.
        latent_dim: size of z.
        network: `"mlp"` or `"conv"`; or `(encoder, decoder)`, modules of your own: from images to
            `(batch, latent)`, and back.
        widths: hidden sizes (mlp) or channels (conv); an empty tuple with `"mlp"` makes both maps
            linear (affine).

    Raises:
        ValueError: an unknown network, or images that do not fit.

    Source: Rumelhart, Hinton & Williams (1986); Baldi & Hornik (1989) for the linear one.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        latent_dim: int,
        *,
        network: Network = "mlp",
        widths: Sequence[int] = (512, 256),
    ) -> None:
        """Build encoder and decoder."""
        super().__init__()
        self.image_shape = as_image_shape(image_shape)
        self.latent_dim = latent_dim
        self.encoder, self.decoder = encoder_and_decoder(
            network, self.image_shape, widths, (latent_dim, latent_dim)
        )

    def encode(self, x: Tensor) -> Tensor:
        """Return the code z, `(batch, latent)`, of images `(batch, channels, height, width)`."""
        check_images(x, self.image_shape, self.encoder)
        out: Tensor = full_precision(self.encoder(x))
        return out

    def decode(self, z: Tensor) -> Tensor:
        """Return the image x̂, `(..., channels, height, width)`, of codes `(..., latent)`."""
        return full_precision(decode_batches(self.decoder, z, self.latent_dim))

    def forward(self, x: Tensor) -> Tensor:
        """Reconstruct: x̂ = g(f(x))."""
        return self.decode(self.encode(x))
