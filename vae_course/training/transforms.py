"""Transforms: of images alone, or of images and a generator; which one is decided once."""

from collections.abc import Callable
from inspect import Parameter
from typing import Any

import torch
from torch import Tensor

from vae_course.training.reading import signature_of

Transform = Callable[[Tensor, torch.Generator], Tensor]


def as_transform(transform: Callable[..., Any] | None) -> Transform | None:
    """Return a function of (images, generator), whichever of the two forms is given.

    A second argument without a default, or one called `generator`, makes it the second form.

    Raises:
        TypeError: it is neither a function of images nor one of images and a generator.
    """
    if transform is None:
        return None
    if not callable(transform) or isinstance(transform, type):
        raise TypeError(
            f"transform = {transform!r} cannot be called with images: give a function or an "
            "object, such as to_unit, binarize or Normalize(0.5, 0.5)"
        )
    return transform if _takes_generator(transform) else _OfImages(transform)


class _OfImages:
    """A transform of images alone, called with a generator that it does not need."""

    def __init__(self, transform: Callable[[Tensor], Tensor]) -> None:
        self.transform = transform

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        return self.transform(images)


def _takes_generator(transform: Callable[..., Any]) -> bool:
    try:
        parameters = list(signature_of(transform).parameters.values())
    except ValueError:  # built in, such as torch.sigmoid
        return False
    places = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    given = [parameter for parameter in parameters if parameter.kind in places]
    required = [parameter for parameter in given if parameter.default is Parameter.empty]
    variadic = any(parameter.kind is Parameter.VAR_POSITIONAL for parameter in parameters)
    by_name = [
        parameter.name
        for parameter in parameters
        if parameter.kind is Parameter.KEYWORD_ONLY and parameter.default is Parameter.empty
    ]
    if len(required) > 2 or by_name or not (given or variadic):
        raise TypeError(
            f"transform = {transform!r:.80} takes {signature_of(transform)}: write it as "
            "transform(images) or transform(images, generator)"
        )
    return len(required) == 2 or (len(given) > 1 and given[1].name == "generator")
