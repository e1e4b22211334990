"""The evidence lower bound: reconstruction and KL, apart and together."""

from dataclasses import dataclass

import torch
from torch import Tensor

from vae_course.distributions import kl, with_generator
from vae_course.objectives.protocol import LatentVariableModel, check_fits
from vae_course.schedules import Schedule, as_schedule


def elbo(log_px: Tensor, kl: Tensor, beta: float = 1.0) -> Tensor:
    """ELBO = log p(x|z) − β KL(q(z|x) ‖ p(z)).

    Args:
        log_px: log p(x|z) at one z ~ q(z|x), shape `(batch,)`, nats per image.
        kl: shape `(batch,)`, nats per image.
        beta: weight of the KL; 1 gives a lower bound on log p(x).

    Returns:
        Shape `(batch,)`, nats per image.

    Source: Kingma & Welling (2014), equation 3; Higgins et al. (2017), equation 4 for β.

    Example:
        >>> elbo(torch.tensor([-3.0, -5.0]), torch.tensor([1.0, 2.0]))
        tensor([-4., -7.])
    """
    return log_px - beta * kl


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


@dataclass(frozen=True)
class ELBOTerms:
    """Terms of one batch, each `(batch,)` in nats per image.

    Attributes:
        loss: what the optimizer lowers, −ELBO with the step's β.
        reconstruction: −log p(x|z).
        kl: KL(q(z|x) ‖ p(z)).
    """

    loss: Tensor
    reconstruction: Tensor
    kl: Tensor


@dataclass(frozen=True)
class ELBOLoss:
    """−ELBO as a training objective, with the KL to the model's own prior in closed form.

    Attributes:
        beta: the weight of the KL, a number or a schedule; 1 makes it the VAE.

    Source: Kingma & Welling (2014), equation 10.

    Example:
        >>> from vae_course.models import VAE
        >>> model, x = VAE((1, 8, 8), 2, widths=(4,)), torch.zeros(5, 1, 8, 8)
        >>> terms = ELBOLoss(beta=4)(model, x, step=0)
        >>> torch.allclose(terms.loss, terms.reconstruction + 4 * terms.kl)
        True
    """

    beta: float | Schedule = 1.0

    def __call__(
        self,
        model: LatentVariableModel,
        x: Tensor,
        step: int,
        generator: torch.Generator | None = None,
    ) -> ELBOTerms:
        """Evaluate at one sample z ~ q(z|x)."""
        check_fits(self, model, LatentVariableModel)
        q = with_generator(model.encode(x))
        z = q.rsample(generator=generator)
        log_px: Tensor = model.decode(z).log_prob(x)
        divergence = kl(q, model.prior())
        beta = as_schedule(self.beta)(step)
        return ELBOTerms(-elbo(log_px, divergence, beta), -log_px, divergence)
