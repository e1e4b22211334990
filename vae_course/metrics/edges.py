"""How sharp images are, by the size of their second differences."""

import torch
import torch.nn.functional as F
from torch import Tensor

_LAPLACIAN = torch.tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])


def sharpness(images: Tensor) -> Tensor:
    """Variance of the Laplacian over the pixels of each image, averaged over its channels.

    The Laplacian of a pixel is the sum of its four neighbors minus four times itself; it is taken
    inside the image only. Blur lowers the variance and edges raise it, but so does *noise*: white
    noise of variance σ² adds 20 σ². Compare noise-free images with noise-free images.

    Args:
        images: `(N, C, H, W)`, height and width at least 3.

    Returns:
        Shape `(N,)`.

    Raises:
        ValueError: not a batch of images, or images too small.

    Source: Pech-Pacheco et al. (2000); Tolstikhin et al. (2018) use it for autoencoders.
    """
    if images.dim() != 4 or min(images.shape[-2:]) < 3:
        raise ValueError(
            f"images have shape {tuple(images.shape)}; sharpness takes (N, C, H, W), at least 3×3"
        )
    planes = images.flatten(0, 1).unsqueeze(1)  # (N·C, 1, H, W)
    kernel = _LAPLACIAN.to(images)[None, None]
    second = F.conv2d(planes, kernel).flatten(1)
    return second.var(-1, correction=0).view(images.shape[:2]).mean(1)
