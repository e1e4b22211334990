"""Style transfer by arithmetic: take a code from one class to another and keep the rest."""

import torch
from torch import Tensor


def class_means(codes: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Mean code of each class.

    Args:
        codes: `(N, latent)`.
        labels: whole numbers below `classes`, `(N,)`.
        classes: how many.

    Returns:
        `(classes, latent)`.

    Raises:
        ValueError: a class without codes has no mean.
    """
    counts = torch.bincount(labels, minlength=classes)
    if len(counts) > classes or bool((counts == 0).any()):
        raise ValueError(f"codes per class are {counts.tolist()}: every class needs at least one")
    sums = codes.new_zeros(classes, codes.shape[1]).index_add(0, labels, codes)
    return sums / counts.unsqueeze(1)


def transfer(codes: Tensor, source: Tensor, target: Tensor, means: Tensor) -> Tensor:
    """z + (m_B − m_A): move each code by the difference of two classes' means.

    Args:
        codes: `(N, latent)`.
        source: class A of each, `(N,)`.
        target: class B of each, `(N,)`.
        means: of `class_means`, `(classes, latent)`.

    Returns:
        `(N, latent)`. Where A = B the code stays; moving back undoes it.
    """
    return codes + (means[target] - means[source])
