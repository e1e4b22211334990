"""Probability distributions that `torch.distributions` lacks, in its own vocabulary."""

from vae_course.distributions.bernoulli import BernoulliImages, ContinuousBernoulliImages
from vae_course.distributions.divergences import diagonal_kl, kl
from vae_course.distributions.gaussians import (
    DiagonalGaussian,
    FullGaussian,
    StandardNormal,
    log_standard_normal,
    precision_weighted,
)
from vae_course.distributions.logistic import DiscretizedLogistic
from vae_course.distributions.precision import full_precision
from vae_course.distributions.relaxed import gumbel_softmax
from vae_course.distributions.sampling import (
    Reparameterized,
    reparameterize,
    unbatched,
    with_generator,
)

__all__ = [
    "BernoulliImages",
    "ContinuousBernoulliImages",
    "DiagonalGaussian",
    "DiscretizedLogistic",
    "FullGaussian",
    "Reparameterized",
    "StandardNormal",
    "diagonal_kl",
    "full_precision",
    "gumbel_softmax",
    "kl",
    "log_standard_normal",
    "precision_weighted",
    "reparameterize",
    "unbatched",
    "with_generator",
]
