"""Ways to bend the KL term: a target for it, a covariance for the codes."""

import torch
from torch import Tensor


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


def dip_penalty(mean: Tensor, log_var: Tensor, off_diagonal: float, diagonal: float) -> Tensor:
    """λ_od Σ_{i≠j} C_ij² + λ_d Σ_i (C_ii − 1)², with C = Cov_x(μ) + E_x[diag σ²] = Cov_q(z).

    Args:
        mean: μ of q(z|x), shape `(batch, latent)`.
        log_var: log σ² of q(z|x), the same shape.
        off_diagonal: λ_od.
        diagonal: λ_d.

    Returns:
        A scalar: a property of the batch, whose covariance divides by the batch's size.

    Source: Kumar et al. (2018), equations 5 and 7.
    """
    covariance = torch.cov(mean.T, correction=0) + torch.diag(log_var.exp().mean(0))
    squared = (covariance - torch.eye(mean.shape[-1]).to(covariance)).square()
    on = squared.diagonal().sum()
    return off_diagonal * (squared.sum() - on) + diagonal * on
