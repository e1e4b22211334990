"""Directions in latent space that stand for a property of the image."""

from torch import Tensor


def attribute_vector(codes: Tensor, has: Tensor) -> Tensor:
    """Return v = mean of the codes with an attribute − mean of the codes without it.

    Args:
        codes: `(N, latent)`, posterior means say.
        has: boolean, `(N,)`.

    Returns:
        `(latent,)`; `z + s · v` adds the attribute for s > 0 and removes it for s < 0.

    Raises:
        ValueError: all codes have the attribute, or none.

    Source: Larsen et al. (2016), on visual attribute vectors; White (2016), section 3.
    """
    if has.all() or not has.any():
        raise ValueError("an attribute vector needs codes with the attribute and codes without it")
    return codes[has].mean(0) - codes[~has].mean(0)
