"""Principal component analysis: the best that a linear code can do, by one eigendecomposition."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class PCA:
    """x̂ = m + U_k U_kᵀ (x − m), with the k directions of largest variance as columns of U_k.

    Attributes:
        mean: m, shape of one image.
        components: `(D, D)`; rows are orthonormal directions, the largest variance first.
        variances: `(D,)`, the variance along each.
    """

    mean: Tensor
    components: Tensor
    variances: Tensor

    def reconstruct(self, x: Tensor, k: int) -> Tensor:
        """Project images onto the mean and the first k directions; the shape stays.

        Raises:
            ValueError: there are not k directions.
        """
        if not 0 <= k <= len(self.components):
            raise ValueError(f"k = {k}: there are 0 to {len(self.components)} directions to keep")
        directions = self.components[:k]
        centered = (x - self.mean).flatten(1)
        return (centered @ directions.T @ directions).view_as(x) + self.mean


def fit_pca(images: Tensor) -> PCA:
    """Find mean and principal directions of images `(N, C, H, W)`, in float64 inside.

    Among all affine codes of size k, `reconstruct(·, k)` has the smallest mean squared error on
    these images, and that error is the sum of the variances left out, `variances[k:].sum()`.

    Source: Bishop (2006), section 12.1.
    """
    flat = images.flatten(1).double()
    mean = flat.mean(0)
    centered = flat - mean
    variances, vectors = torch.linalg.eigh(centered.T @ centered / len(flat))  # ascending
    return PCA(
        mean.view(images.shape[1:]).to(images),
        vectors.T.flip(0).to(images),
        variances.flip(0).clamp(min=0).to(images),
    )
