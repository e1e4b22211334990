"""The KL term by sampling, and how wrong that is: what the closed form spares."""

from torch import Tensor

from vae_course.distributions import DiagonalGaussian, log_standard_normal


def sampled_kl(q: DiagonalGaussian, z: Tensor) -> Tensor:
    """log q(z) − log p(z) at samples z ~ q, p = N(0, I): unbiased for KL(q ‖ p).

    Args:
        q: batch shape `(batch,)`.
        z: samples of q, `(samples, batch, latent)`.

    Returns:
        Shape `(samples, batch)`, in nats; a single sample may be negative.

    Source: Kingma & Welling (2014), equation 6.
    """
    log_qz: Tensor = q.log_prob(z)
    return log_qz - log_standard_normal(z)


def sampled_kl_with_entropy(q: DiagonalGaussian, z: Tensor) -> Tensor:
    """−H(q) − log p(z) at samples z ~ q: the entropy in closed form, only the prior sampled.

    Args:
        q: batch shape `(batch,)`.
        z: samples of q, `(samples, batch, latent)`.

    Returns:
        Shape `(samples, batch)`, in nats; unbiased for KL(q ‖ N(0, I)).

    Source: Kingma & Welling (2014), appendix B, where both halves are integrated apart.
    """
    entropy: Tensor = q.entropy()
    return -entropy - log_standard_normal(z)


def sampled_kl_variance(mean: Tensor, log_var: Tensor) -> Tensor:
    """Var_q[log q(z) − log p(z)] = ½ (σ² − 1)² + μ²σ², for each latent apart.

    With z = μ + σε the difference is ½ ((σ² − 1) ε² + 2μσε) plus a constant, Var ε² = 2, and ε² and
    ε are uncorrelated. The mean over S samples has the standard error √(variance / S).

    Args:
        mean: μ, shape `(batch, latent)`.
        log_var: log σ², the same shape.

    Returns:
        Shape `(batch, latent)`, in nats²; latents are independent, so `.sum(-1)` is the whole.
    """
    variance = log_var.exp()
    return 0.5 * (variance - 1).square() + mean.square() * variance
