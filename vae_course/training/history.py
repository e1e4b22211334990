"""What a training run leaves behind beside the weights: every term, epoch by epoch."""

import math
from dataclasses import asdict, dataclass, field
from typing import Any

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
