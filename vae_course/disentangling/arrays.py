"""Codes and factors as scikit-learn takes them."""

import numpy as np
from torch import Tensor


def as_arrays(codes: Tensor, factors: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return codes `(N, latent)` and factors `(N, K)` as arrays.

    Raises:
        ValueError: they do not belong together, or a factor does not vary.
    """
    if codes.dim() != 2 or factors.dim() != 2 or len(codes) != len(factors):
        raise ValueError(
            f"codes {tuple(codes.shape)} and factors {tuple(factors.shape)}: expected are "
            "(N, latent) and (N, K) of the same images"
        )
    constant = [k for k in range(factors.shape[1]) if len(factors[:, k].unique()) < 2]
    if constant:
        raise ValueError(f"factors {constant} have one value only: leave these columns out")
    return codes.detach().cpu().double().numpy(), factors.cpu().numpy()
