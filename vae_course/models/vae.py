"""The Gaussian VAE: q(z|x), p(x|z) and p(z) as three methods that return distributions."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vae_course.distributions import DiagonalGaussian, StandardNormal, full_precision
from vae_course.models.base import Model
from vae_course.models.parts import likelihood_part
from vae_course.models.shapes import as_image_shape, check_images, decode_batches
from vae_course.networks import Activation, Network, encoder_and_decoder


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


class VAE(Model):
    """A variational autoencoder with a diagonal Gaussian posterior and an N(0, I) prior.

    Args:
        image_shape: `(channels, height, width)`.
        latent_dim: size of z.
        network: `"mlp"` or `"conv"`; or `(encoder, decoder)`, modules of your own: from images to
            `(batch, 2 · latent)`, mean and log-variance, and from codes `(batch, latent)` to what
            the likelihood takes.
        widths: hidden sizes (mlp) or channels (conv), from the image inwards.
        likelihood: a name from `vae_course.likelihoods`, or a module of your own.
        activation: a name from `vae_course.networks.ACTIVATIONS`, or what makes a module.

    Raises:
        ValueError: an unknown network, likelihood or activation, or images that do not fit.

    Source: Kingma & Welling (2014); Rezende et al. (2014).

    Example:
        >>> import torch
        >>> from vae_course.models import VAE
        >>> model = VAE((1, 28, 28), latent_dim=2, widths=(32,))
        >>> x = torch.zeros(5, 1, 28, 28)
        >>> q = model.encode(x)
        >>> q.mean.shape, model.decode(q.mean).log_prob(x).shape
        (torch.Size([5, 2]), torch.Size([5]))

        Networks of your own:

        >>> from torch import nn
        >>> encoder = nn.Sequential(nn.Flatten(), nn.Linear(784, 2 * 2))
        >>> decoder = nn.Sequential(nn.Linear(2, 784), nn.Unflatten(1, (1, 28, 28)))
        >>> VAE((1, 28, 28), 2, network=(encoder, decoder)).encode(x).mean.shape
        torch.Size([5, 2])
    """

    prior_mean: Tensor

    def __init__(
        self,
        image_shape: Sequence[int],
        latent_dim: int,
        *,
        network: Network = "mlp",
        widths: Sequence[int] = (512, 256),
        likelihood: str | nn.Module = "bernoulli",
        activation: Activation = "relu",
    ) -> None:
        """Build encoder, decoder and likelihood."""
        super().__init__()
        self.image_shape = as_image_shape(image_shape)
        self.latent_dim = latent_dim
        self.likelihood, per_pixel = likelihood_part(likelihood)
        self.encoder, self.decoder = encoder_and_decoder(
            network,
            self.image_shape,
            widths,
            (self._encoder_outputs(network), latent_dim),
            per_pixel,
            activation,
        )
        # Buffers, so that the prior lives where the model does.
        self.register_buffer("prior_mean", torch.zeros(latent_dim), persistent=False)

    def _encoder_outputs(self, network: Network) -> int:
        """How many numbers q(z|x) is read from."""
        return 2 * self.latent_dim

    def prior(self) -> StandardNormal:
        """Return p(z) = N(0, I), event `(latent,)`."""
        return StandardNormal(
            self.latent_dim, dtype=self.prior_mean.dtype, device=self.prior_mean.device
        )

    def encode(self, x: Tensor) -> DiagonalGaussian:
        """Return q(z|x) for images `(batch, channels, height, width)`.

        Raises:
            ValueError: the images do not have the model's shape.
        """
        check_images(x, self.image_shape, self.encoder)
        mean, log_var = full_precision(self.encoder(x)).chunk(2, dim=-1)
        return DiagonalGaussian(mean, log_var)

    def decode(self, z: Tensor) -> Distribution:
        """Return p(x|z) for codes `(..., latent)`; the batch shape is `z.shape[:-1]`."""
        p: Distribution = self.likelihood(decode_batches(self.decoder, z, self.latent_dim))
        return p

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> VAEOutput:
        """Encode, sample once, decode."""
        q = self.encode(x)
        z = q.rsample(generator=generator)
        return VAEOutput(q, z, self.decode(z))
