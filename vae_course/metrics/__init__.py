"""Metrics: numbers that say how good a model is."""

from vae_course.metrics.classifier import Classifier, fashion_classifier, train_classifier
from vae_course.metrics.cost import LayerCost, count_flops, count_parameters, layer_costs
from vae_course.metrics.edges import sharpness
from vae_course.metrics.frechet import frechet_distance
from vae_course.metrics.latents import active_units
from vae_course.metrics.likelihood import ELBOEstimate, bits_per_dim, estimate_elbo, log_marginal
from vae_course.metrics.pca import PCA, fit_pca

__all__ = [
    "PCA",
    "Classifier",
    "ELBOEstimate",
    "LayerCost",
    "active_units",
    "bits_per_dim",
    "count_flops",
    "count_parameters",
    "estimate_elbo",
    "fashion_classifier",
    "fit_pca",
    "frechet_distance",
    "layer_costs",
    "log_marginal",
    "sharpness",
    "train_classifier",
]
