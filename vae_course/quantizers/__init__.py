"""Quantizers: encodings in, one of finitely many codes out, and how the codes are learned."""

from vae_course.quantizers.codebooks import (
    QUANTIZERS,
    EMACodebook,
    FiniteScalar,
    GradientCodebook,
    GumbelCodebook,
    Quantization,
    Quantizer,
)
from vae_course.quantizers.nearest import (
    CodebookEMA,
    Quantized,
    code_counts,
    codebook_loss,
    commitment_loss,
    ema_update,
    perplexity,
    quantize,
)
from vae_course.quantizers.start import kmeans_codebook

__all__ = [
    "QUANTIZERS",
    "CodebookEMA",
    "EMACodebook",
    "FiniteScalar",
    "GradientCodebook",
    "GumbelCodebook",
    "Quantization",
    "Quantized",
    "Quantizer",
    "code_counts",
    "codebook_loss",
    "commitment_loss",
    "ema_update",
    "kmeans_codebook",
    "perplexity",
    "quantize",
]
