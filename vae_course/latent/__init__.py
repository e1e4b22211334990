"""Moving through latent space: codes in, codes out; a model's `decode` makes them images."""

from vae_course.latent.attributes import attribute_vector
from vae_course.latent.calibration import coverage, rank_among
from vae_course.latent.imputation import (
    Chain,
    ImportanceSample,
    complete,
    draw_pixels,
    importance_resampling,
    observed_log_prob,
    pseudo_gibbs,
)
from vae_course.latent.interpolation import geodesic, path_energy, path_length, slerp
from vae_course.latent.ood import auroc, compressed_nats
from vae_course.latent.retrieval import precision_at_k, symmetric_kl
from vae_course.latent.whitening import (
    Whitening,
    fit_whitening,
    nearest_code,
    neighborhood,
    overlap,
    unit_directions,
)

__all__ = [
    "Chain",
    "ImportanceSample",
    "Whitening",
    "attribute_vector",
    "auroc",
    "complete",
    "compressed_nats",
    "coverage",
    "draw_pixels",
    "fit_whitening",
    "geodesic",
    "importance_resampling",
    "nearest_code",
    "neighborhood",
    "observed_log_prob",
    "overlap",
    "path_energy",
    "path_length",
    "precision_at_k",
    "pseudo_gibbs",
    "rank_among",
    "slerp",
    "symmetric_kl",
    "unit_directions",
]
