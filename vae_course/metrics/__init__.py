"""Metrics: numbers that say how good a model is."""

from vae_course.metrics.aggregate import Surgery, elbo_surgery, log_aggregate
from vae_course.metrics.classifier import Classifier, fashion_classifier, train_classifier
from vae_course.metrics.conditional import (
    class_log_marginals,
    conditional_log_marginal,
    log_mixture,
)
from vae_course.metrics.cost import LayerCost, count_flops, count_parameters, layer_costs
from vae_course.metrics.coverage import coverage, rank_among
from vae_course.metrics.energy import energy_distance
from vae_course.metrics.frechet import frechet_distance
from vae_course.metrics.gaps import refine_posterior
from vae_course.metrics.gray_levels import clamped_gaussian_log_px, dequantized_bits_per_dim
from vae_course.metrics.grid import (
    LatentGrid,
    grid_kl,
    grid_log_joint,
    grid_log_marginal,
    grid_log_posterior,
    latent_grid,
)
from vae_course.metrics.latents import active_units
from vae_course.metrics.likelihood import (
    ELBOEstimate,
    bits_per_dim,
    estimate_elbo,
    log_marginal,
)
from vae_course.metrics.monte_carlo import (
    effective_sample_size,
    prior_log_weights,
    proposal_log_weights,
)
from vae_course.metrics.ood import auroc, compressed_nats
from vae_course.metrics.retrieval import precision_at_k, symmetric_kl
from vae_course.metrics.sharpness import sharpness
from vae_course.metrics.stacks import (
    StackEstimate,
    estimate_stack,
    unit_variances,
    variance_shares,
)
from vae_course.metrics.two_sample import (
    TwoSampleTest,
    classifier_two_sample_test,
    median_distance,
    mmd,
    mmd_test,
    rbf_kernel,
)

__all__ = [
    "Classifier",
    "ELBOEstimate",
    "LatentGrid",
    "LayerCost",
    "StackEstimate",
    "Surgery",
    "TwoSampleTest",
    "active_units",
    "auroc",
    "bits_per_dim",
    "clamped_gaussian_log_px",
    "class_log_marginals",
    "classifier_two_sample_test",
    "compressed_nats",
    "conditional_log_marginal",
    "count_flops",
    "count_parameters",
    "coverage",
    "dequantized_bits_per_dim",
    "effective_sample_size",
    "elbo_surgery",
    "energy_distance",
    "estimate_elbo",
    "estimate_stack",
    "fashion_classifier",
    "frechet_distance",
    "grid_kl",
    "grid_log_joint",
    "grid_log_marginal",
    "grid_log_posterior",
    "latent_grid",
    "layer_costs",
    "log_aggregate",
    "log_marginal",
    "log_mixture",
    "median_distance",
    "mmd",
    "mmd_test",
    "precision_at_k",
    "prior_log_weights",
    "proposal_log_weights",
    "rank_among",
    "rbf_kernel",
    "refine_posterior",
    "sharpness",
    "symmetric_kl",
    "train_classifier",
    "unit_variances",
    "variance_shares",
]
