"""Bits per dimension of 8-bit images under a density on [0, 1]."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def dequantized_bits_per_dim(log_px: Tensor, image_shape: Sequence[int]) -> Tensor:
    """(−log p(x) / D + log 256) / log 2, for x = (pixel + u) / 256.

    The mean over u is an upper bound on what the 8-bit image costs under the masses
    P(pixels) = ∫ p(x) dx over the pixels' intervals of length 1/256; so it compares with
    `bits_per_dim` of a mass function on 256 gray levels.

    Args:
        log_px: log-density of dequantized images, `(N,)`, nats per image.
        image_shape: `(channels, height, width)`.

    Returns:
        Shape `(N,)`, bits per dimension.

    Source: Theis et al. (2016), section 3.1.
    """
    pixels = math.prod(image_shape)
    return (-log_px / pixels + math.log(256)) / math.log(2)


def clamped_gaussian_log_px(images: Tensor, mean: Tensor, sigma: float) -> Tensor:
    """Log-mass of 8-bit images under N(x̂, σ²) clamped to [0, 1] and cut into 256 gray levels.

    A level v gets the mass of [v/256, (v + 1)/256); level 0 all that lies below 1/256 as well, and
    level 255 all that lies above 255/256, so that the masses add up to one.

    Args:
        images: uint8, `(batch, channels, height, width)`.
        mean: x̂ on the scale of `dequantize`, the same shape, or with more dimensions in front.
        sigma: σ.

    Returns:
        Nats per image, the shape of `mean` without the last three dimensions.
    """
    level, mean = images.double(), mean.double()
    lower = torch.where(level > 0, (level / 256 - mean) / sigma, -math.inf)
    upper = torch.where(level < 255, ((level + 1) / 256 - mean) / sigma, math.inf)
    # Φ(b) − Φ(a) = Φ(−a) − Φ(−b): taken where both are small, or their difference is lost.
    flip = lower + upper > 0
    a, b = torch.where(flip, -upper, lower), torch.where(flip, -lower, upper)
    log_a, log_b = torch.special.log_ndtr(a), torch.special.log_ndtr(b)
    mass: Tensor = log_b + torch.log(-torch.expm1(log_a - log_b))
    return mass.flatten(-3).sum(-1)
