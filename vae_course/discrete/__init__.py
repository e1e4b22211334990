"""Discrete codes: codebooks, the VQ-VAE, and a transformer that is a prior over its codes."""

from vae_course.discrete.code_prior import CodePrior
from vae_course.discrete.codebooks import (
    QUANTIZERS,
    EMACodebook,
    FiniteScalar,
    GradientCodebook,
    GumbelCodebook,
    Quantizer,
    QuantizerOutput,
    kmeans_codebook,
)
from vae_course.discrete.nearest import (
    EMAState,
    NearestEntries,
    code_counts,
    codebook_loss,
    commitment_loss,
    ema_update,
    perplexity,
    quantize,
)
from vae_course.discrete.objectives import VQTerms, vq_loss
from vae_course.discrete.transformer import CausalTransformer
from vae_course.discrete.vq_vae import VQVAE, VQOutput

__all__ = [
    "QUANTIZERS",
    "VQVAE",
    "CausalTransformer",
    "CodePrior",
    "EMACodebook",
    "EMAState",
    "FiniteScalar",
    "GradientCodebook",
    "GumbelCodebook",
    "NearestEntries",
    "Quantizer",
    "QuantizerOutput",
    "VQOutput",
    "VQTerms",
    "code_counts",
    "codebook_loss",
    "commitment_loss",
    "ema_update",
    "kmeans_codebook",
    "perplexity",
    "quantize",
    "vq_loss",
]
