"""Parts of a model that are given by name, or as a module of your own."""

from itertools import chain

import torch
from torch import nn
from torch.distributions import Distribution

from vae_course.likelihoods import likelihood as by_name
from vae_course.networks import ImageShape, dtype_of


def likelihood_part(likelihood: str | nn.Module, image_shape: ImageShape) -> tuple[nn.Module, int]:
    """Return a likelihood and how many numbers it takes for each pixel.

    Args:
        likelihood: a name from `vae_course.likelihoods`, or a module that maps a decoder's output
            to a distribution over images and has `parameters_per_pixel`.
        image_shape: `(channels, height, width)` of one image.

    Raises:
        TypeError: a class where an instance is needed, or a module that gives no distribution.
        ValueError: an unknown name, a module that does not say how many numbers it takes, or a
            distribution whose event is not one image.
    """
    if isinstance(likelihood, str):
        module = by_name(likelihood)
        return module, module.parameters_per_pixel
    if isinstance(likelihood, type):
        raise TypeError(
            f"likelihood = {likelihood.__name__} is a class: give a name, 'bernoulli' say, or make "
            "one of a class in vae_course.likelihoods or of your own"
        )
    if not isinstance(likelihood, nn.Module):
        raise TypeError(
            f"likelihood = {likelihood!r:.80} is neither a name, 'bernoulli' say, nor a "
            "torch.nn.Module from a decoder's output to a distribution over images"
        )
    count = getattr(likelihood, "parameters_per_pixel", None)
    if not isinstance(count, int) or count < 1:
        raise ValueError(
            f"a {type(likelihood).__name__} as likelihood has parameters_per_pixel = {count}: it "
            "says there how many numbers of the decoder it takes for each pixel"
        )
    _check_event(likelihood, count, image_shape)
    return likelihood, count


def _check_event(likelihood: nn.Module, count: int, image_shape: ImageShape) -> None:
    """Look at the distribution that a likelihood of your own makes of two blank outputs."""
    channels, height, width = image_shape
    name = type(likelihood).__name__
    weight = next(chain(likelihood.parameters(), likelihood.buffers()), torch.empty(0))
    blank = torch.zeros(2, count * channels, height, width).to(weight.device, dtype_of(likelihood))
    with torch.no_grad():
        p = likelihood(blank)
    if not isinstance(p, Distribution):
        raise TypeError(
            f"{name} as likelihood gives a {type(p).__name__}: it has to return a "
            "torch.distributions object"
        )
    if p.batch_shape != (2,) or p.event_shape != image_shape:
        raise ValueError(
            f"{name} as likelihood gives batch shape {tuple(p.batch_shape)} and event shape "
            f"{tuple(p.event_shape)} for two images {image_shape}: an event is one image, "
            "torch.distributions.Independent(pixels, 3)"
        )
