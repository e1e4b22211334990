"""Weights and learning rates as pure functions of the step: a schedule has no state to save.

A schedule is called with the step and returns a float. Those here are frozen dataclasses, so they
print, compare and are recorded in a checkpoint; a plain function is one too, and `as_schedule`
makes one of a number.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real

Schedule = Callable[[int], float]


@dataclass(frozen=True)
class Constant:
    """β(t) = value."""

    value: float

    def __call__(self, step: int) -> float:
        """Return the value, whatever the step."""
        return self.value


def as_schedule(value: float | Schedule) -> Schedule:
    """Return a schedule as it is, and a number as the `Constant` of that value.

    >>> as_schedule(4.0)
    Constant(value=4.0)

    Raises:
        TypeError: it is neither.
        ValueError: the number is not finite.
    """
    if callable(value) and not isinstance(value, type):
        return value
    if isinstance(value, int | float | Real) and not isinstance(value, bool):
        if not math.isfinite(value):
            raise ValueError(f"{value} is no weight and no rate: give a finite number")
        return Constant(float(value))
    raise TypeError(
        f"{value!r} is neither a number nor a schedule: give a number such as 4.0, or something "
        "called with the step, such as LinearWarmup(steps=1_000)"
    )


@dataclass(frozen=True)
class LinearWarmup:
    """β(t) = end · min(1, t / steps).

    Raises:
        ValueError: `steps` is not positive.

    Source: Bowman et al. (2016), section 3.1; Sønderby et al. (2016).
    """

    steps: int
    end: float = 1.0

    def __post_init__(self) -> None:
        """Check the length."""
        _require_positive("steps", self.steps)

    def __call__(self, step: int) -> float:
        """Return β at this step."""
        return self.end * min(1.0, step / self.steps)


@dataclass(frozen=True)
class Cyclical:
    """β(t) rises from 0 to `end` over the first `ramp` of each period, then holds.

    Raises:
        ValueError: `period` is not positive, or `ramp` not in (0, 1].

    Source: Fu et al. (2019), section 3.2.
    """

    period: int
    ramp: float = 0.5
    end: float = 1.0

    def __post_init__(self) -> None:
        """Check period and ramp."""
        _require_positive("period", self.period)
        if not 0 < self.ramp <= 1:
            raise ValueError(f"ramp = {self.ramp} is not in (0, 1]: it is the rising part")

    def __call__(self, step: int) -> float:
        """Return β at this step."""
        return self.end * min(1.0, (step % self.period) / (self.ramp * self.period))


@dataclass(frozen=True)
class CosineDecay:
    """A rate that falls from `start` to `end` along half a cosine, then stays.

    Raises:
        ValueError: `steps` is not positive.

    Source: Loshchilov & Hutter (2017), equation 5, without restarts.
    """

    steps: int
    start: float
    end: float = 0.0

    def __post_init__(self) -> None:
        """Check the length."""
        _require_positive("steps", self.steps)

    def __call__(self, step: int) -> float:
        """Return the rate at this step."""
        done = min(1.0, step / self.steps)
        return self.end + 0.5 * (self.start - self.end) * (1 + math.cos(math.pi * done))


def _require_positive(name: str, value: int) -> None:
    if value <= 0:
        raise ValueError(f"{name} = {value} is not positive: a schedule needs at least one step")
