"""Families of generative models on points: data, flow, diffusion, GAN and conditionals."""

from vae_course.families.conditional import ConditionalTable, FiniteMixture, mixture_conditional
from vae_course.families.diffusion import Diffusion, NoiseNetwork, NoisyModel, simple_loss
from vae_course.families.energy import energy_distance
from vae_course.families.flow import CouplingFlow
from vae_course.families.gan import GAN, AdversarialLoss, AdversarialTerms
from vae_course.families.histogram import Histogram
from vae_course.families.points import Grid, Pinwheel, twist

__all__ = [
    "GAN",
    "AdversarialLoss",
    "AdversarialTerms",
    "ConditionalTable",
    "CouplingFlow",
    "Diffusion",
    "FiniteMixture",
    "Grid",
    "Histogram",
    "NoiseNetwork",
    "NoisyModel",
    "Pinwheel",
    "energy_distance",
    "mixture_conditional",
    "simple_loss",
    "twist",
]
