"""Numbers and functions as schedules."""

import doctest
import functools

import numpy as np
import pytest

from vae_course import schedules
from vae_course.schedules import Constant, LinearWarmup, as_schedule


@pytest.mark.parametrize("number", [4, 4.0, np.float32(4), np.int64(4)])
def test_a_number_is_a_constant(number: float) -> None:
    assert as_schedule(number) == Constant(4.0)
    assert type(as_schedule(number)(7)) is float


@pytest.mark.parametrize(
    "schedule",
    [LinearWarmup(10), lambda step: 0.1 * step, functools.partial(max, 3)],
    ids=["dataclass", "function", "partial"],
)
def test_a_schedule_is_itself(schedule: object) -> None:
    assert as_schedule(schedule) is schedule


@pytest.mark.parametrize("value", ["4", None, True, LinearWarmup, [1.0], 1j])
def test_what_is_neither_is_refused_by_its_value(value: object) -> None:
    with pytest.raises(TypeError, match="neither a number nor a schedule: give a number"):
        as_schedule(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_is_not_finite_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="give a finite number"):
        as_schedule(value)


def test_the_example_runs() -> None:
    assert doctest.testmod(schedules) == (0, 1)
