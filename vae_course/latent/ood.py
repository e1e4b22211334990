"""Out-of-distribution scores: how well one tells two sets apart, and what images cost to store."""

import math
import zlib

import torch
from torch import Tensor


def auroc(inside: Tensor, outside: Tensor) -> float:
    """Return P(score of an inside image > score of an outside one), ties counting one half.

    1 is perfect, ½ is chance, and below ½ the score is wrong more often than right. Also known as
    the Mann-Whitney statistic over the number of pairs.

    Args:
        inside: scores of images from the training distribution, `(n,)`; larger is "more inside".
        outside: scores of the others, `(m,)`.
    """
    from sklearn.metrics import roc_auc_score  # here, because it takes seconds to import

    scores = torch.cat([inside, outside]).double().cpu()
    labels = torch.cat([torch.ones(len(inside)), torch.zeros(len(outside))])
    return float(roc_auc_score(labels.numpy(), scores.numpy()))


def compressed_nats(images: Tensor) -> Tensor:
    """Return how many nats a general-purpose compressor needs for each image.

    Bytes that DEFLATE (zlib, level 9) takes for the pixels, each predicted by its left neighbor as
    in PNG's filter 1, times 8 log 2.

    Args:
        images: uint8, `(N, C, H, W)`.

    Returns:
        `(N,)`, float32.

    Raises:
        TypeError: `images` is not uint8; the length of floats means something else.

    Source: Serrà et al. (2020), whose L(x) is such a length.
    """
    if images.dtype != torch.uint8:
        raise TypeError(f"images must be torch.uint8 (0 to 255), not {images.dtype}")
    pixels = images.cpu()
    filtered = pixels.clone()
    filtered[..., 1:] = pixels[..., 1:] - pixels[..., :-1]  # modulo 256
    lengths = [len(zlib.compress(image.numpy().tobytes(), 9)) for image in filtered]
    return torch.tensor(lengths, dtype=torch.float32) * (8 * math.log(2))
