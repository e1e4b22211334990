"""Objectives: every term is `(batch,)` in nats per image, unreduced; only training takes a mean."""

from vae_course.distributions.divergences import full_gaussian_kl, gaussian_kl
from vae_course.objectives.bound import (
    ELBOTerms,
    NegativeELBO,
    elbo,
    free_bits,
    kl_to_standard_normal,
)
from vae_course.objectives.importance import BoundTerms, DReG, NegativeIWAE, iwae_bound, log_weights
from vae_course.objectives.protocol import JointModel, LatentVariableModel
from vae_course.objectives.reconstruction import ReconstructionTerms, squared_error

__all__ = [
    "BoundTerms",
    "DReG",
    "ELBOTerms",
    "JointModel",
    "LatentVariableModel",
    "NegativeELBO",
    "NegativeIWAE",
    "ReconstructionTerms",
    "elbo",
    "free_bits",
    "full_gaussian_kl",
    "gaussian_kl",
    "iwae_bound",
    "kl_to_standard_normal",
    "log_weights",
    "squared_error",
]
