"""Moving through latent space: codes in, codes out; a model's `decode` makes them images."""

from vae_course.latent.attributes import attribute_vector
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
from vae_course.latent.neighborhood import (
    Whitening,
    fit_whitening,
    nearest_code,
    neighborhood,
    overlap,
    unit_directions,
)
from vae_course.latent.rotation import diagonal_gap, plane_rotation
from vae_course.latent.transfer import class_means, transfer
from vae_course.latent.walks import interpolate, manifold_grid, sample_images, traverse

__all__ = [
    "Chain",
    "ImportanceSample",
    "Whitening",
    "attribute_vector",
    "class_means",
    "complete",
    "diagonal_gap",
    "draw_pixels",
    "fit_whitening",
    "geodesic",
    "importance_resampling",
    "interpolate",
    "manifold_grid",
    "nearest_code",
    "neighborhood",
    "observed_log_prob",
    "overlap",
    "path_energy",
    "path_length",
    "plane_rotation",
    "pseudo_gibbs",
    "sample_images",
    "slerp",
    "transfer",
    "traverse",
    "unit_directions",
]
