"""Metrics: numbers that say how good a model is."""

from vae_course.metrics.classifier import Classifier, fashion_classifier, train_classifier
from vae_course.metrics.frechet import frechet_distance
from vae_course.metrics.gaps import refine_posterior
from vae_course.metrics.latents import active_units
from vae_course.metrics.likelihood import (
    ELBOEstimate,
    bits_per_dim,
    estimate_elbo,
    log_marginal,
)

__all__ = [
    "Classifier",
    "ELBOEstimate",
    "active_units",
    "bits_per_dim",
    "estimate_elbo",
    "fashion_classifier",
    "frechet_distance",
    "log_marginal",
    "refine_posterior",
    "train_classifier",
]
