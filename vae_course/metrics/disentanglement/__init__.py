"""Disentanglement: how far each latent stands for one factor, and each factor for one latent.

Five scores from the literature, with the settings of disentanglement_lib (Locatello et al. 2019).
All take codes `(N, latent)`, the posterior means, or a function that gives them.
"""

from vae_course.metrics.disentanglement.dci import DCI, dci
from vae_course.metrics.disentanglement.interventions import (
    Represent,
    beta_vae_score,
    factor_vae_score,
)
from vae_course.metrics.disentanglement.mig import mutual_information_gap, normalized_information
from vae_course.metrics.disentanglement.sap import sap

__all__ = [
    "DCI",
    "Represent",
    "beta_vae_score",
    "dci",
    "factor_vae_score",
    "mutual_information_gap",
    "normalized_information",
    "sap",
]
