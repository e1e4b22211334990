"""Objectives: every term is `(batch,)` in nats per image, unreduced; only training takes a mean."""

from vae_course.objectives.elbo import ELBOTerms, NegativeELBO, elbo, gaussian_kl
from vae_course.objectives.importance import (
    BoundTerms,
    DReG,
    NegativeIWAE,
    iwae_bound,
    log_weights,
)
from vae_course.objectives.penalties import capacity_penalty, free_bits
from vae_course.objectives.protocol import LatentVariableModel
from vae_course.objectives.quantization import (
    CodebookEMA,
    Quantized,
    codebook_loss,
    commitment_loss,
    ema_update,
    perplexity,
    quantize,
)
from vae_course.objectives.reconstruction import ReconstructionTerms, squared_error
from vae_course.objectives.total_correlation import TCTerms, stratified_weights, tc_decomposition

__all__ = [
    "BoundTerms",
    "CodebookEMA",
    "DReG",
    "ELBOTerms",
    "LatentVariableModel",
    "NegativeELBO",
    "NegativeIWAE",
    "Quantized",
    "ReconstructionTerms",
    "TCTerms",
    "capacity_penalty",
    "codebook_loss",
    "commitment_loss",
    "elbo",
    "ema_update",
    "free_bits",
    "gaussian_kl",
    "iwae_bound",
    "log_weights",
    "perplexity",
    "quantize",
    "squared_error",
    "stratified_weights",
    "tc_decomposition",
]
