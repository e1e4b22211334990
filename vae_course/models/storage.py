"""A model on disk: the arguments it was built with and its weights, in one safetensors file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vae_course import storage
from vae_course.models.base import Model, address, build

_ARGUMENT = "$argument."  # before the names of tensors that are arguments and not weights


def save_model(model: Model, path: Path | str) -> None:
    """Write a model to `path`, whole or not at all; `load_model` can read whatever is written.

    Raises:
        TypeError: it is not a `Model`.
        ValueError: an argument that no file can hold, or parts exchanged since it was built.
        OSError: the file cannot be written; what was at `path` before is still there.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from vae_course.models import VAE, load_model, save_model
        >>> folder = Path(tempfile.mkdtemp())
        >>> save_model(VAE((1, 8, 8), latent_dim=2, widths=(4,)), folder / "vae.safetensors")
        >>> load_model(folder / "vae.safetensors").latent_dim
        2
    """
    if not isinstance(model, Model):
        raise TypeError(
            f"a {type(model).__name__} is no vae_course.models.Model, so a file cannot say how to "
            "build it: derive its class from Model, or save the model inside it"
        )
    kind = type(model).__name__
    if model._foreign:
        named = ", ".join(f"{name} ({what})" for name, what in model._foreign.items())
        raise ValueError(
            f"this {kind} was built with what no file can hold: {named}. Derive a class from "
            f"{kind} that makes it in its own constructor; instances of that can be saved"
        )
    settings = {"model": address(type(model)), "config": model.config}
    tensors = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    given = {name: tensor.clone() for name, tensor in model._tensors.items()}
    try:
        twin = _built(tensors, given, settings)
    except Exception as error:
        raise ValueError(
            f"this {kind} cannot be saved: its constructor, called again with its arguments, says "
            f"{error!r}"
        ) from error
    _check_parts(model, twin)
    tensors |= {_ARGUMENT + name: tensor for name, tensor in given.items()}
    storage.write(Path(path), tensors, settings)


def load_model(path: Path | str) -> Model:
    """Rebuild the model that `save_model` wrote, in evaluation mode, as `fit` leaves a model.

    Raises:
        FileNotFoundError: nothing is there.
        ValueError: the file is damaged, or its class is not defined here or is another by now.

    Example:
        A class of your own registers itself by being defined:

        >>> import tempfile
        >>> from pathlib import Path
        >>> from vae_course.models import VAE, load_model, save_model
        >>> class Deep(VAE):
        ...     def __init__(self, layers: int) -> None:
        ...         super().__init__((1, 8, 8), 2, widths=(4,) * layers)
        >>> path = Path(tempfile.mkdtemp()) / "deep.safetensors"
        >>> save_model(Deep(layers=3), path)
        >>> load_model(path).config
        {'layers': 3}
    """
    tensors, settings = storage.read(Path(path))
    given = {n.removeprefix(_ARGUMENT): t for n, t in tensors.items() if n.startswith(_ARGUMENT)}
    weights = {name: t for name, t in tensors.items() if not name.startswith(_ARGUMENT)}
    try:
        model = _built(weights, given, settings)
        model.load_state_dict(weights)
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{path} gives no model back: {reason}") from error
    return model.eval()


def _built(
    weights: Mapping[str, Tensor], given: Mapping[str, Tensor], settings: Mapping[str, Any]
) -> Model:
    """Build a model for these weights; the stream of random numbers is left as it was."""
    with torch.random.fork_rng(devices=[]):
        model = build(settings["model"], settings["config"], given)
    kinds = {tensor.dtype for tensor in weights.values() if tensor.is_floating_point()}
    return model.to(kinds.pop()) if len(kinds) == 1 else model


def _check_parts(model: nn.Module, twin: nn.Module) -> None:
    """Refuse a model of which a part is not what its constructor makes."""
    parts, own = _parts(model), _parts(twin)
    for name in sorted(parts.keys() | own.keys()):
        if parts.get(name) != own.get(name):
            raise ValueError(
                f"{name} of this {type(model).__name__} is not what its constructor makes "
                f"({parts.get(name)}, not {own.get(name)}): a file holds the constructor's "
                "arguments, and would give another model back"
            )


def _parts(model: nn.Module) -> dict[str, Any]:
    """Modules with their settings, and tensors with type, shape and the name they are tied to."""
    found: dict[str, Any] = {}
    for name, part in model.named_modules():
        found[name] = type(part).__name__
        for key, value in vars(part).items():
            if _is_setting(key, value):
                plain = tuple(value) if isinstance(value, list) else value
                found[f"{name}.{key}".removeprefix(".")] = plain
    first: dict[int, str] = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        tied = first.setdefault(id(tensor), name)
        found[name] = (tensor.dtype, tuple(tensor.shape), *([f"tied to {tied}"] * (tied != name)))
    return found


def _is_setting(name: str, value: Any) -> bool:
    """Whether an attribute of a module is a number, a word or a row of them that it works by."""
    if name == "training" or name.startswith("_"):
        return False
    items = value if isinstance(value, tuple | list) else (value,)
    return all(isinstance(item, bool | int | float | str) for item in items)
