"""The Gaussian VAE: q(z|x), p(x|z) and p(z) as three methods that return distributions."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vae_course.distributions import DiagonalGaussian
from vae_course.likelihoods import likelihood as make_likelihood
from vae_course.models.shapes import check_images, decode_batches
from vae_course.networks import ImageShape, encoder_and_decoder


@dataclass(frozen=True)
class VAEOutput:
    """One pass x → q(z|x) → z → p(x|z).

    Attributes:
        q: the approximate posterior, batch shape `(batch,)`, event `(latent,)`.
        z: one reparameterized sample of it, `(batch, latent)`.
        p: the likelihood at z, batch shape `(batch,)`, event one image.
    """

    q: DiagonalGaussian
    z: Tensor
    p: Distribution


class VAE(nn.Module):
    """A variational autoencoder with a diagonal Gaussian posterior and an N(0, I) prior.

    Args:
        image_shape: `(channels, height, width)`.
        latent_dim: size of z.
        network: `"mlp"` or `"conv"`.
        widths: hidden sizes (mlp) or channels (conv), from the image inwards.
        likelihood: a name from `vae_course.likelihoods`.
        activation: a name from `vae_course.networks.ACTIVATIONS`.

    Raises:
        ValueError: an unknown network, likelihood or activation, or images that do not fit.

    Source: Kingma & Welling (2014); Rezende et al. (2014).
    """

    prior_mean: Tensor

    def __init__(
        self,
        image_shape: Sequence[int],
        latent_dim: int,
        *,
        network: str = "mlp",
        widths: Sequence[int] = (512, 256),
        likelihood: str = "bernoulli",
        activation: str = "relu",
    ) -> None:
        """Build encoder, decoder and likelihood."""
        super().__init__()
        channels, height, width = image_shape
        self.image_shape: ImageShape = (channels, height, width)
        self.latent_dim = latent_dim
        self.likelihood = make_likelihood(likelihood)
        self.encoder, self.decoder = encoder_and_decoder(
            network,
            self.image_shape,
            widths,
            (2 * latent_dim, latent_dim),
            int(self.likelihood.parameters_per_pixel),
            activation,
        )
        # Buffers, so that the prior lives where the model does.
        self.register_buffer("prior_mean", torch.zeros(latent_dim), persistent=False)
        self.config = {
            "image_shape": list(self.image_shape),
            "latent_dim": latent_dim,
            "network": network,
            "widths": list(widths),
            "likelihood": likelihood,
            "activation": activation,
        }

    def prior(self) -> DiagonalGaussian:
        """Return p(z) = N(0, I), event `(latent,)`."""
        return DiagonalGaussian(self.prior_mean, torch.zeros_like(self.prior_mean))

    def encode(self, x: Tensor) -> DiagonalGaussian:
        """Return q(z|x) for images `(batch, channels, height, width)`.

        Raises:
            ValueError: the images do not have the model's shape.
        """
        check_images(x, self.image_shape)
        mean, log_var = self.encoder(x).float().chunk(2, dim=-1)
        return DiagonalGaussian(mean, log_var)

    def decode(self, z: Tensor) -> Distribution:
        """Return p(x|z) for codes `(..., latent)`; the batch shape is `z.shape[:-1]`."""
        return self.likelihood(decode_batches(self.decoder, z, self.latent_dim))  # type: ignore[no-any-return]

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> VAEOutput:
        """Encode, sample once, decode."""
        q = self.encode(x)
        z = q.rsample(generator=generator)
        return VAEOutput(q, z, self.decode(z))
