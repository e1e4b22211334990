"""Objectives: every term is `(batch,)` in nats per image, unreduced; only training takes a mean."""

from vae_course.objectives.codes import CodeLengthTerms, VQTerms, code_length, vq_loss
from vae_course.objectives.conditional import (
    UNKNOWN,
    ConditionalELBO,
    PredictionTerms,
    SemiSupervisedELBO,
    SemiSupervisedTerms,
    conditional_terms,
    kl_between,
    prediction_loss,
    unlabeled_bound,
)
from vae_course.objectives.disentangling import (
    DIPELBO,
    BetaTC,
    BetaTCTerms,
    CapacityELBO,
    FactorELBO,
    FactorTerms,
    permute_columns,
)
from vae_course.objectives.elbo import (
    ELBOTerms,
    NegativeELBO,
    elbo,
    full_gaussian_kl,
    gaussian_kl,
    kl_to_standard_normal,
)
from vae_course.objectives.gradients import (
    GaussianGradient,
    ScoreFunctionELBO,
    gaussian_score,
    leave_one_out,
    pathwise,
    score_function,
    slope_at,
)
from vae_course.objectives.hierarchical import HierarchicalELBO, StackTerms
from vae_course.objectives.importance import (
    BoundTerms,
    DReG,
    NegativeIWAE,
    iwae_bound,
    log_weights,
)
from vae_course.objectives.monte_carlo import MonteCarloELBO
from vae_course.objectives.penalties import capacity_penalty, dip_penalty, free_bits
from vae_course.objectives.protocol import JointModel, LatentVariableModel
from vae_course.objectives.reconstruction import ReconstructionTerms, squared_error
from vae_course.objectives.sampled_kl import (
    sampled_kl,
    sampled_kl_variance,
    sampled_kl_with_entropy,
)
from vae_course.objectives.scale import (
    OptimalSigmaELBO,
    effective_beta,
    optimal_gaussian_log_px,
    optimal_sigma,
    optimal_variance,
)
from vae_course.objectives.total_correlation import (
    TCTerms,
    minibatch_weights,
    stratified_weights,
    tc_decomposition,
)

__all__ = [
    "DIPELBO",
    "UNKNOWN",
    "BetaTC",
    "BetaTCTerms",
    "BoundTerms",
    "CapacityELBO",
    "CodeLengthTerms",
    "ConditionalELBO",
    "DReG",
    "ELBOTerms",
    "FactorELBO",
    "FactorTerms",
    "GaussianGradient",
    "HierarchicalELBO",
    "JointModel",
    "LatentVariableModel",
    "MonteCarloELBO",
    "NegativeELBO",
    "NegativeIWAE",
    "OptimalSigmaELBO",
    "PredictionTerms",
    "ReconstructionTerms",
    "ScoreFunctionELBO",
    "SemiSupervisedELBO",
    "SemiSupervisedTerms",
    "StackTerms",
    "TCTerms",
    "VQTerms",
    "capacity_penalty",
    "code_length",
    "conditional_terms",
    "dip_penalty",
    "effective_beta",
    "elbo",
    "free_bits",
    "full_gaussian_kl",
    "gaussian_kl",
    "gaussian_score",
    "iwae_bound",
    "kl_between",
    "kl_to_standard_normal",
    "leave_one_out",
    "log_weights",
    "minibatch_weights",
    "optimal_gaussian_log_px",
    "optimal_sigma",
    "optimal_variance",
    "pathwise",
    "permute_columns",
    "prediction_loss",
    "sampled_kl",
    "sampled_kl_variance",
    "sampled_kl_with_entropy",
    "score_function",
    "slope_at",
    "squared_error",
    "stratified_weights",
    "tc_decomposition",
    "unlabeled_bound",
    "vq_loss",
]
