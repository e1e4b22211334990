"""What a training run leaves behind beside the weights: every term, epoch by epoch."""

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import nn

Curve = dict[str, list[float]]


class DivergenceError(RuntimeError):
    """Training stopped because a term was no longer a finite, sensible number."""


@dataclass(frozen=True)
class History:
    """Means over each epoch, in the loss's own units (nats per image).

    Attributes:
        train: for each term of the loss, one value an epoch.
        validation: the same terms on held-out images, where those were given.
        seconds: time spent in training steps, over all sessions of a resumed run.
        images_seen: training images that went through, repeats counted.
    """

    train: Curve = field(default_factory=dict)
    validation: Curve = field(default_factory=dict)
    seconds: float = 0.0
    images_seen: int = 0

    @property
    def images_per_second(self) -> float:
        """Training throughput."""
        return self.images_seen / self.seconds if self.seconds else 0.0

    @property
    def epochs(self) -> int:
        """How many epochs are in it."""
        return len(next(iter(self.train.values()), []))

    def to_json(self) -> dict[str, Any]:
        """Return plain lists and numbers."""
        return asdict(self)

    def extended(
        self,
        train: dict[str, float],
        validation: dict[str, float],
        seconds: float,
        images: int,
    ) -> "History":
        """Return the history with one more epoch."""
        return History(
            {name: [*self.train.get(name, []), value] for name, value in train.items()},
            {name: [*self.validation.get(name, []), value] for name, value in validation.items()},
            self.seconds + seconds,
            self.images_seen + images,
        )


def check_finite_validation(means: dict[str, float], step: int) -> None:
    """Raise `DivergenceError` naming the term if one of the held-out images is not finite."""
    for name, value in means.items():
        if not math.isfinite(value):
            raise DivergenceError(
                f"after step {step - 1}: the term {name!r} of validation is {value}, while those "
                "of training are finite: look for held-out images unlike all those trained on, or "
                "for a loss that differs in evaluation mode"
            )


def check_weights(model: nn.Module, step: int) -> None:
    """Raise `DivergenceError` naming the first weight that is not finite after an epoch.

    A gradient can be NaN where the loss is finite: of √ at 0, or of 0 · ∞ behind a `where`.
    """
    for name, weight in model.named_parameters():
        if not weight.isfinite().all():
            raise DivergenceError(
                f"step {step} or one before it in this epoch: the weight {name!r} is not finite, "
                "while the terms were: a gradient is to blame. Look for a square root or a "
                "logarithm at 0 (torch.autograd.set_detect_anomaly(True) names it); the last "
                "checkpoint, if there is one, is from before this epoch"
            )


def check_finite(terms: list[dict[str, float]], first_step: int) -> None:
    """Raise `DivergenceError` naming step and term if a term of any step is not sensible.

    The images themselves are found finite before they are trained on, so the run is to blame.

    Args:
        terms: the batch means of consecutive steps.
        first_step: the number of the first of them.
    """
    for offset, means in enumerate(terms):
        for name, value in means.items():
            if not math.isfinite(value) or abs(value) > 1e12:
                raise DivergenceError(
                    f"step {first_step + offset}: the term {name!r} is {value}. The images given "
                    "were finite: the run is to blame, not the data. Lower the learning rate, warm "
                    "the KL weight up (schedules.LinearWarmup), or look for unscaled inputs; the "
                    "last checkpoint, if there is one, is from before this step"
                )
