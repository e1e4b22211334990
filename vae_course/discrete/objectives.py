"""Objectives of discrete codes: for the model that makes them, and for the prior over them."""

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from vae_course.discrete.nearest import code_counts, perplexity
from vae_course.objectives import check_fits


@dataclass(frozen=True)
class VQTerms:
    """Terms of one batch, each `(batch,)`.

    Attributes:
        loss: reconstruction + quantizer.
        reconstruction: −log p(x|z_q), nats per image.
        quantizer: the quantizer's own loss, summed over an image's encodings.
        perplexity: of the batch's indices (those of all processes), the same for each image.
        codes_used: how many codes occur in the batch, the same for each image.
    """

    loss: Tensor
    reconstruction: Tensor
    quantizer: Tensor
    perplexity: Tensor
    codes_used: Tensor


class QuantizedModel(Protocol):
    """A model with a quantizer between encoder and decoder."""

    quantizer: Any

    def __call__(self, x: Tensor, generator: torch.Generator | None = None) -> Any:
        """Encode, quantize, decode."""
        ...


def vq_loss(model: Any, x: Tensor, step: int, generator: torch.Generator | None = None) -> VQTerms:
    """−log p(x|z_q) + ‖sg[z_e] − e‖² + β ‖z_e − sg[e]‖², summed over an image.

    The last two are the quantizer's; with an EMA codebook there is only the last.

    Args:
        model: a `VQVAE`.
        x: images.
        step: not used.
        generator: for quantizers that draw.

    Source: van den Oord et al. (2017), equation 3.
    """
    check_fits(vq_loss, model, QuantizedModel)
    output = model(x, generator)
    reconstruction = -output.p.log_prob(x)
    own, indices = output.quantization.loss, output.quantization.indices
    size = model.quantizer.codebook_size
    in_use = perplexity(indices, size).expand(len(own))
    used = (code_counts(indices, size) > 0).sum().expand(len(own))
    return VQTerms(reconstruction + own, reconstruction, own, in_use, used)
