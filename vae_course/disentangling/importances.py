"""Disentanglement, completeness, informativeness: by the importances of boosted trees."""

from dataclasses import dataclass

import numpy as np
from sklearn.ensemble import GradientBoostingClassifier
from torch import Tensor

from vae_course.disentangling.arrays import as_arrays


@dataclass(frozen=True)
class DCI:
    """Three numbers from 0 to 1.

    Attributes:
        disentanglement: does each latent serve one factor?
        completeness: is each factor served by one latent?
        informativeness: test accuracy of the trees, a mean over the factors.
    """

    disentanglement: float
    completeness: float
    informativeness: float


def dci(
    codes: Tensor,
    factors: Tensor,
    test_codes: Tensor,
    test_factors: Tensor,
    *,
    trees: int = 100,
) -> DCI:
    """Predict each factor from all latents with boosted trees, and look at what they use.

    With R_jk the importance of latent j for factor k and each row of R scaled to sum to one,
    latent j scores D_j = 1 − H_K(R_j·), an entropy with logarithms to base K; D is their mean
    weighted by the latents' share of all importance. C is the same by columns.

    Args:
        codes: posterior means to train on, `(N, latent)`; 10,000 are usual.
        factors: their values, `(N, K)`.
        test_codes: posterior means to test on, `(M, latent)`; 5,000 are usual.
        test_factors: their values, `(M, K)`.
        trees: boosting rounds.

    Raises:
        ValueError: shapes that do not fit, fewer than two latents or factors, or a factor that
            does not vary.

    Source: Eastwood & Williams (2018), section 2; trees as in Locatello et al. (2019).
    """
    train, labels = as_arrays(codes, factors)
    test, test_labels = as_arrays(test_codes, test_factors)
    if train.shape[1] < 2 or labels.shape[1] < 2:
        raise ValueError(
            f"{train.shape[1]} latents and {labels.shape[1]} factors: at least two of each"
        )
    importance, accuracy = [], []
    for label, test_label in zip(labels.T, test_labels.T, strict=True):
        model = GradientBoostingClassifier(n_estimators=trees, random_state=0).fit(train, label)
        importance.append(model.feature_importances_)
        accuracy.append(model.score(test, test_label))
    r = np.stack(importance, axis=1)  # (latent, K)
    return DCI(_one_sided(r), _one_sided(r.T), float(np.mean(accuracy)))


def _one_sided(importance: np.ndarray) -> float:
    """Mean over rows of 1 − entropy, weighted by the rows' sums."""
    weight = importance.sum(1)
    if weight.sum() == 0:
        return 0.0
    share = importance / np.where(weight > 0, weight, 1)[:, None]
    logs = np.log(np.where(share > 0, share, 1)) / np.log(importance.shape[1])
    score = 1 + (share * logs).sum(1)
    return float((score * weight).sum() / weight.sum())
