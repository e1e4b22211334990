"""KL divergences of Gaussians in closed form, and `kl`, which finds the one for two kinds."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, MultivariateNormal, kl_divergence
from torch.distributions.kl import register_kl

from vae_course.distributions.gaussians import DiagonalGaussian, StandardNormal


def gaussian_kl(mean: Tensor, log_var: Tensor) -> Tensor:
    """KL(N(μ, σ²) ‖ N(0, 1)) = ½ (μ² + σ² − log σ² − 1), for each latent apart.

    Args:
        mean: μ, shape `(batch, latent)`.
        log_var: log σ², the same shape.

    Returns:
        Shape `(batch, latent)`, in nats; `.sum(-1)` is the KL of the whole posterior.

    Source: Kingma & Welling (2014), appendix B.
    """
    return 0.5 * (mean.square() + log_var.exp() - log_var - 1)


def diagonal_kl(q: DiagonalGaussian, p: DiagonalGaussian) -> Tensor:
    """KL(q ‖ p) = ½ (log σ_p² − log σ_q² + (σ_q² + (μ_q − μ_p)²) / σ_p² − 1), latent by latent.

    Args:
        q: the distribution that the average is taken over, event `(latent,)`.
        p: the other one; its shape is q's, or broadcasts to it.

    Returns:
        Shape `(batch, latent)`, in nats; `.sum(-1)` is the KL of the whole layer.

    Source: Kingma & Welling (2014), appendix B, for p = N(0, I).
    """
    log_ratio = q.log_var - p.log_var
    distance = (q.mean - p.mean).square() * (-p.log_var).exp()
    return 0.5 * (log_ratio.exp() + distance - log_ratio - 1)


def full_gaussian_kl(mean: Tensor, scale_tril: Tensor) -> Tensor:
    """KL(N(μ, L Lᵀ) ‖ N(0, I)) = ½ (‖μ‖² + ‖L‖² − Σ_d log L_dd² − d), all latents together.

    Args:
        mean: μ, shape `(batch, latent)`.
        scale_tril: L, shape `(batch, latent, latent)`, lower triangular; ‖L‖² is the sum of the
            squares of its entries, which is the trace of L Lᵀ.

    Returns:
        Shape `(batch,)`, in nats per image.

    Source: Kingma & Welling (2019), section 2.5.1, for the Cholesky factor of a posterior.
    """
    log_det = 2 * torch.log(torch.diagonal(scale_tril, dim1=-2, dim2=-1)).sum(-1)
    trace = scale_tril.square().sum((-2, -1))
    return 0.5 * (mean.square().sum(-1) + trace - log_det - mean.shape[-1])


def kl(q: Distribution, p: Distribution) -> Tensor:
    """KL(q ‖ p) = E_q[log q(z) − log p(z)] in closed form, found by the kinds of both.

    It is `torch.distributions.kl_divergence`, to which this module registers the pairs of
    `DiagonalGaussian`, `StandardNormal`, `FullGaussian` and `MultivariateNormal`.

    Args:
        q: the distribution that the average is taken over, batch shape `(batch,)`.
        p: the other one, with the same event and a batch shape that broadcasts with q's.

    Returns:
        Shape `(batch,)`, in nats: one number for an event, never one for a latent.

    Raises:
        TypeError: the pair has no closed form, as a mixture has none with anything.
        ValueError: the events have different shapes.

    Example:
        >>> q = DiagonalGaussian(torch.tensor([[1.0, 0.0]]), torch.zeros(1, 2))
        >>> kl(q, StandardNormal(2))
        tensor([0.5000])
    """
    if q.event_shape != p.event_shape:
        raise ValueError(
            f"KL of event shapes {tuple(q.event_shape)} and {tuple(p.event_shape)}: one would be "
            "repeated to fit the other"
        )
    try:
        return kl_divergence(q, p)
    except NotImplementedError:
        raise TypeError(
            f"KL({type(q).__name__} ‖ {type(p).__name__}) has no closed form: estimate it by "
            "log q(z) − log p(z) at samples z ~ q, as vae_course.priors.SampledELBOLoss does"
        ) from None


def _closed_form(
    q_kind: type[Distribution], p_kind: type[Distribution]
) -> Callable[[Callable[..., Tensor]], Callable[..., Tensor]]:
    """Register a formula for a pair of kinds, and refuse events that only broadcast."""

    def register(formula: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def checked(q: Distribution, p: Distribution) -> Tensor:
            if q.event_shape != p.event_shape:
                raise ValueError(
                    f"q is over {tuple(q.event_shape)} and p over {tuple(p.event_shape)}: a "
                    "divergence compares distributions of the same codes"
                )
            return formula(q, p)

        register_kl(q_kind, p_kind)(checked)
        return formula

    return register


@_closed_form(DiagonalGaussian, StandardNormal)
def _diagonal_to_standard(q: DiagonalGaussian, p: StandardNormal) -> Tensor:
    return _broadcast(gaussian_kl(q.mean, q.log_var).sum(-1), p)


@_closed_form(MultivariateNormal, StandardNormal)
def _full_to_standard(q: MultivariateNormal, p: StandardNormal) -> Tensor:
    return _broadcast(full_gaussian_kl(q.mean, q.scale_tril), p)


def _broadcast(divergence: Tensor, p: Distribution) -> Tensor:
    return divergence.expand(torch.broadcast_shapes(divergence.shape, p.batch_shape))


@_closed_form(DiagonalGaussian, DiagonalGaussian)
def _diagonal_to_diagonal(q: DiagonalGaussian, p: DiagonalGaussian) -> Tensor:
    return diagonal_kl(q, p).sum(-1)


@_closed_form(MultivariateNormal, DiagonalGaussian)
@_closed_form(DiagonalGaussian, MultivariateNormal)
def _full_and_diagonal(q: Distribution, p: Distribution) -> Tensor:
    return kl_divergence(_full(q), _full(p))


def _full(p: Any) -> MultivariateNormal:
    if isinstance(p, MultivariateNormal):
        return p
    return MultivariateNormal(p.mean, scale_tril=torch.diag_embed(p.stddev), validate_args=False)
