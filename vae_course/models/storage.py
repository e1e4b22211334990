"""A model on disk: its keyword arguments and its weights in one safetensors file."""

from pathlib import Path

from torch import nn

from vae_course import storage
from vae_course.models.autoencoder import Autoencoder
from vae_course.models.code_prior import CodePrior
from vae_course.models.conditional import ConditionalVAE, SemiSupervisedVAE
from vae_course.models.factor_vae import FactorVAE
from vae_course.models.heads import FullCovarianceVAE
from vae_course.models.hierarchical import HierarchicalVAE
from vae_course.models.predictors import ImagePredictor, LabelPredictor
from vae_course.models.vae import VAE
from vae_course.models.vq_vae import VQVAE

MODELS: dict[str, type[nn.Module]] = {
    "Autoencoder": Autoencoder,
    "CodePrior": CodePrior,
    "ConditionalVAE": ConditionalVAE,
    "FactorVAE": FactorVAE,
    "FullCovarianceVAE": FullCovarianceVAE,
    "ImagePredictor": ImagePredictor,
    "LabelPredictor": LabelPredictor,
    "SemiSupervisedVAE": SemiSupervisedVAE,
    "HierarchicalVAE": HierarchicalVAE,
    "VAE": VAE,
    "VQVAE": VQVAE,
}


def save_model(model: nn.Module, path: Path) -> None:
    """Write one of `MODELS` to `path`, whole or not at all."""
    settings = {"model": type(model).__name__, "config": model.config}
    storage.write(path, model.state_dict(), settings)


def load_model(path: Path) -> nn.Module:
    """Rebuild the model that `save_model` wrote.

    Raises:
        FileNotFoundError: nothing is there.
        ValueError: the file is damaged, or holds a model this version does not know.
    """
    tensors, settings = storage.read(path)
    if settings.get("model") not in MODELS:
        raise ValueError(f"{path} holds no model of this version: {settings.get('model')!r}")
    model = MODELS[settings["model"]](**settings["config"])
    model.load_state_dict(tensors)
    return model
