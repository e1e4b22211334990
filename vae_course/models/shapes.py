"""Shapes in and out of a model: checked where images enter, folded where codes leave."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vae_course.networks import ImageShape


def as_image_shape(shape: Sequence[int]) -> ImageShape:
    """Return `(channels, height, width)`.

    Raises:
        ValueError: it is something else.
    """
    sizes = tuple(shape) if isinstance(shape, Sequence) else ()
    if len(sizes) != 3 or not all(isinstance(size, int) and size > 0 for size in sizes):
        raise ValueError(
            f"image_shape = {shape!r} is not (channels, height, width), three positive whole "
            "numbers: (1, 28, 28) for gray images"
        )
    channels, height, width = sizes
    return channels, height, width


def check_dtype(name: str, values: Tensor, network: nn.Module) -> None:
    """Raise `ValueError` unless values are of the weights' kind, as far as autocast does not care.

    A network without weights takes all.
    """
    weights = next((w for w in network.parameters() if w.is_floating_point()), values)
    if weights.dtype != values.dtype and not torch.is_autocast_enabled(values.device.type):
        raise ValueError(
            f"{name} are {values.dtype} and the model's weights {weights.dtype}: cast them by "
            f".to({weights.dtype}), or the model"
        )


def check_images(x: object, image_shape: ImageShape, network: nn.Module) -> None:
    """Raise `ValueError`, or `TypeError`, unless a network can read x as images of this shape."""
    if not isinstance(x, Tensor):
        raise TypeError(f"images are a {type(x).__name__}, not a tensor of shape (batch, C, H, W)")
    if x.dim() != 4 or tuple(x.shape[1:]) != image_shape:
        raise ValueError(
            f"images have shape {tuple(x.shape)} but this model takes (batch, "
            f"{', '.join(map(str, image_shape))})"
        )
    if not x.is_floating_point():
        raise ValueError(
            f"images are {x.dtype} but a model takes floats: use vae_course.data.to_unit for "
            "gray levels or vae_course.data.binarize for zeros and ones"
        )
    check_dtype("images", x, network)


def decode_batches(decoder: nn.Module, z: Tensor, latent_dim: int) -> Tensor:
    """Run the decoder over codes with any leading shape: `(..., latent)` => `(..., C', H, W)`."""
    check_dtype("codes", z, decoder)
    if z.shape[-1] != latent_dim:
        raise ValueError(
            f"codes have shape {tuple(z.shape)} but this model's latent size is {latent_dim}"
        )
    flat = decoder(z.reshape(-1, latent_dim))
    out: Tensor = flat.reshape(*z.shape[:-1], *flat.shape[1:])
    return out
