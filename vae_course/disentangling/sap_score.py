"""Separated attribute predictability: does one latent alone classify a factor?"""

import numpy as np
from sklearn.svm import LinearSVC
from torch import Tensor

from vae_course.disentangling.arrays import as_arrays


def sap(codes: Tensor, factors: Tensor, test_codes: Tensor, test_factors: Tensor) -> float:
    """SAP = 1/K Σ_k (s_j1,k − s_j2,k), s_jk: test accuracy of a linear SVM on latent j for v_k.

    Args:
        codes: posterior means to train on, `(N, latent)`; 10,000 are usual.
        factors: their values, `(N, K)`.
        test_codes: posterior means to test on, `(M, latent)`; 5,000 are usual.
        test_factors: their values, `(M, K)`.

    Returns:
        A number from 0 to 1.

    Raises:
        ValueError: shapes that do not fit, fewer than two latents, or a factor that does not vary.

    Source: Kumar et al. (2018), section 3; C = 0.01 as in Locatello et al. (2019).
    """
    train, labels = as_arrays(codes, factors)
    test, test_labels = as_arrays(test_codes, test_factors)
    if train.shape[1] < 2:
        raise ValueError("a gap is between two latents, and the codes have one")
    gaps = []
    for label, test_label in zip(labels.T, test_labels.T, strict=True):
        accuracy = np.sort(
            [
                _accuracy(train[:, [j]], label, test[:, [j]], test_label)
                for j in range(train.shape[1])
            ]
        )
        gaps.append(accuracy[-1] - accuracy[-2])
    return float(np.mean(gaps))


def _accuracy(x: np.ndarray, y: np.ndarray, x_test: np.ndarray, y_test: np.ndarray) -> float:
    svm = LinearSVC(C=0.01, class_weight="balanced", random_state=0)
    return float(svm.fit(x, y).score(x_test, y_test))
