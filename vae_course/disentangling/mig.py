"""Mutual information gap: is a factor told by one latent alone?"""

import numpy as np
import torch
from sklearn.metrics import mutual_info_score
from torch import Tensor

from vae_course.disentangling.arrays import as_arrays


def normalized_information(codes: Tensor, factors: Tensor, bins: int = 20) -> Tensor:
    """I(z_j; v_k) / H(v_k): which share of each factor is known from each latent alone.

    Args:
        codes: posterior means, `(N, latent)`; 10,000 images are usual.
        factors: values, `(N, K)`.
        bins: of equal width, of each latent's histogram.

    Returns:
        Shape `(K, latent)`, from 0 to 1.

    Raises:
        ValueError: shapes that do not fit, or a factor that does not vary.

    Source: Chen et al. (2018), section 4; histograms as in Locatello et al. (2019).
    """
    values, labels = as_arrays(codes, factors)
    binned = [_digitize(column, bins) for column in values.T]
    shares = [
        [mutual_info_score(label, latent) / mutual_info_score(label, label) for latent in binned]
        for label in labels.T
    ]
    return torch.tensor(shares)


def mutual_information_gap(codes: Tensor, factors: Tensor, bins: int = 20) -> float:
    """MIG = 1/K Σ_k (I(z_j1; v_k) − I(z_j2; v_k)) / H(v_k).

    j1 and j2 are the latents that share most, and second most, information with the factor v_k.

    Args:
        codes: posterior means, `(N, latent)`; 10,000 images are usual.
        factors: values, `(N, K)`.
        bins: of equal width, of each latent's histogram.

    Returns:
        A number from 0 to 1.

    Raises:
        ValueError: shapes that do not fit, fewer than two latents, or a factor that does not vary.

    Source: Chen et al. (2018), equation 6; histograms as in Locatello et al. (2019).
    """
    if codes.shape[-1] < 2:
        raise ValueError("a gap is between two latents, and the codes have one")
    best = normalized_information(codes, factors, bins).topk(2, dim=1).values
    return float((best[:, 0] - best[:, 1]).mean())


def _digitize(column: np.ndarray, bins: int) -> np.ndarray:
    edges = np.histogram_bin_edges(column, bins)
    binned: np.ndarray = np.digitize(column, edges[1:-1])
    return binned
