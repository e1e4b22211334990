"""Mutual information gap: is a factor told by one latent alone?"""

import numpy as np
import torch
from sklearn.metrics import mutual_info_score
from torch import Tensor

from vae_course.disentangling.arrays import as_arrays


def normalized_information(codes: Tensor, factors: Tensor, bins: int = 20) -> Tensor:
    """I(z_j; v_k) / H(v_k): which share of each factor is known from each latent alone.

    Args:
        codes: draws from q(z|x) or posterior means, `(N, latent)`; 10,000 are usual.
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


def information_by_chance(factors: Tensor, bins: int = 20) -> Tensor:
    """(bins − 1) (values − 1) / (2 N H(v_k)): what `normalized_information` gives for mere noise.

    A histogram of N points sees, on average, this share of a factor in a latent that knows nothing
    of it. It is the first term of an expansion in 1 / N: right where each of the bins · values
    cells has a few points, some 20 % too small at one point a cell.

    Args:
        factors: values, `(N, K)`.
        bins: of the latent's histogram.

    Returns:
        Shape `(K,)`.

    Raises:
        ValueError: a factor does not vary.

    Source: Miller (1955), Note on the bias of information estimates.
    """
    chances = []
    for k, column in enumerate(factors.T):
        _, counts = column.unique(return_counts=True)
        if len(counts) < 2:
            raise ValueError(f"factor {k} has one value only: leave this column out")
        p = counts.double() / len(column)
        entropy = -(p * p.log()).sum()
        chances.append((bins - 1) * (len(counts) - 1) / (2 * len(column) * entropy))
    return torch.stack(chances)


def mutual_information_gap(codes: Tensor, factors: Tensor, bins: int = 20) -> float:
    """MIG = 1/K Σ_k (I(z_j1; v_k) − I(z_j2; v_k)) / H(v_k).

    j1 and j2 are the latents that share most, and second most, information with the factor v_k.

    Args:
        codes: draws from q(z|x), as Chen et al. (2018) have it, or posterior means, as Locatello
            et al. (2019) take, `(N, latent)`; 10,000 are usual.
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
