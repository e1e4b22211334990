"""Families of generative models on points: data, flow, diffusion, GAN and conditionals."""

from vae_course.families.conditional import ConditionalTable, FiniteMixture, mixture_conditional
from vae_course.families.diffusion import Diffusion, NoiseNetwork, simple_loss
from vae_course.families.energy import energy_distance
from vae_course.families.flow import CouplingFlow, negative_log_likelihood
from vae_course.families.gan import GAN, AdversarialLoss
from vae_course.families.histogram import Histogram
from vae_course.families.points import Grid, Pinwheel, twist

__all__ = [
    "GAN",
    "AdversarialLoss",
    "ConditionalTable",
    "CouplingFlow",
    "Diffusion",
    "FiniteMixture",
    "Grid",
    "Histogram",
    "NoiseNetwork",
    "Pinwheel",
    "energy_distance",
    "mixture_conditional",
    "negative_log_likelihood",
    "simple_loss",
    "twist",
]
