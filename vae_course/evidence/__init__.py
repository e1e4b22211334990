"""log p(x) where it can be computed: on a grid, by Monte Carlo, and the gaps below it."""

from vae_course.evidence.gaps import refine_posterior
from vae_course.evidence.grid import (
    LatentGrid,
    grid_kl,
    grid_log_joint,
    grid_log_marginal,
    grid_log_posterior,
    latent_grid,
)
from vae_course.evidence.monte_carlo import (
    effective_sample_size,
    prior_log_weights,
    proposal_log_weights,
)

__all__ = [
    "LatentGrid",
    "effective_sample_size",
    "grid_kl",
    "grid_log_joint",
    "grid_log_marginal",
    "grid_log_posterior",
    "latent_grid",
    "prior_log_weights",
    "proposal_log_weights",
    "refine_posterior",
]
