"""Models: encode, decode and prior. A model knows nothing of optimizers."""

from vae_course.models.autoencoder import Autoencoder
from vae_course.models.linear_gaussian import LinearGaussian, random_linear_gaussian
from vae_course.models.storage import load_model, save_model
from vae_course.models.vae import VAE, VAEOutput

__all__ = [
    "VAE",
    "Autoencoder",
    "LinearGaussian",
    "VAEOutput",
    "load_model",
    "random_linear_gaussian",
    "save_model",
]
