"""Shapes in and out of a model: checked where images enter, folded where codes leave."""

from collections.abc import Sequence
from math import prod

from torch import Tensor, nn

from vae_course.networks import ImageShape, check_precision


def way_to_shape(shape: Sequence[int], wanted: ImageShape) -> str:
    """Say how what has this shape becomes a batch of images, `(N, *wanted)`."""
    found = tuple(shape[1:])
    channels, height, width = wanted
    if tuple(shape) == wanted:
        return "this is a single image, and images[None] a batch of one"
    if found == (height, width, channels):
        return (
            "the channels come first: images.permute(0, 3, 1, 2), with numpy .transpose(0, 3, 1, 2)"
        )
    if found == (height, width):
        return "an axis of channels is missing: images[:, None]"
    if len(found) == 1 and prod(found) == prod(wanted):
        return f"fold the pixels: images.reshape(-1, {channels}, {height}, {width})"
    if found[1:] == (height, width):
        return f"build the model for {found[0]} channels, or convert the images to {channels}"
    return "resize, crop or transpose them, or build the model with their image_shape, (C, H, W)"


def check_images(
    x: object, image_shape: ImageShape, network: nn.Module, what: str = "images"
) -> None:
    """Refuse what is not a batch of images of a shape, as floats that a network computes in.

    Args:
        x: the images.
        image_shape: `(channels, height, width)`.
        network: what reads them.
        what: what the message calls them.

    Raises:
        TypeError: not a tensor.
        ValueError: another shape, whole numbers, or another precision than the network's.
    """
    if not isinstance(x, Tensor):
        raise TypeError(f"{what} are a {type(x).__name__}, not a tensor of shape (batch, C, H, W)")
    if x.dim() != 4 or tuple(x.shape[1:]) != image_shape:
        raise ValueError(
            f"{what} have shape {tuple(x.shape)} but this model takes (batch, "
            f"{', '.join(map(str, image_shape))}): {way_to_shape(x.shape, image_shape)}"
        )
    if not x.is_floating_point():
        raise ValueError(
            f"{what} are {x.dtype} but a model takes floats: use vae_course.data.to_unit for "
            "gray levels or vae_course.data.binarize for zeros and ones"
        )
    check_precision(what, x, network)


def check_codes(z: object, latent_dim: int, network: nn.Module) -> None:
    """Refuse what are no codes `(..., latent)`, as floats that a network computes in.

    Raises:
        TypeError: not a tensor.
        ValueError: another size, or another type or precision than the network's.
    """
    if not isinstance(z, Tensor):
        raise TypeError(f"codes are a {type(z).__name__}, not a tensor of shape (..., latent)")
    if not z.dim() or z.shape[-1] != latent_dim:
        raise ValueError(
            f"codes have shape {tuple(z.shape)} but this model's latent size is {latent_dim}"
        )
    check_precision("codes", z, network)


def decode_batches(decoder: nn.Module, z: Tensor, latent_dim: int) -> Tensor:
    """Run the decoder over codes with any leading shape: `(..., latent)` => `(..., C', H, W)`."""
    check_codes(z, latent_dim, decoder)
    flat = decoder(z.reshape(-1, latent_dim))
    out: Tensor = flat.reshape(*z.shape[:-1], *flat.shape[1:])
    return out
