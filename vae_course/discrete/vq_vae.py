"""VQ-VAE: a code is a small map of indices, and the decoder sees their entries."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vae_course.discrete.codebooks import QUANTIZERS, Quantization, Quantizer, kmeans_codebook
from vae_course.likelihoods import likelihood as make_likelihood
from vae_course.models.shapes import check_images
from vae_course.networks import ImageShape, MapDecoder, MapEncoder
from vae_course.networks.maps import map_size


@dataclass(frozen=True)
class VQOutput:
    """One pass x → z_e → codes → p(x|codes).

    Attributes:
        z_e: encodings, `(batch, h, w, dim)`.
        quantization: codes, indices `(batch, h, w)` and the quantizer's loss `(batch,)`.
        p: the likelihood, batch shape `(batch,)`, event one image.
    """

    z_e: Tensor
    quantization: Quantization
    p: Distribution


class VQVAE(nn.Module):
    """An autoencoder whose code is a map of h × w indices.

    q(z|x) puts all its mass on one map of indices, so with p(z) over maps
    log p(x) ≥ log p(x|z) + log p(z): the uniform prior costs h · w · log K nats.

    Args:
        image_shape: `(channels, height, width)`.
        quantizer: a name from `vae_course.discrete.QUANTIZERS`.
        halvings: of height and width, from image to map.
        width: channels of the networks.
        residual: `(blocks, hidden channels)` of their residual stacks.
        likelihood: a name from `vae_course.likelihoods`.
        settings: keyword arguments of the quantizer (`codes`, `dim`, `decay`, …).

    Raises:
        ValueError: an unknown quantizer or likelihood, or images that cannot be halved.

    Source: van den Oord et al. (2017).
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        *,
        quantizer: str = "ema",
        halvings: int = 2,
        width: int = 128,
        residual: Sequence[int] = (2, 32),
        likelihood: str = "shared-gaussian",
        **settings: Any,
    ) -> None:
        """Build encoder, quantizer, decoder and likelihood."""
        super().__init__()
        if quantizer not in QUANTIZERS:
            raise ValueError(
                f"unknown quantizer {quantizer!r}; choose one of {', '.join(QUANTIZERS)}"
            )
        channels, height, wide = image_shape
        self.image_shape: ImageShape = (channels, height, wide)
        self.map_shape = map_size(self.image_shape, halvings)
        self.quantizer: Quantizer = QUANTIZERS[quantizer](**settings)
        self.likelihood = make_likelihood(likelihood)
        per_pixel = int(self.likelihood.parameters_per_pixel)
        blocks, hidden = residual
        self.encoder = MapEncoder(
            self.image_shape,
            self.quantizer.dim,
            halvings=halvings,
            width=width,
            residual=(blocks, hidden),
        )
        self.decoder = MapDecoder(
            self.quantizer.dim,
            (channels * per_pixel, height, wide),
            halvings=halvings,
            width=width,
            residual=(blocks, hidden),
        )
        self.config = {
            "image_shape": list(self.image_shape),
            "quantizer": quantizer,
            "halvings": halvings,
            "width": width,
            "residual": list(residual),
            "likelihood": likelihood,
            **settings,
        }

    def encode(self, x: Tensor) -> Tensor:
        """Return encodings z_e, `(batch, h, w, dim)`, for images `(batch, C, H, W)`.

        Raises:
            ValueError: the images do not have the model's shape.
        """
        check_images(x, self.image_shape)
        return self.encoder(x).float().movedim(1, -1)  # type: ignore[no-any-return]

    def decode(self, codes: Tensor) -> Distribution:
        """Return p(x|codes) for codes `(batch, h, w, dim)`."""
        return self.likelihood(self.decoder(codes.movedim(-1, 1)))  # type: ignore[no-any-return]

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> VQOutput:
        """Encode, quantize, decode."""
        z_e = self.encode(x)
        quantization = self.quantizer(z_e, generator)
        return VQOutput(z_e, quantization, self.decode(quantization.codes))

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
        start(kmeans_codebook(self.encode(x), self.quantizer.codes, seed))
