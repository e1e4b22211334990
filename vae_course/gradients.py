"""Gradients of an expectation: estimators of ∇ E_q[f(z)] for a Gaussian q, one for each sample."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from vae_course.distributions import DiagonalGaussian, kl
from vae_course.objectives import ELBOTerms, LatentVariableModel, check_diagonal, check_fits, elbo


@dataclass(frozen=True)
class GaussianGradient:
    """A gradient with respect to the parameters of q, apart for every sample.

    Attributes:
        mean: with respect to μ, shape `(samples, ..., latent)`.
        log_var: with respect to log σ², the same shape.
    """

    mean: Tensor
    log_var: Tensor


def gaussian_score(z: Tensor, q: DiagonalGaussian) -> GaussianGradient:
    """∇ log q(z) at fixed z: ε/σ for μ and ½ (ε² − 1) for log σ², with ε = (z − μ)/σ.

    Its expectation under q is zero.

    Args:
        z: samples of q, shape `(samples, ..., latent)`.
        q: the distribution they were drawn from.
    """
    check_diagonal(gaussian_score, q)
    noise = (z - q.mean) / q.stddev
    return GaussianGradient(noise / q.stddev, 0.5 * (noise.square() - 1))


def score_function(
    values: Tensor, z: Tensor, q: DiagonalGaussian, baseline: Tensor | float = 0.0
) -> GaussianGradient:
    """(f(z) − b) ∇ log q(z): the score-function estimator, or REINFORCE.

    It needs the values of f and no slope. It is unbiased for any b that does not depend on the
    sample it is subtracted from.

    Args:
        values: f(z), shape `(samples, ...)`.
        z: samples of q, shape `(samples, ..., latent)`.
        q: the distribution they were drawn from.
        baseline: b, a number or a tensor that broadcasts to `values`.

    Source: Williams (1992).
    """
    score = gaussian_score(z, q)
    advantage = (values - baseline).unsqueeze(-1)
    return GaussianGradient(advantage * score.mean, advantage * score.log_var)


def leave_one_out(values: Tensor) -> Tensor:
    """b_i = mean of f(z_j) over j ≠ i: for each sample, what the others say.

    Args:
        values: f(z), shape `(samples, ...)`, of independent samples.

    Returns:
        The shape of `values`.

    Raises:
        ValueError: a single sample has no others.

    Source: Mnih & Rezende (2016); Kool et al. (2019).
    """
    if len(values) < 2:
        raise ValueError("a leave-one-out baseline needs at least two samples, to have others")
    return (values.sum(0) - values) / (len(values) - 1)


def slope_at(z: Tensor, f: Callable[[Tensor], Tensor]) -> Tensor:
    """∇f at each sample, by automatic differentiation: the shape of `z`.

    Args:
        z: shape `(samples, ..., latent)`.
        f: maps z to values of shape `(samples, ...)`, each sample by itself.
    """
    with torch.enable_grad():
        point = z.detach().requires_grad_()
        (slope,) = torch.autograd.grad(f(point).sum(), point)
    return slope


def pathwise(slope: Tensor, z: Tensor, q: DiagonalGaussian) -> GaussianGradient:
    """∇f(z) ∂z/∂φ along z = μ + σ ε: ∂z/∂μ = 1 and ∂z/∂log σ² = ½ σ ε = ½ (z − μ).

    Unbiased where f is locally Lipschitz and its slope grows at most polynomially: kinks are
    allowed, jumps are not.

    Args:
        slope: ∇f(z), shape `(samples, ..., latent)`.
        z: samples of q, the same shape.
        q: the distribution they were drawn from.

    Source: Kingma & Welling (2014), section 2.4; Rezende et al. (2014), section 3.
    """
    check_diagonal(pathwise, q)
    return GaussianGradient(slope, 0.5 * slope * (z - q.mean))


@dataclass(frozen=True)
class ScoreFunctionLoss:
    """−ELBO as a training objective, with the score-function gradient for the encoder.

    No gradient passes through z. The decoder's gradient and that of the KL are as in
    `ELBOLoss`.

    Attributes:
        k: samples an image; with two or more, each has the others' mean as its baseline, a single
            one has none.

    Source: Paisley et al. (2012); Mnih & Rezende (2016), Kool et al. (2019) for the baseline.
    """

    k: int

    def __call__(
        self,
        model: LatentVariableModel,
        x: Tensor,
        step: int,
        generator: torch.Generator | None = None,
    ) -> ELBOTerms:
        """Evaluate on a batch; `loss` has the value of −ELBO, averaged over the samples."""
        check_fits(self, model, LatentVariableModel)
        q = model.encode(x)
        z = q.sample((self.k,), generator)
        log_px = model.decode(z).log_prob(x)  # (k, batch)
        values = log_px.detach()
        baseline = leave_one_out(values) if self.k > 1 else 0.0
        # Its gradient is the estimate; its value means nothing and is taken out again.
        surrogate = ((values - baseline) * q.log_prob(z)).mean(0)
        reconstruction = -log_px.mean(0)
        divergence = kl(q, model.prior())
        loss = -elbo(-reconstruction, divergence) - (surrogate - surrogate.detach())
        return ELBOTerms(loss, reconstruction, divergence)
