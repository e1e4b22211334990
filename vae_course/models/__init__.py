"""Models: encode, decode and prior. A model knows nothing of optimizers."""

from vae_course.models.autoencoder import Autoencoder
from vae_course.models.base import Model
from vae_course.models.linear_gaussian import (
    LinearGaussian,
    random_linear_gaussian,
    rotated_linear_gaussian,
)
from vae_course.models.storage import load_model, save_model
from vae_course.models.vae import VAE, VAEOutput
from vae_course.models.walks import interpolate, manifold_grid, sample_images, traverse

__all__ = [
    "VAE",
    "Autoencoder",
    "LinearGaussian",
    "Model",
    "VAEOutput",
    "interpolate",
    "load_model",
    "manifold_grid",
    "random_linear_gaussian",
    "rotated_linear_gaussian",
    "sample_images",
    "save_model",
    "traverse",
]
