"""Priors that fit the codes: mixtures, VampPrior, and tests of how far codes and prior differ."""

from vae_course.priors.aggregate import Surgery, elbo_surgery, log_aggregate
from vae_course.priors.ex_post import WithPrior, fit_mixture, with_prior
from vae_course.priors.mixtures import LatentMixture
from vae_course.priors.monte_carlo import SampledELBOLoss
from vae_course.priors.style import class_means, transfer
from vae_course.priors.two_sample import (
    TwoSampleTest,
    classifier_two_sample_test,
    median_distance,
    mmd,
    mmd_test,
    rbf_kernel,
)
from vae_course.priors.vamp_prior import VampPriorVAE

__all__ = [
    "LatentMixture",
    "SampledELBOLoss",
    "Surgery",
    "TwoSampleTest",
    "VampPriorVAE",
    "WithPrior",
    "class_means",
    "classifier_two_sample_test",
    "elbo_surgery",
    "fit_mixture",
    "log_aggregate",
    "median_distance",
    "mmd",
    "mmd_test",
    "rbf_kernel",
    "transfer",
    "with_prior",
]
