"""The scale of the likelihood: σ, bits per dimension, and sampled KLs."""

from vae_course.scale.dequantization import dequantize
from vae_course.scale.estimators import sampled_kl, sampled_kl_variance, sampled_kl_with_entropy
from vae_course.scale.gray_levels import clamped_gaussian_log_px, dequantized_bits_per_dim
from vae_course.scale.sigma import (
    OptimalSigmaLoss,
    effective_beta,
    optimal_gaussian_log_px,
    optimal_sigma,
    optimal_variance,
)

__all__ = [
    "OptimalSigmaLoss",
    "clamped_gaussian_log_px",
    "dequantize",
    "dequantized_bits_per_dim",
    "effective_beta",
    "optimal_gaussian_log_px",
    "optimal_sigma",
    "optimal_variance",
    "sampled_kl",
    "sampled_kl_variance",
    "sampled_kl_with_entropy",
]
