"""A generative adversarial network whose two players are trained in one backward pass."""

from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vae_course.distributions import full_precision
from vae_course.models import Model
from vae_course.networks import MLPEncoder, frozen
from vae_course.objectives import check_fits


class _Waves(nn.Module):
    """x ↦ (x, sin x, cos x, sin 2x, cos 2x): lets a small network see detail, `(batch, 10)`."""

    def forward(self, x: Tensor) -> Tensor:
        waves = [wave(scale * x) for scale in (1, 2) for wave in (torch.sin, torch.cos)]
        return torch.cat([x, *waves], dim=-1)


class GAN(Model):
    """A generator x = g(z), z ~ N(0, I), and a discriminator whose logit says "real".

    Args:
        latent_dim: size of z.
        width: of the two hidden layers of either network.

    Source: Goodfellow et al. (2014).
    """

    def __init__(self, latent_dim: int = 2, width: int = 96) -> None:
        """Build the two networks."""
        super().__init__()
        self.latent_dim = latent_dim
        self.generator = MLPEncoder((1, 1, latent_dim), (width, width), 2)
        self.discriminator = nn.Sequential(_Waves(), MLPEncoder((1, 1, 10), (width, width), 1))

    def forward(self, z: Tensor) -> Tensor:
        """Return points `(batch, 2)` for codes `(batch, latent)`."""
        out: Tensor = full_precision(self.generator(z))
        return out

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw z ~ N(0, I) and decode it: `(n, 2)`, one pass of the generator."""
        z = torch.randn(n, self.latent_dim, generator=generator, device=generator.device)
        out: Tensor = self(z)
        return out


@dataclass(frozen=True)
class AdversarialTerms:
    """Terms of one batch, each `(batch,)`, in nats.

    Attributes:
        loss: the sum of the two below; each reaches the weights of its own network only.
        generator: −log D(g(z)), with the discriminator's weights held fixed.
        discriminator: −log D(x) − log(1 − D(g(z))), with the generator's output held fixed.
        penalty: R1, (γ/2) ‖∇_x logit D(x)‖² on real points; part of the discriminator's loss.
    """

    loss: Tensor
    generator: Tensor
    discriminator: Tensor
    penalty: Tensor


class TwoPlayers(Protocol):
    """What a `GAN` has."""

    latent_dim: int
    generator: nn.Module
    discriminator: nn.Module


@dataclass(frozen=True)
class AdversarialLoss:
    """The non-saturating game with the R1 penalty, as one loss that one optimizer can lower.

    The discriminator learns at every step and the generator at every k-th: on the others its
    weights get no gradient, and Adam leaves them alone.

    Attributes:
        gamma: weight of the penalty.
        k: steps of the discriminator for each of the generator.

    Source: Goodfellow et al. (2014), algorithm 1 and the remark on −log D(g(z)) in section 3;
    Mescheder et al. (2018), equation 9, for the penalty.
    """

    gamma: float = 0.1
    k: int = 4

    def __call__(
        self, model: GAN, x: Tensor, step: int, generator: torch.Generator | None = None
    ) -> AdversarialTerms:
        """Evaluate both players on a batch."""
        check_fits(self, model, TwoPlayers)
        z = torch.randn(
            len(x), model.latent_dim, generator=generator, dtype=x.dtype, device=x.device
        )
        fake = model(z) if step % self.k == 0 else model(z).detach()
        fooled = F.softplus(-full_precision(frozen(model.discriminator, fake)).squeeze(-1))
        caught, penalty = self._discriminate(model, x, fake.detach())
        return AdversarialTerms(fooled + caught + penalty, fooled, caught, penalty)

    def _discriminate(self, model: GAN, x: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        """Return the discriminator's cross-entropy and its penalty, `(batch,)` each."""
        real = x.detach().requires_grad_()
        on_real = full_precision(model.discriminator(real)).squeeze(-1)
        on_fake = full_precision(model.discriminator(fake)).squeeze(-1)
        (slope,) = torch.autograd.grad(on_real.sum(), real, create_graph=True)
        penalty = 0.5 * self.gamma * slope.square().sum(-1)
        return F.softplus(-on_real) + F.softplus(on_fake), penalty
