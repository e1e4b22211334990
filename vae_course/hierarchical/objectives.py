"""The ELBO of a stack of latent layers: one reconstruction, and a KL for each layer."""

from dataclasses import dataclass, make_dataclass
from functools import cache
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.distributions import Distribution

from vae_course.objectives import free_bits
from vae_course.schedules import Constant, Schedule

_ONE = Constant(1.0)


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

    def __call__(self, x: Tensor, generator: torch.Generator | None = None) -> StackedPass:
        """Infer every layer once."""
        ...


@dataclass(frozen=True)
class StackTerms:
    """Terms of one batch, each `(batch,)` in nats per image; `kl_1`, …, `kl_L` come after them.

    Attributes:
        loss: what the optimizer lowers.
        reconstruction: −log p(x|z_1).
        kl: the layers' KLs together, without weight and without free bits.
    """

    loss: Tensor
    reconstruction: Tensor
    kl: Tensor


@cache
def _terms_of(layers: int) -> type[Any]:
    """`StackTerms` with a field for each layer, so that a history keeps a curve of each."""
    fields = [(f"kl_{layer}", Tensor) for layer in range(1, layers + 1)]
    return make_dataclass(f"StackTerms{layers}", fields, bases=(StackTerms,), frozen=True)


@dataclass(frozen=True)
class HierarchicalELBO:
    """−log p(x|z_1) + β(t) Σ_l KL_l as a training objective; with free bits Σ_l max(λ, mean KL_l).

    Attributes:
        beta: the weight of all KLs, as a function of the step.
        free_nats: λ, the mean KL over the batch below which a layer is not pushed; 0 is none.

    Source: Sønderby et al. (2016), section 2, for β; Kingma et al. (2016), equation 15, for λ.
    """

    beta: Schedule = _ONE
    free_nats: float = 0.0

    def __call__(
        self,
        model: StackedModel,
        x: Tensor,
        step: int,
        generator: torch.Generator | None = None,
    ) -> StackTerms:
        """Evaluate at one sample of every layer."""
        out = model(x, generator=generator)
        reconstruction: Tensor = -out.p.log_prob(x)
        kl = out.kl.sum(-1)
        # Not max(0, ·) without free bits: the share of a layer may be negative, bottom-up.
        pressed = free_bits(out.kl, self.free_nats) if self.free_nats else kl
        loss = reconstruction + self.beta(step) * pressed
        terms = _terms_of(out.kl.shape[-1])
        return terms(loss, reconstruction, kl, *out.kl.unbind(-1))  # type: ignore[no-any-return]
