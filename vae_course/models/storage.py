"""A model on disk: its keyword arguments and its weights in one safetensors file."""

from importlib import import_module
from pathlib import Path

from torch import nn

from vae_course import storage

# Name → the module that has it, which is imported when a file asks for it.
MODELS = {
    "Autoencoder": "vae_course.models",
    "CodePrior": "vae_course.discrete",
    "ConditionalVAE": "vae_course.conditional",
    "FactorVAE": "vae_course.disentangling",
    "FullCovarianceVAE": "vae_course.heads",
    "ImagePredictor": "vae_course.conditional",
    "LabelPredictor": "vae_course.conditional",
    "SemiSupervisedVAE": "vae_course.conditional",
    "HierarchicalVAE": "vae_course.hierarchical",
    "VAE": "vae_course.models",
    "VQVAE": "vae_course.discrete",
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
    room = import_module(MODELS[settings["model"]])
    model: nn.Module = getattr(room, settings["model"])(**settings["config"])
    model.load_state_dict(tensors)
    return model
