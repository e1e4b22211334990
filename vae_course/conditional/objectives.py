"""Objectives for images with conditions: the conditional ELBO, M2 for labels half known."""

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution

from vae_course.conditional.labels import UNKNOWN, check_classes, check_kind
from vae_course.data import Labeled
from vae_course.distributions import DiagonalGaussian, kl
from vae_course.objectives import ELBOTerms, check_fits, elbo
from vae_course.schedules import Schedule, as_schedule


class ConditionalModel(Protocol):
    """Anything with p(z|y), q(z|x, y) and p(x|z, y)."""

    def prior(self, y: Tensor) -> DiagonalGaussian:
        """Return p(z|y)."""
        ...

    def encode(self, x: Tensor, y: Tensor) -> DiagonalGaussian:
        """Return q(z|x, y)."""
        ...

    def decode(self, z: Tensor, y: Tensor) -> Distribution:
        """Return p(x|z, y)."""
        ...


class SemiSupervisedModel(ConditionalModel, Protocol):
    """A conditional model that also guesses labels."""

    classes: int

    def classify(self, x: Tensor) -> Categorical:
        """Return q(y|x)."""
        ...


def check_labeled(loss: object, x: object) -> None:
    """Refuse images without conditions.

    Raises:
        TypeError: they are no `Labeled`.
    """
    if not isinstance(x, Labeled):
        user = getattr(loss, "__name__", type(loss).__name__)
        raise TypeError(f"{user} needs Labeled(images, labels), not a {type(x).__name__}")


