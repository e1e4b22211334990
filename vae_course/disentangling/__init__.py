"""One factor, one latent: objectives that ask for it, a world with known factors, scores."""

from vae_course.disentangling.factor_vae import FactorVAE
from vae_course.disentangling.importances import DCI, dci
from vae_course.disentangling.interventions import Represent, beta_vae_score, factor_vae_score
from vae_course.disentangling.matrices import draw_information
from vae_course.disentangling.mig import (
    information_by_chance,
    mutual_information_gap,
    normalized_information,
)
from vae_course.disentangling.objectives import (
    BetaTCLoss,
    BetaTCTerms,
    CapacityLoss,
    DIPLoss,
    FactorLoss,
    FactorTerms,
    WithDiscriminator,
    permute_columns,
)
from vae_course.disentangling.penalties import capacity_penalty, dip_penalty
from vae_course.disentangling.rotation import diagonal_gap, plane_rotation
from vae_course.disentangling.sap_score import sap
from vae_course.disentangling.sprites import (
    FACTORS,
    SHAPES,
    FactorImages,
    PackedSprites,
    SmallerWorld,
    Sprites,
    read_dsprites,
)
from vae_course.disentangling.total_correlation import (
    TCTerms,
    minibatch_weights,
    stratified_weights,
    tc_decomposition,
)

__all__ = [
    "DCI",
    "FACTORS",
    "SHAPES",
    "BetaTCLoss",
    "BetaTCTerms",
    "CapacityLoss",
    "DIPLoss",
    "FactorImages",
    "FactorLoss",
    "FactorTerms",
    "FactorVAE",
    "PackedSprites",
    "Represent",
    "SmallerWorld",
    "Sprites",
    "TCTerms",
    "WithDiscriminator",
    "beta_vae_score",
    "capacity_penalty",
    "dci",
    "diagonal_gap",
    "dip_penalty",
    "draw_information",
    "factor_vae_score",
    "information_by_chance",
    "minibatch_weights",
    "mutual_information_gap",
    "normalized_information",
    "permute_columns",
    "plane_rotation",
    "read_dsprites",
    "sap",
    "stratified_weights",
    "tc_decomposition",
]
