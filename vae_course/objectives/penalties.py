"""Ways to bend the KL term: a floor under it, or a target for it."""

import torch
from torch import Tensor


def free_bits(kl_per_group: Tensor, nats: float) -> Tensor:
    """Σ_g max(λ, mean over the batch of KL_g): a group below λ is not pushed any lower.

    Args:
        kl_per_group: shape `(batch, groups)`, nats per image.
        nats: λ, the free budget of one group.

    Returns:
        A scalar, in nats per image: a property of the batch and not of one image.

    Source: Kingma et al. (2016), equation 15 (appendix C.8).
    """
    return kl_per_group.mean(0).clamp(min=nats).sum()


def capacity_penalty(kl: Tensor, capacity: float, gamma: float) -> Tensor:
    """γ · |mean KL − C|: the *mean* KL of the batch is held at the capacity C.

    Args:
        kl: KL(q(z|x) ‖ p(z)), shape `(batch,)`, nats per image.
        capacity: C, in nats per image.
        gamma: γ.

    Returns:
        A scalar, in nats per image.

    Source: Burgess et al. (2018), section 5.
    """
    return gamma * torch.abs(kl.mean() - capacity)
