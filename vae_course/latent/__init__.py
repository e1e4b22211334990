"""Moving through latent space: codes in, codes out; a model's `decode` makes them images."""

from vae_course.latent.walks import interpolate, manifold_grid, sample_images, traverse

__all__ = ["interpolate", "manifold_grid", "sample_images", "traverse"]
