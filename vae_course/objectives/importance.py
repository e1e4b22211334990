"""Importance weighting: tighter bounds from several samples of q(z|x)."""

import copy
import math
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor
from torch.distributions import Distribution, Transform

from vae_course.distributions import with_generator
from vae_course.objectives.observed import check_kind
from vae_course.objectives.protocol import JointModel, LatentVariableModel, check_fits


def log_weights(
    model: LatentVariableModel | JointModel,
    x: Tensor,
    k: int,
    generator: torch.Generator | None = None,
) -> Tensor:
    """log w_i = log p(x|z_i) + log p(z_i) − log q(z_i|x) for k samples z_i ~ q(z|x).

    Args:
        model: anything with `encode`, `decode` and `prior`, or with `log_weights` of its own.
        x: images, shape `(batch, ...)`.
        k: samples an image, at least 1.
        generator: source of the samples.

    Returns:
        Shape `(batch, k)`, nats per image. Its mean over k estimates the ELBO, `iwae_bound` of it
        estimates L_k.

    Raises:
        ValueError: k < 1, or images of another type than the model computes in.

    Source: Burda et al. (2016), equations 6 to 8.
    """
    _require_samples(k)
    check_kind(model, x)
    if isinstance(model, JointModel):
        return model.log_weights(x, k, generator)
    q = with_generator(model.encode(x))
    z = q.rsample((k,), generator)
    return _log_ratio(model, x, z, q.log_prob(z)).T


def _log_ratio(model: LatentVariableModel, x: Tensor, z: Tensor, log_qz: Tensor) -> Tensor:
    """log p(x|z) + log p(z) − log q(z|x), shape `(k, batch)`."""
    log_px: Tensor = model.decode(z).log_prob(x)
    log_pz: Tensor = model.prior().log_prob(z)
    return log_px + log_pz - log_qz


def iwae_bound(log_w: Tensor) -> Tensor:
    """L_k = log (1/k) Σ w_i, from log-weights `(batch, k)`: shape `(batch,)`, nats per image.

    E[L_1] is the ELBO, E[L_k] grows with k, and log p(x) is its limit.

    Source: Burda et al. (2016), equation 8 and theorem 1.
    """
    return torch.logsumexp(log_w, dim=-1) - math.log(log_w.shape[-1])


_Part = TypeVar("_Part", bound=Distribution | Transform)


def detached(q: _Part) -> _Part:
    """Return the same distribution, with no gradient to its parameters or its transforms'."""
    stopped = copy.copy(q)
    for name, value in vars(q).items():
        if name == "_inv":  # a transform's inverse, which is made anew when it is needed
            setattr(stopped, name, None)
        elif isinstance(value, Tensor):
            setattr(stopped, name, value.detach())
        elif isinstance(value, Distribution | Transform):
            setattr(stopped, name, detached(value))
        elif isinstance(value, list | tuple) and all(isinstance(v, Transform) for v in value):
            setattr(stopped, name, type(value)(map(detached, value)))
    return stopped


def _stopped(q: Distribution, z: Tensor) -> Distribution:
    """Return q detached.

    Raises:
        ValueError: it keeps parameters where they cannot be stopped, in a network, say.
    """
    stopped = detached(q)
    if stopped.log_prob(z.detach()).requires_grad:
        raise ValueError(
            f"q(z|x) is a {type(q).__name__} with parameters that cannot be held constant in its "
            "log-density, as the doubly reparameterized gradient needs: train with IWAELoss"
        )
    return stopped


def _weighed_by(model: object) -> type:
    return JointModel if isinstance(model, JointModel) else LatentVariableModel


def _require_samples(k: int) -> None:
    if k < 1:
        raise ValueError(f"k = {k}: an importance-weighted bound needs at least one sample")


@dataclass(frozen=True)
class IWAELoss:
    """−L_k as a training objective.

    Attributes:
        k: samples an image; 1 is the VAE with a sampled KL.

    Source: Burda et al. (2016), equation 8.

    Example:
        >>> from vae_course.models import VAE
        >>> model, x = VAE((1, 8, 8), 2, widths=(4,)), torch.zeros(5, 1, 8, 8)
        >>> IWAELoss(k=10)(model, x, step=0).shape
        torch.Size([5])
    """

    k: int

    def __call__(
        self,
        model: LatentVariableModel | JointModel,
        x: Tensor,
        step: int,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Return −L_k of a batch, `(batch,)`, nats per image."""
        check_fits(self, model, _weighed_by(model))
        return -iwae_bound(log_weights(model, x, self.k, generator))


@dataclass(frozen=True)
class DReGLoss:
    """−L_k in value, with the doubly reparameterized gradient for the encoder.

    The decoder's gradient is Σ w̃_i ∇_θ log w_i and the encoder's Σ w̃_i² ∂log w_i/∂z_i · ∇_φ z_i,
    both unbiased for ∇L_k; the second stays useful as k grows, where IWAE's own drowns in noise.

    Attributes:
        k: samples an image.

    Source: Tucker et al. (2019), section 3.
    """

    k: int

    def __call__(
        self,
        model: LatentVariableModel,
        x: Tensor,
        step: int,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Return numbers `(batch,)` with the value of −L_k and DReG's gradient.

        Raises:
            ValueError: q(z|x) keeps parameters that cannot be held constant in its density.
        """
        check_fits(self, model, LatentVariableModel)
        _require_samples(self.k)
        q = with_generator(model.encode(x))
        z = q.rsample((self.k,), generator)
        # q's parameters are stopped inside log q(z|x): the encoder is reached through z alone.
        log_w = _log_ratio(model, x, z, _stopped(q, z).log_prob(z)).T
        weights = torch.softmax(log_w.detach(), dim=-1)
        if z.requires_grad:
            z.register_hook(lambda gradient: weights.T.unsqueeze(-1) * gradient)
        bound = iwae_bound(log_w.detach())
        surrogate = (weights * log_w).sum(-1)
        return -(bound + surrogate - surrogate.detach())
