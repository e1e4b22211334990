"""The ELBO for any prior that knows its density: the KL is sampled, not solved."""

from dataclasses import dataclass

import torch
from torch import Tensor

from vae_course.objectives import ELBOTerms, LatentVariableModel, check_fits, elbo
from vae_course.schedules import Schedule, as_schedule


@dataclass(frozen=True)
class SampledELBOLoss:
    """−ELBO with the KL estimated by log q(z|x) − log p(z) at the same sample z ~ q(z|x).

    Unbiased for every prior with a `log_prob`; a single image's estimate can be negative. Where
    the KL has a closed form, `ELBOLoss` has the same expectation and less noise.

    Attributes:
        beta: the KL's weight, a number or a schedule.

    Source: Kingma & Welling (2014), equation 6.
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
        q = model.encode(x)
        z = q.rsample(generator=generator)
        log_px: Tensor = model.decode(z).log_prob(x)
        kl = q.log_prob(z) - model.prior().log_prob(z)
        beta = as_schedule(self.beta)(step)
        return ELBOTerms(-elbo(log_px, kl, beta), -log_px, kl)
