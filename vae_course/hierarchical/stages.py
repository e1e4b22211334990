"""The networks of a stack of latent layers: for each a stage up from the image, and one down."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod

from torch import nn

from vae_course.networks import (
    Activation,
    ImageShape,
    MapDecoder,
    MapEncoder,
    MLPDecoder,
    ResidualBlock,
    as_activation,
)

MapShape = tuple[int, int, int]


@dataclass(frozen=True)
class Stages:
    """Networks between x, z_1, …, z_L; every z is a vector `(batch, latent)` outside of them.

    Attributes:
        trunks: L of them, upwards: x (or what is below) → features of layer l.
        heads: L of them: features of layer l → two numbers for each of its latents.
        conditionals: L − 1 of them, downwards: z_{l+1} → two numbers for each latent of layer l.
        decoder: z_1 → the likelihood's numbers, `(batch, C', H, W)`.
    """

    trunks: Sequence[nn.Module]
    heads: Sequence[nn.Module]
    conditionals: Sequence[nn.Module]
    decoder: nn.Module


def _perceptron(sizes: Sequence[int], activation: Activation) -> list[nn.Module]:
    """Linear layers of the given sizes with an activation after each."""
    make, takes = as_activation(activation)
    layers: list[nn.Module] = []
    for before, after in pairwise(sizes):
        layers += [nn.Linear(before, takes * after), make()]
    return layers


def mlp_stages(
    image_shape: ImageShape,
    latents: Sequence[int],
    widths: Sequence[Sequence[int]],
    *,
    through_codes: bool,
    parameters_per_pixel: int,
    activation: Activation = "relu",
) -> Stages:
    """Fully connected stages.

    Args:
        image_shape: `(channels, height, width)`.
        latents: size of each z_l, from the image upwards.
        widths: for each layer the hidden sizes of its trunk; downwards in reverse.
        through_codes: the trunk of layer l + 1 takes z_l; else the features of layer l.
        parameters_per_pixel: how many numbers the likelihood wants for each pixel.
        activation: a name from `ACTIVATIONS`, or what makes a module.
    """
    channels, height, width = image_shape
    below = [prod(image_shape), *(latents if through_codes else [w[-1] for w in widths])]
    trunks: list[nn.Module] = [
        nn.Sequential(nn.Flatten(), *_perceptron([size, *hidden], activation))
        for size, hidden in zip(below, widths, strict=False)
    ]
    heads = [nn.Linear(w[-1], 2 * latent) for w, latent in zip(widths, latents, strict=True)]
    conditionals = [
        nn.Sequential(
            *_perceptron([above, *reversed(hidden)], activation), nn.Linear(hidden[0], 2 * latent)
        )
        for (latent, above), hidden in zip(pairwise(latents), widths[1:], strict=True)
    ]
    output = (channels * parameters_per_pixel, height, width)
    return Stages(
        trunks, heads, conditionals, MLPDecoder(latents[0], widths[0], output, activation)
    )


def conv_stages(
    image_shape: ImageShape,
    latents: Sequence[MapShape],
    widths: Sequence[Sequence[int]],
    *,
    through_codes: bool,
    parameters_per_pixel: int,
) -> Stages:
    """Convolutional stages with a residual block each; a latent layer is a map.

    Args:
        image_shape: `(channels, height, width)`.
        latents: `(channels, height, width)` of each z_l, from the image upwards; from one layer to
            the next height and width stay or are halved, from the image to z_1 they are halved.
        widths: for each layer the channels of its networks and of the inside of its blocks.
        through_codes: the trunk of layer l + 1 takes z_l; else the features of layer l.
        parameters_per_pixel: how many numbers the likelihood wants for each pixel.

    Raises:
        ValueError: sizes that neither stay nor are halved.
    """
    channels, height, width = image_shape
    _check_sizes(image_shape, latents)
    first, hidden = widths[0]
    encoder = MapEncoder(image_shape, first, halvings=1, width=first, residual=(1, hidden))
    trunks: list[nn.Module] = [nn.Sequential(encoder, nn.ReLU())]
    for (below, above), lower, (wide, inner) in zip(
        pairwise(latents), widths, widths[1:], strict=False
    ):
        taken = below[0] if through_codes else lower[0]
        fold = [nn.Unflatten(1, below)] if through_codes else []
        shrink = below[1] // above[1]
        layers = [*fold, *_resized(taken, wide, inner, shrink), nn.ReLU()]
        trunks.append(nn.Sequential(*layers))
    heads = [
        nn.Sequential(nn.Conv2d(w[0], 2 * latent[0], 1), nn.Flatten())
        for w, latent in zip(widths, latents, strict=True)
    ]
    conditionals = [
        _downwards(above, below, w)
        for (below, above), w in zip(pairwise(latents), widths[1:], strict=True)
    ]
    output = (channels * parameters_per_pixel, height, width)
    decoder = MapDecoder(latents[0][0], output, halvings=1, width=first, residual=(1, hidden))
    unfolded = nn.Sequential(nn.Unflatten(1, latents[0]), decoder)
    return Stages(trunks, heads, conditionals, unfolded)


def _resized(taken: int, width: int, hidden: int, shrink: int) -> list[nn.Module]:
    """A map of `taken` channels => one of `width` channels, `shrink` times smaller each way."""
    fold = [nn.PixelUnshuffle(shrink)] if shrink > 1 else []
    enter = nn.Conv2d(taken * shrink**2, width, 3, padding=1)
    return [*fold, enter, ResidualBlock(width, hidden)]


def _downwards(above: MapShape, below: MapShape, width: Sequence[int]) -> nn.Module:
    """A flat z_{l+1} => two flat maps of the shape of z_l."""
    grow = below[1] // above[1]
    layers = [nn.Unflatten(1, above), *_resized(above[0], width[0], width[1], 1), nn.ReLU()]
    layers.append(nn.Conv2d(width[0], 2 * below[0] * grow**2, 3, padding=1))
    unfold = [nn.PixelShuffle(grow)] if grow > 1 else []
    return nn.Sequential(*layers, *unfold, nn.Flatten())


def _check_sizes(image_shape: ImageShape, latents: Sequence[MapShape]) -> None:
    sizes = [tuple(shape[1:]) for shape in (image_shape, *latents)]
    for index, (below, above) in enumerate(pairwise(sizes)):
        halved = (2 * above[0], 2 * above[1]) == below
        if not halved and (index == 0 or above != below):
            raise ValueError(
                f"z_{index + 1} has maps of {above[0]}×{above[1]} over {below[0]}×{below[1]}: "
                "height and width are halved from the image to z_1, and from layer to layer they "
                "stay or are halved"
            )
