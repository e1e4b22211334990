"""VQ-VAE: a code is a small map of indices, and the decoder sees their entries."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vae_course.discrete.codebooks import QUANTIZERS, Quantizer, QuantizerOutput, kmeans_codebook
from vae_course.distributions import full_precision
from vae_course.models import Model
from vae_course.models.parts import likelihood_part
from vae_course.models.shapes import as_image_shape, check_images
from vae_course.networks import MapDecoder, MapEncoder, check_network
from vae_course.networks.maps import map_size


@dataclass(frozen=True)
class VQOutput:
    """One pass x → z_e → z_q → p(x|z_q).

    Attributes:
        z_e: encodings, `(batch, h, w, dim)`.
        quantization: z_q, indices `(batch, h, w)` and the quantizer's loss `(batch,)`.
        p: the likelihood, batch shape `(batch,)`, event one image.
    """

    z_e: Tensor
    quantization: QuantizerOutput
    p: Distribution


class VQVAE(Model):
    """An autoencoder whose code is a map of h × w indices.

    q(z|x) puts all its mass on one map of indices, so with p(z) over maps
    log p(x) ≥ log p(x|z) + log p(z): the uniform prior costs h · w · log K nats.

    Args:
        image_shape: `(channels, height, width)`.
        quantizer: a name from `vae_course.discrete.QUANTIZERS`, or one of your own.
        network: `(encoder, decoder)`, modules of your own from images to maps `(batch, dim, h, w)`
            and from maps to what the likelihood takes; without them, residual networks.
        halvings: of height and width, from image to map.
        width: channels of the networks.
        residual: `(blocks, hidden channels)` of their residual stacks.
        likelihood: a name from `vae_course.likelihoods`, or a module of your own.
        settings: keyword arguments of the quantizer (`codebook_size`, `dim`, `decay`, …).

    Raises:
        ValueError: an unknown quantizer or likelihood, or images that cannot be halved.

    Source: van den Oord et al. (2017).

    Example:
        >>> from vae_course.discrete import VQVAE
        >>> model = VQVAE((1, 8, 8), width=4, residual=(1, 2), codebook_size=16, dim=3)
        >>> model.indices(torch.zeros(5, 1, 8, 8)).shape
        torch.Size([5, 2, 2])
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        *,
        quantizer: str | Quantizer = "ema",
        network: tuple[nn.Module, nn.Module] | None = None,
        halvings: int = 2,
        width: int = 128,
        residual: Sequence[int] = (2, 32),
        likelihood: str | nn.Module = "shared-gaussian",
        **settings: Any,
    ) -> None:
        """Build encoder, quantizer, decoder and likelihood."""
        super().__init__()
        self.image_shape = as_image_shape(image_shape)
        channels, height, wide = self.image_shape
        self.quantizer = _quantizer(quantizer, settings)
        self.likelihood, per_pixel = likelihood_part(likelihood)
        output_shape, dim = (channels * per_pixel, height, wide), self.quantizer.dim
        self.encoder: nn.Module
        self.decoder: nn.Module
        if network is not None:
            self.encoder, self.decoder = network
            size = check_network(self.encoder, "the encoder", self.image_shape, None)
            if len(size) != 3 or size[0] != dim:
                raise ValueError(
                    f"the encoder gives {size} for an image; expected is a map (dim, h, w) with "
                    f"dim = {dim}, the quantizer's"
                )
            check_network(self.decoder, "the decoder", size, output_shape)
            self.map_shape = (size[1], size[2])
            return
        self.map_shape = map_size(self.image_shape, halvings)
        options: dict[str, Any] = {
            "halvings": halvings,
            "width": width,
            "residual": tuple(residual),
        }
        self.encoder = MapEncoder(self.image_shape, dim, **options)
        self.decoder = MapDecoder(dim, output_shape, **options)

    def encode(self, x: Tensor) -> Tensor:
        """Return encodings z_e, `(batch, h, w, dim)`, for images `(batch, C, H, W)`.

        Raises:
            ValueError: the images do not have the model's shape.
        """
        check_images(x, self.image_shape, self.encoder)
        out: Tensor = full_precision(self.encoder(x)).movedim(1, -1)
        return out

    def decode(self, z_q: Tensor) -> Distribution:
        """Return p(x|z_q) for quantized encodings `(batch, h, w, dim)`."""
        p: Distribution = self.likelihood(self.decoder(z_q.movedim(-1, 1)))
        return p

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> VQOutput:
        """Encode, quantize, decode."""
        z_e = self.encode(x)
        quantization = self.quantizer(z_e, generator)
        return VQOutput(z_e, quantization, self.decode(quantization.z_q))

    @torch.no_grad()
    def indices(self, x: Tensor, batch_size: int = 500) -> Tensor:
        """Return the maps of indices `(N, h, w)` of images; the codebook stays as it is."""
        training = self.training
        self.eval()
        found = [self.quantizer(self.encode(part)).indices for part in x.split(batch_size)]
        self.train(training)
        return torch.cat(found)

    def decode_indices(self, indices: Tensor) -> Distribution:
        """Return p(x|z) for maps of indices `(batch, h, w)`."""
        return self.decode(self.quantizer.lookup(indices))

    @torch.no_grad()
    def start_codebook(self, x: Tensor, seed: int = 0) -> None:
        """Put the codebook where the untrained encoder puts images: at k-means centers.

        Raises:
            ValueError: fewer encodings than codes, or a quantizer without a codebook to start.
        """
        start = getattr(self.quantizer, "start", None)
        if start is None:
            raise ValueError(
                f"a {type(self.quantizer).__name__} has no codebook that could be started; only "
                "the quantizers 'gradient' and 'ema' have"
            )
        start(kmeans_codebook(self.encode(x), self.quantizer.codebook_size, seed))


def _quantizer(quantizer: str | Quantizer, settings: dict[str, Any]) -> Quantizer:
    """Make the quantizer of that name, or take the one that is there."""
    if isinstance(quantizer, Quantizer):
        if settings:
            raise ValueError(f"{', '.join(settings)}: the quantizer is there, and takes no more")
        return quantizer
    if quantizer not in QUANTIZERS:
        raise ValueError(
            f"unknown quantizer {quantizer!r}; choose one of {', '.join(QUANTIZERS)}, or give a "
            "Quantizer"
        )
    return QUANTIZERS[quantizer](**settings)
