"""Stacks of latent layers: the models, their bound, and what each layer carries."""

from vae_course.hierarchical.estimates import (
    StackEstimate,
    estimate_stack,
    unit_variances,
    variance_shares,
)
from vae_course.hierarchical.objectives import HierarchicalLoss, StackedModel, StackedPass
from vae_course.hierarchical.skip import SkipVAE
from vae_course.hierarchical.stacked import Stacked, StackOutput
from vae_course.hierarchical.stages import Stages, conv_stages, mlp_stages
from vae_course.hierarchical.vae import HierarchicalVAE

__all__ = [
    "HierarchicalLoss",
    "HierarchicalVAE",
    "SkipVAE",
    "StackEstimate",
    "StackOutput",
    "Stacked",
    "StackedModel",
    "StackedPass",
    "Stages",
    "conv_stages",
    "estimate_stack",
    "mlp_stages",
    "unit_variances",
    "variance_shares",
]
