"""Shapes in and out of a model: checked where images enter, folded where codes leave."""

from torch import Tensor, nn


def check_images(x: object, image_shape: tuple[int, int, int]) -> None:
    """Raise `ValueError`, or `TypeError`, unless x is a float batch of images of this shape."""
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


def decode_batches(decoder: nn.Module, z: Tensor, latent_dim: int) -> Tensor:
    """Run the decoder over codes with any leading shape: `(..., latent)` => `(..., C', H, W)`."""
    if z.shape[-1] != latent_dim:
        raise ValueError(
            f"codes have shape {tuple(z.shape)} but this model's latent size is {latent_dim}"
        )
    flat = decoder(z.reshape(-1, latent_dim))
    out: Tensor = flat.reshape(*z.shape[:-1], *flat.shape[1:])
    return out
