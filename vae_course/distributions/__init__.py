"""Probability distributions that `torch.distributions` lacks, in its own vocabulary."""

from vae_course.distributions.divergences import diagonal_kl, kl
from vae_course.distributions.gaussians import (
    DiagonalGaussian,
    FullGaussian,
    StandardNormal,
    log_standard_normal,
    precision_weighted,
    reparameterize,
)
from vae_course.distributions.logistic import DiscretizedLogistic
from vae_course.distributions.relaxed import gumbel_softmax

__all__ = [
    "DiagonalGaussian",
    "DiscretizedLogistic",
    "FullGaussian",
    "StandardNormal",
    "diagonal_kl",
    "gumbel_softmax",
    "kl",
    "log_standard_normal",
    "precision_weighted",
    "reparameterize",
]
