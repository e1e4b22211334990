"""Gray levels as real numbers: the noise that lets a density speak about 8-bit pixels."""

import torch
from torch import Tensor


def dequantize(images: Tensor, generator: torch.Generator) -> Tensor:
    """Draw x = (pixel + u) / 256 with u ~ U[0, 1), each pixel by itself.

    A gray level becomes an interval of length 1/256, and the 256 intervals fill [0, 1). For any
    density p on pixels, E_u[log p(x)] − D log 256 is at most the log-mass that p gives to the
    intervals of the image.

    Args:
        images: uint8, any shape, on any device.
        generator: Where u comes from; on the device of ``images``.

    Returns:
        float32 in [0, 1), the same shape and device.

    Raises:
        TypeError: ``images`` is not uint8 (scaled before, perhaps).

    Source: Uria et al. (2013); Theis et al. (2016), section 3.1.
    """
    if images.dtype != torch.uint8:
        raise TypeError(
            f"images must be torch.uint8 (0 to 255), as load() gives them, not {images.dtype}"
        )
    # 16 bits below the gray level: float32 has 24, so pixel + u is exact and stays below 256.
    u = torch.rand(images.shape, generator=generator, device=images.device)
    return u.mul_(65536).floor_().div_(65536).add_(images).div_(256)
