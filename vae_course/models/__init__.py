"""Models: encode, decode and prior. A model knows nothing of optimizers."""

from vae_course.models.autoencoder import Autoencoder
from vae_course.models.code_prior import CodePrior
from vae_course.models.conditional import ConditionalVAE, Given, SemiSupervisedVAE
from vae_course.models.ex_post import WithPrior, fit_mixture, with_prior
from vae_course.models.factor_vae import FactorVAE
from vae_course.models.heads import FullCovarianceVAE, VarianceHeadVAE, cholesky_head
from vae_course.models.hierarchical import HierarchicalVAE, StackOutput
from vae_course.models.linear_gaussian import LinearGaussian, random_linear_gaussian
from vae_course.models.mixtures import LatentMixture
from vae_course.models.predictors import ImagePredictor, LabelPredictor
from vae_course.models.rotated import rotated_linear_gaussian
from vae_course.models.storage import load_model, save_model
from vae_course.models.vae import VAE, VAEOutput
from vae_course.models.vamp_prior import VampPriorVAE
from vae_course.models.vq_vae import VQVAE, VQOutput

__all__ = [
    "VAE",
    "VQVAE",
    "Autoencoder",
    "CodePrior",
    "ConditionalVAE",
    "FactorVAE",
    "FullCovarianceVAE",
    "Given",
    "HierarchicalVAE",
    "ImagePredictor",
    "LabelPredictor",
    "LatentMixture",
    "LinearGaussian",
    "SemiSupervisedVAE",
    "StackOutput",
    "VAEOutput",
    "VQOutput",
    "VampPriorVAE",
    "VarianceHeadVAE",
    "WithPrior",
    "cholesky_head",
    "fit_mixture",
    "load_model",
    "random_linear_gaussian",
    "rotated_linear_gaussian",
    "save_model",
    "with_prior",
]