def conditional_terms(
    model: ConditionalModel, x: Tensor, y: Tensor, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Return log p(x|z, y) at one z ~ q(z|x, y), and KL(q(z|x, y) ‖ p(z|y)).

    Both have the batch shape of `model.encode(x, y)`.
    """
    q = model.encode(x, y)
    z = q.rsample(generator=generator)
    log_px: Tensor = model.decode(z, y).log_prob(x)
    return log_px, kl(q, model.prior(y))


@dataclass(frozen=True)
class ConditionalELBOLoss:
    """−ELBO(x|y), the bound on log p(x|y), as a training objective on images with conditions.

    Attributes:
        beta: weight of the KL, a number or a schedule; 1 gives the bound.

    Source: Sohn et al. (2015), equation 4.
    """

    beta: float | Schedule = 1.0

    def __call__(
        self,
        model: ConditionalModel,
        x: Labeled,
        step: int,
        generator: torch.Generator | None = None,
    ) -> ELBOTerms:
        """Evaluate on images and their conditions at one sample z ~ q(z|x, y)."""
        check_fits(self, model, ConditionalModel)
        check_labeled(self, x)
        log_px, divergence = conditional_terms(model, x.images, x.labels, generator)
        beta = as_schedule(self.beta)(step)
        return ELBOTerms(-elbo(log_px, divergence, beta), -log_px, divergence)

    def check_labels(self, model: ConditionalModel, y: Tensor) -> None:
        """Let a model that has `check_labels` look at the conditions; `fit` calls it first."""
        check = getattr(model, "check_labels", None)
        if check is not None:
            check(y)


def unlabeled_bound(log_joint: Tensor, log_qy: Tensor) -> Tensor:
    """U(x) = Σ_y q(y|x) (log p(x, y) − log q(y|x)), a bound on log p(x) for any q(y|x).

    Args:
        log_joint: log p(x, y) or a bound on it, ELBO(x|y) + log p(y), for every class: shape
            `(batch, classes)`, nats per image.
        log_qy: log q(y|x), the same shape.

    Returns:
        Shape `(batch,)`. −Σ q log q is the entropy of q(y|x), which enters with a plus.

    Source: Kingma et al. (2014), equation 7.
    """
    return (log_qy.exp() * (log_joint - log_qy)).sum(-1)


@dataclass(frozen=True)
class SemiSupervisedTerms:
    """Terms of one batch, each `(batch,)` in nats per image.

    Attributes:
        loss: −bound, and for a labeled image + α cross_entropy.
        bound: ELBO(x|y) + log p(y) ≤ log p(x, y) where y is known, U(x) ≤ log p(x) elsewhere.
        cross_entropy: −log q(y|x) where y is known, else 0.
    """

    loss: Tensor
    bound: Tensor
    cross_entropy: Tensor


@dataclass(frozen=True)
class SemiSupervisedLoss:
    """M2: every image by its bound, summed exactly over the labels it might have.

    Labels of −1 are unknown. An unlabeled image costs as much as `classes` labeled ones.

    Attributes:
        alpha: α, weight of −log q(y|x) of a labeled image. Without it q(y|x) would never see a
            label: in the bound of a labeled image it does not occur.
        beta: weight of KL(q(z|x, y) ‖ p(z)), a number or a schedule.

    Source: Kingma et al. (2014), equations 6 to 9; their α = 0.1 N for the *mean* over the labeled
    images is 0.1 N / (number of labeled images) here, where it multiplies each of them.
    """

    alpha: float
    beta: float | Schedule = 1.0

    def __call__(
        self,
        model: SemiSupervisedModel,
        x: Labeled,
        step: int,
        generator: torch.Generator | None = None,
    ) -> SemiSupervisedTerms:
        """Evaluate on images of which some have a label."""
        check_fits(self, model, SemiSupervisedModel)
        check_labeled(self, x)
        known = x.labels != UNKNOWN
        log_qy = torch.log_softmax(model.classify(x.images).logits, dim=-1)
        bound, cross_entropy = torch.zeros_like(log_qy[:, 0]), torch.zeros_like(log_qy[:, 0])
        log_py, beta = -math.log(model.classes), as_schedule(self.beta)(step)

        def joint(images: Tensor, y: Tensor) -> Tensor:
            log_px, divergence = conditional_terms(model, images, y, generator)
            return elbo(log_px, divergence, beta) + log_py

        if known.any():
            y = x.labels[known]
            bound[known] = joint(x.images[known], y)
            cross_entropy[known] = -log_qy[known].gather(1, y.unsqueeze(1)).squeeze(1)
        if not known.all():
            every = torch.arange(model.classes, device=known.device).unsqueeze(1)
            log_joint = joint(x.images[~known], every).T  # (classes, rest) => (rest, classes)
            bound[~known] = unlabeled_bound(log_joint, log_qy[~known])
        return SemiSupervisedTerms(self.alpha * cross_entropy - bound, bound, cross_entropy)

    def check_labels(self, model: SemiSupervisedModel, y: Tensor) -> None:
        """Refuse labels that are no class of the model, nor −1; `fit` calls it first."""
        check_kind(y)
        check_classes(y, model.classes, least=UNKNOWN)


class Predictor(Protocol):
    """A model that maps inputs to a distribution of targets."""

    def __call__(self, x: Tensor) -> Distribution:
        """Return p(target|x), batch shape `(batch,)`."""
        ...


def prediction_loss(
    model: Predictor, x: Labeled, step: int, generator: torch.Generator | None = None
) -> Tensor:
    """−log p(target|input) for a model that maps inputs to a distribution of targets.

    Args:
        model: `model(inputs)` is a `torch.distributions` object of batch shape `(batch,)`.
        x: inputs as `images`, targets as `labels`.
        step: not used.
        generator: not used; nothing is drawn.

    Returns:
        Shape `(batch,)`, nats per image.

    Raises:
        TypeError: images without targets, or a model that gives no distribution.
        ValueError: a label beyond the model's classes.
    """
    check_labeled(prediction_loss, x)
    check_fits(prediction_loss, model, Predictor)
    p = model(x.images)
    if not isinstance(p, Distribution):
        raise TypeError(
            f"prediction_loss needs a model that maps inputs to a distribution of targets; a "
            f"{type(model).__name__} gives a {type(p).__name__}"
        )
    if isinstance(p, Categorical) and x.labels.device.type == "cpu":
        check_classes(x.labels, p.param_shape[-1])
    log_p: Tensor = p.log_prob(x.labels)
    return -log_p
