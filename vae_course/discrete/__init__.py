"""Discrete codes: codebooks, the VQ-VAE, and a transformer that is a prior over its codes."""

from vae_course.discrete.code_prior import CodePrior
from vae_course.discrete.codebooks import (
    QUANTIZERS,
    EMACodebook,
    FiniteScalar,
    GradientCodebook,
    GumbelCodebook,
    Quantization,
    Quantizer,
    kmeans_codebook,
)
from vae_course.discrete.nearest import (
    CodebookEMA,
    Quantized,
    code_counts,
    codebook_loss,
    commitment_loss,
    ema_update,
    perplexity,
    quantize,
)
from vae_course.discrete.objectives import VQTerms, code_length, vq_loss
from vae_course.discrete.transformer import CausalTransformer
from vae_course.discrete.vq_vae import VQVAE, VQOutput

__all__ = [
    "QUANTIZERS",
    "VQVAE",
    "CausalTransformer",
    "CodePrior",
    "CodebookEMA",
    "EMACodebook",
    "FiniteScalar",
    "GradientCodebook",
    "GumbelCodebook",
    "Quantization",
    "Quantized",
    "Quantizer",
    "VQOutput",
    "VQTerms",
    "code_counts",
    "code_length",
    "codebook_loss",
    "commitment_loss",
    "ema_update",
    "kmeans_codebook",
    "perplexity",
    "quantize",
    "vq_loss",
]
