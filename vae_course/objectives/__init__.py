"""Objectives: every term is `(batch,)` in nats per image, unreduced; only training takes a mean."""

from vae_course.distributions.divergences import full_gaussian_kl, gaussian_kl
from vae_course.objectives.bound import (
    ELBOLoss,
    ELBOTerms,
    elbo,
    free_bits,
)
from vae_course.objectives.importance import DReGLoss, IWAELoss, detached, iwae_bound, log_weights
from vae_course.objectives.likelihood import negative_log_likelihood
from vae_course.objectives.observed import check_kind, check_observed
from vae_course.objectives.protocol import (
    Density,
    JointModel,
    LatentVariableModel,
    check_diagonal,
    check_fits,
)
from vae_course.objectives.reconstruction import squared_error_loss

__all__ = [
    "DReGLoss",
    "Density",
    "ELBOLoss",
    "ELBOTerms",
    "IWAELoss",
    "JointModel",
    "LatentVariableModel",
    "check_diagonal",
    "check_fits",
    "check_kind",
    "check_observed",
    "detached",
    "elbo",
    "free_bits",
    "full_gaussian_kl",
    "gaussian_kl",
    "iwae_bound",
    "log_weights",
    "negative_log_likelihood",
    "squared_error_loss",
]
