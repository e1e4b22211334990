"""A stack whose layers share one stream: z_l sees all layers above it, and the image sees all."""

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn

from vae_course.distributions import DiagonalGaussian, diagonal_kl
from vae_course.hierarchical.stacked import Stacked, StackOutput, as_gaussian
from vae_course.models import Model
from vae_course.models.parts import likelihood_part
from vae_course.networks import MLPDecoder, as_image_shape, as_size, as_sizes


class SkipVAE(Stacked, Model):
    """p(x, z) = p(z_L) Π_l p(z_l|z_{l+1}, …, z_L) p(x|z_1, …, z_L), Gaussian layers on a stream.

    A deterministic stream runs from the top to the image, and every layer adds to it:

        p(z_l|z_{>l}) = N(head(h_{l+1})),  q(z_l|z_{>l}, x) = N(head(h_{l+1}, d_l)),
        h_l = h_{l+1} + W_l z_l,  p(x|z) = decode(h_1),

    with a learned start h_{L+1} and features d_l that climb from the image without noise.

    Args:
        image_shape: `(channels, height, width)`.
        latents: size of each z_l, from the image upwards, z_1 first.
        width: of the stream, of the features, and of the priors' hidden layers.
        likelihood: a name from `vae_course.likelihoods`, or a module of your own.

    Raises:
        ValueError: no latent layer.

    Source: Kingma et al. (2016), section 4 and appendix; Vahdat & Kautz (2020), section 3.1; Child
    (2021), section 3.

    Example:
        >>> from vae_course.hierarchical import SkipVAE
        >>> SkipVAE((1, 8, 8), (4, 2), width=16)(torch.zeros(5, 1, 8, 8)).kl.shape
        torch.Size([5, 2])
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        latents: Sequence[int],
        *,
        width: int = 128,
        likelihood: str | nn.Module = "bernoulli",
    ) -> None:
        """Build the networks and the likelihood."""
        super().__init__()
        if not latents:
            raise ValueError("a stack without latent layers: give at least one size")
        self.image_shape = as_image_shape(image_shape)
        channels, *size = self.image_shape
        self.latent_dims = as_sizes("latents", latents)
        width = as_size("width", width)
        self.likelihood, per_pixel = likelihood_part(likelihood, self.image_shape)
        self.start = nn.Parameter(torch.zeros(width))
        below = [prod(self.image_shape), *[width] * (len(latents) - 1)]
        self.trunks = nn.ModuleList(nn.Linear(size, width) for size in below)
        self.priors = nn.ModuleList(_network(width, width, 2 * n) for n in latents)
        self.posteriors = nn.ModuleList(nn.Linear(2 * width, 2 * n) for n in latents)
        self.residuals = nn.ModuleList(nn.Linear(n, width) for n in latents)
        self.decoder = MLPDecoder(width, (256,), (channels * per_pixel, size[0], size[1]))

    def _pass(self, x: Tensor, samples: int, generator: torch.Generator | None) -> StackOutput:
        """Climb without noise, then descend along the stream."""
        features, rising = [], x.flatten(1)
        for trunk in self.trunks:
            rising = torch.relu(trunk(rising))
            features.append(rising.repeat(samples, 1))
        stream = self.start.expand(samples * len(x), -1)
        q: list[DiagonalGaussian] = []
        prior: list[DiagonalGaussian] = []
        z: list[Tensor] = []
        for layer in range(self.layers - 1, -1, -1):
            prior.insert(0, as_gaussian(self.priors[layer](stream)))
            seen = torch.cat([stream, features[layer]], dim=-1)
            q.insert(0, as_gaussian(self.posteriors[layer](seen)))
            z.insert(0, q[0].rsample(generator=generator))
            stream = self._carry(layer, stream, z[0])
        kl = torch.stack([diagonal_kl(*pair).sum(-1) for pair in zip(q, prior, strict=True)], -1)
        return StackOutput(tuple(q), tuple(prior), tuple(z), kl, self.decode(stream))

    def _carry(self, layer: int, stream: Tensor, z: Tensor) -> Tensor:
        """h_l = h_{l+1} + W_l z_l, which carries z_l to all layers below."""
        carried: Tensor = stream + self.residuals[layer](z)
        return carried

    @torch.no_grad()
    def sample_images(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Mean images of n draws from the prior, `(n, channels, height, width)`."""
        stream = self.start.expand(n, -1)
        for layer in range(self.layers - 1, -1, -1):
            z = as_gaussian(self.priors[layer](stream)).sample(generator=generator)
            stream = self._carry(layer, stream, z)
        image: Tensor = self.decode(stream).mean
        return image


def _network(taken: int, width: int, given: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(taken, width), nn.ReLU(), nn.Linear(width, given))
