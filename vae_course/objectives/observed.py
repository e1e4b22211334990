"""What is given as images, looked at once by every function that scores images."""

from typing import Any

import torch
from torch import Tensor

from vae_course.networks import dtype_of


def check_kind(model: object, x: Any) -> None:
    """Refuse what is not a batch of floats as the model computes in; nothing is read from x.

    Raises:
        TypeError: not a tensor.
        ValueError: no images, whole numbers, or another precision than the model's.
    """
    if not isinstance(x, Tensor):
        way = {"ndarray": ": use torch.from_numpy(x)", "Labeled": ": use its .images"}
        name = type(x).__name__
        raise TypeError(f"images are a {name}, not a tensor{way.get(name, '')}")
    if not x.dim() or not len(x):
        raise ValueError(f"images have shape {tuple(x.shape)}: there is none among them")
    if not x.is_floating_point():
        raise ValueError(
            f"images are {x.dtype} but a model takes floats: use vae_course.data.to_unit for gray "
            "levels or vae_course.data.binarize for zeros and ones"
        )
    dtype = _dtype(model)
    if dtype not in (None, x.dtype):
        raise ValueError(
            f"images are {x.dtype} but the model computes in {dtype}: use x.to({dtype})"
        )


def check_observed(model: object, x: Any) -> None:
    """Refuse what a model cannot score, as `check_kind` does and by the pixels' values.

    Raises:
        TypeError: not a tensor.
        ValueError: no images, another type or precision, a pixel that is not finite, or one that
            p(x|z) gives no mass to.
    """
    check_kind(model, x)
    finite = x.flatten(1).isfinite().all(1)
    if not bool(finite.all()):
        raise ValueError(
            f"image {int((~finite).nonzero()[0, 0])} has a pixel that is NaN or infinite, as have "
            f"{int((~finite).sum())} of {len(x)}: leave them out"
        )
    check_support = getattr(likelihood_of(model), "check_support", None)
    if check_support is not None:
        check_support(x)


def inner_model(model: object) -> object:
    """Return the model that a view of it holds, as `model.given(y)` and `with_prior` do."""
    held = getattr(model, "model", None) or getattr(model, "vae", None)
    return model if held is None else inner_model(held)


def likelihood_of(model: object) -> object:
    """Return the likelihood of a model, or of the one that it holds; None if there is none."""
    return getattr(model, "likelihood", None) or getattr(inner_model(model), "likelihood", None)


def _dtype(model: object) -> torch.dtype | None:
    inner = inner_model(model)
    return dtype_of(inner) if isinstance(inner, torch.nn.Module) else None
