"""Mutual information gap: is a factor told by one latent alone?"""

import numpy as np
from sklearn.metrics import mutual_info_score
from torch import Tensor

from vae_course.metrics.disentanglement.arrays import as_arrays


def mutual_information_gap(codes: Tensor, factors: Tensor, bins: int = 20) -> float:
    """MIG = 1/K Σ_k (I(z_j1; v_k) − I(z_j2; v_k)) / H(v_k).

    j1 and j2 are the latents that share most, and second most, information with the factor v_k.
    The codes' histograms have `bins` bins of equal width.

    Args:
        codes: posterior means, `(N, latent)`; 10,000 images are usual.
        factors: values, `(N, K)`.
        bins: of each latent.

    Returns:
        A number from 0 to 1.

    Raises:
        ValueError: shapes that do not fit, fewer than two latents, or a factor that does not vary.

    Source: Chen et al. (2018), equation 6; histograms as in Locatello et al. (2019).
    """
    values, labels = as_arrays(codes, factors)
    if values.shape[1] < 2:
        raise ValueError("a gap is between two latents, and the codes have one")
    binned = np.stack([_digitize(column, bins) for column in values.T])
    gaps = []
    for label in labels.T:
        information = np.sort([mutual_info_score(label, latent) for latent in binned])
        gaps.append((information[-1] - information[-2]) / mutual_info_score(label, label))
    return float(np.mean(gaps))


def _digitize(column: np.ndarray, bins: int) -> np.ndarray:
    edges = np.histogram_bin_edges(column, bins)
    binned: np.ndarray = np.digitize(column, edges[1:-1])
    return binned
