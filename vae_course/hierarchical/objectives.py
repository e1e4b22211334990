"""The ELBO of a stack of latent layers: one reconstruction, and a KL for each layer."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.distributions import Distribution

from vae_course.objectives import check_fits, free_bits
from vae_course.schedules import Schedule, as_schedule


class StackedPass(Protocol):
    """What a pass through a stack leaves: p(x|z_1) and the layers' KLs, `(batch, layers)`."""

    @property
    def kl(self) -> Tensor:
        """KL of each layer, nats per image."""
        ...

    @property
    def p(self) -> Distribution:
        """p(x|z_1)."""
        ...


class StackedModel(Protocol):
    """A model that infers all its layers in one call."""

    latent_dims: tuple[int, ...]

    def __call__(self, x: Tensor, generator: torch.Generator | None = None) -> StackedPass:
        """Infer every layer once."""
        ...


@dataclass(frozen=True)
class HierarchicalLoss:
    """−log p(x|z_1) + β(t) Σ_l KL_l as a training objective; with free bits Σ_l max(λ, mean KL_l).

    Attributes:
        beta: the weight of all KLs, a number or a schedule.
        free_nats: λ, the mean KL over the batch below which a layer is not pushed; 0 is none.

    Source: Sønderby et al. (2016), section 2, for β; Kingma et al. (2016), equation 15, for λ.
    """

    beta: float | Schedule = 1.0
    free_nats: float = 0.0

    def __call__(
        self,
        model: StackedModel,
        x: Tensor,
        step: int,
        generator: torch.Generator | None = None,
    ) -> dict[str, Tensor]:
        """Evaluate at one sample of every layer.

        Returns:
            `loss`, `reconstruction`, `kl` of all layers together, without weight and free bits, and
            `kl_1`, …, `kl_L` of each: `(batch,)`, nats per image.
        """
        check_fits(self, model, StackedModel)
        out = model(x, generator=generator)
        reconstruction: Tensor = -out.p.log_prob(x)
        kl = out.kl.sum(-1)
        # Not max(0, ·) without free bits: the share of a layer may be negative, bottom-up.
        pressed = free_bits(out.kl, self.free_nats) if self.free_nats else kl
        loss = reconstruction + as_schedule(self.beta)(step) * pressed
        layers = {f"kl_{layer}": share for layer, share in enumerate(out.kl.unbind(-1), start=1)}
        return {"loss": loss, "reconstruction": reconstruction, "kl": kl, **layers}
