"""Where a codebook starts: in the middle of its encodings."""

import torch
from torch import Tensor


def kmeans_codebook(z_e: Tensor, codes: int, seed: int = 0) -> Tensor:
    """Return the centers of `codes` clusters of encodings.

    Args:
        z_e: encodings, shape `(..., dim)`; ten for each code or more.
        codes: entries of the codebook.
        seed: of the clustering.

    Returns:
        Shape `(codes, dim)`, on the device of the encodings.

    Raises:
        ValueError: fewer encodings than codes.

    Source: Łańcucki et al. (2020), section III.
    """
    from sklearn.cluster import KMeans  # here, because it takes seconds to import

    flat = z_e.detach().reshape(-1, z_e.shape[-1]).float()
    if len(flat) < codes:
        raise ValueError(f"{len(flat)} encodings cannot start {codes} codes: pass more images")
    found = KMeans(codes, n_init=1, max_iter=20, random_state=seed).fit(flat.cpu().numpy())
    return torch.from_numpy(found.cluster_centers_).to(flat)
