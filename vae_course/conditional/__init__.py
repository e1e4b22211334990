"""Conditional VAEs: labels and images that q and p are given, and labels half known."""

from vae_course.conditional.labels import UNKNOWN
from vae_course.conditional.likelihood import (
    GivenModel,
    class_log_marginals,
    conditional_log_marginal,
    log_mixture,
)
from vae_course.conditional.networks import Condition, ConditionedMLP, condition_layer
from vae_course.conditional.objectives import (
    ConditionalELBOLoss,
    ConditionalModel,
    Predictor,
    SemiSupervisedLoss,
    SemiSupervisedModel,
    SemiSupervisedTerms,
    check_labeled,
    conditional_terms,
    prediction_loss,
    unlabeled_bound,
)
from vae_course.conditional.predictors import ImagePredictor, LabelPredictor
from vae_course.conditional.vae import ConditionalVAE, Given, SemiSupervisedVAE

__all__ = [
    "UNKNOWN",
    "Condition",
    "ConditionalELBOLoss",
    "ConditionalModel",
    "ConditionalVAE",
    "ConditionedMLP",
    "Given",
    "GivenModel",
    "ImagePredictor",
    "LabelPredictor",
    "Predictor",
    "SemiSupervisedLoss",
    "SemiSupervisedModel",
    "SemiSupervisedTerms",
    "SemiSupervisedVAE",
    "check_labeled",
    "class_log_marginals",
    "condition_layer",
    "conditional_log_marginal",
    "conditional_terms",
    "log_mixture",
    "prediction_loss",
    "unlabeled_bound",
]
