"""How much of the latent space a model uses."""

import torch
from torch import Tensor


def active_units(means: Tensor, threshold: float = 0.01) -> Tensor:
    """Which latents are used: Var_x(E_q[z_u]) > threshold.

    Args:
        means: posterior means of many images, `(N, latent)`.
        threshold: variance below which a latent counts as ignored.

    Returns:
        Boolean, `(latent,)`; its sum is the number of active units.

    Source: Burda et al. (2016), section 5.2.
    """
    return torch.var(means, dim=0) > threshold
