"""Objectives that ask for factorized codes: capacity, β-TCVAE, FactorVAE, DIP-VAE II."""

from dataclasses import dataclass
from typing import Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vae_course.disentangling.penalties import capacity_penalty, dip_penalty
from vae_course.disentangling.total_correlation import (
    minibatch_weights,
    stratified_weights,
    tc_decomposition,
)
from vae_course.distributions import full_precision, kl
from vae_course.networks import frozen
from vae_course.objectives import ELBOTerms, LatentVariableModel, check_diagonal, check_fits
from vae_course.schedules import Schedule, as_schedule

_WEIGHTS = {"stratified": stratified_weights, "minibatch": minibatch_weights}


@dataclass(frozen=True)
class CapacityLoss:
    """−log p(x|z) + γ · |mean KL − C(t)|: the code may hold C nats, and no fewer.

    Attributes:
        capacity: C in nats per image, a number or a schedule that raises it over training.
        gamma: γ; large, so that the KL stays at C.

    Source: Burgess et al. (2018), section 5.
    """

    capacity: float | Schedule
    gamma: float = 100.0

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
        log_px: Tensor = model.decode(q.rsample(generator=generator)).log_prob(x)
        divergence = kl(q, model.prior())
        penalty = capacity_penalty(divergence, as_schedule(self.capacity)(step), self.gamma)
        return ELBOTerms(penalty - log_px, -log_px, divergence)


@dataclass(frozen=True)
class BetaTCTerms:
    """Terms of one batch, each `(batch,)` in nats per image.

    Attributes:
        loss: −log p(x|z) + I + β TC + dimension-wise KL.
        reconstruction: −log p(x|z).
        mutual_information: I(x; z), estimated.
        total_correlation: TC, estimated; an estimate from a batch may be negative.
        dimension_wise_kl: to the prior, latent by latent, estimated.
    """

    loss: Tensor
    reconstruction: Tensor
    mutual_information: Tensor
    total_correlation: Tensor
    dimension_wise_kl: Tensor


@dataclass(frozen=True)
class BetaTCLoss:
    """β-TCVAE: of the three parts of the KL only the total correlation weighs β.

    Attributes:
        beta: weight of the total correlation, a number or a schedule.
        n_data: images in the whole training set.
        weights: how a batch stands for the data, `"stratified"` or `"minibatch"`.

    Raises:
        ValueError: no weights of that name.

    Source: Chen et al. (2018), equation 4 with α = γ = 1.
    """

    beta: float | Schedule
    n_data: int
    weights: Literal["stratified", "minibatch"] = "stratified"

    def __post_init__(self) -> None:
        """Check the name."""
        if self.weights not in _WEIGHTS:
            raise ValueError(f"weights = {self.weights!r}; choose one of {', '.join(_WEIGHTS)}")

    def __call__(
        self,
        model: LatentVariableModel,
        x: Tensor,
        step: int,
        generator: torch.Generator | None = None,
    ) -> BetaTCTerms:
        """Evaluate at one sample z ~ q(z|x)."""
        check_fits(self, model, LatentVariableModel)
        q = model.encode(x)
        check_diagonal(self, q)
        z = q.rsample(generator=generator)
        log_px: Tensor = model.decode(z).log_prob(x)
        weights = _WEIGHTS[self.weights](len(x), self.n_data)
        parts = tc_decomposition(z, q.mean, q.log_var, weights, model.prior())
        weighted = parts.mutual_information + parts.dimension_wise_kl
        loss = weighted + as_schedule(self.beta)(step) * parts.total_correlation - log_px
        return BetaTCTerms(
            loss,
            -log_px,
            parts.mutual_information,
            parts.total_correlation,
            parts.dimension_wise_kl,
        )


class WithDiscriminator(LatentVariableModel, Protocol):
    """A model with a second network, that tells codes from codes of shuffled columns."""

    discriminator: nn.Module


@dataclass(frozen=True)
class FactorTerms:
    """Terms of one batch, each `(batch,)` in nats per image.

    Attributes:
        loss: −ELBO + γ · TC, for the autoencoder, + the discriminator's own loss; neither part
            reaches the other's weights.
        reconstruction: −log p(x|z).
        kl: KL(q(z|x) ‖ p(z)).
        total_correlation: the discriminator's estimate of it, its logit.
        discriminator: what the discriminator lowers; 2 log 2 when it has to guess.
    """

    loss: Tensor
    reconstruction: Tensor
    kl: Tensor
    total_correlation: Tensor
    discriminator: Tensor


@dataclass(frozen=True)
class FactorLoss:
    """FactorVAE: a discriminator's density ratio estimates the total correlation.

    D(z) is the logit of "z ~ q(z)" against "z ~ Π_d q(z_d)", so that TC = E_q(z)[D(z)]. Both
    networks learn in one step of one optimizer: the autoencoder sees D with its weights held
    fixed, D sees codes without a gradient.

    Attributes:
        gamma: weight of the total correlation.

    Source: Kim & Mnih (2018), equations 2 and 3.
    """

    gamma: float

    def __call__(
        self,
        model: WithDiscriminator,
        x: Tensor,
        step: int,
        generator: torch.Generator | None = None,
    ) -> FactorTerms:
        """Evaluate at one sample z ~ q(z|x)."""
        check_fits(self, model, WithDiscriminator)
        q = model.encode(x)
        z = q.rsample(generator=generator)
        log_px: Tensor = model.decode(z).log_prob(x)
        divergence = kl(q, model.prior())
        ratio = full_precision(frozen(model.discriminator, z)).squeeze(-1)
        joint, shuffled = z.detach(), permute_columns(z.detach(), generator)
        says_joint = full_precision(model.discriminator(joint)).squeeze(-1)
        says_shuffled = full_precision(model.discriminator(shuffled)).squeeze(-1)
        own = F.softplus(-says_joint) + F.softplus(says_shuffled)
        loss = divergence - log_px + self.gamma * ratio + own
        return FactorTerms(loss, -log_px, divergence, ratio, own)


def permute_columns(z: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Shuffle each latent over the batch by itself: from samples of q(z) to ones of Π_d q(z_d).

    Args:
        z: shape `(batch, latent)`.
        generator: on z's device.

    Source: Kim & Mnih (2018), algorithm 1.
    """
    order = torch.rand(z.shape, generator=generator, device=z.device).argsort(0)
    return z.gather(0, order)


@dataclass(frozen=True)
class DIPLoss:
    """DIP-VAE II: −ELBO plus a pull of the aggregate posterior's covariance to the identity.

    Attributes:
        off_diagonal: λ_od, weight of the squared covariances between latents.
        diagonal: λ_d, weight of the squared distances of the variances from 1.

    Source: Kumar et al. (2018), equation 7, with the covariance of equation 5 (DIP-VAE II).
    """

    off_diagonal: float
    diagonal: float

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
        check_diagonal(self, q)
        log_px: Tensor = model.decode(q.rsample(generator=generator)).log_prob(x)
        divergence = kl(q, model.prior())
        penalty = dip_penalty(q.mean, q.log_var, self.off_diagonal, self.diagonal)
        return ELBOTerms(divergence - log_px + penalty, -log_px, divergence)
