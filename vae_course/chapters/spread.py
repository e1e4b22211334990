"""How far a new run's value may lie from recorded ones before luck no longer explains it.

The method. The recorded values of a claim, and a new one, are taken for draws of one normal
distribution (other seeds, other machines). Then

    (x − m) / (s √(1 + 1/n))  has Student's t-distribution with n − 1 degrees of freedom,

m and s the mean and the standard deviation of the n recorded values, and the interval

    m ± t(1 − α/2) s √(1 + 1/n)

misses a new value with probability α. A book has many claims, so each gets α = 0.001 / (number of
claims and relations): by Bonferroni's inequality, which needs no independence, a run of the whole
book in which all is right is called wrong with probability 0.001 at most.

What is assumed: that the next run is like the recorded ones, and that tails are no heavier than
normal ones. Where the recorded values hardly differ s says little, so it has a floor. The tests
measure the rate on simulated books, and on recorded runs left out where a chapter has five or more;
and the power on planted errors.
"""

import math
import statistics
from collections.abc import Sequence

FAMILY = 1e-3  # the probability that a good run of a whole book is called wrong
FEWEST = 4  # runs from which an interval is drawn
_RELATIVE, _COUNT, _ABSOLUTE = 0.002, 0.5, 1e-9  # floors of s, by kind of value


def median_and_range(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the median and the 5 % and 95 % points of recorded values."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    points = statistics.quantiles(values, n=20, method="inclusive")
    return statistics.median(values), points[0], points[-1]


def interval(values: Sequence[float], alpha: float) -> tuple[float, float] | None:
    """Return where a new value lies but for a probability `alpha`; None for fewer than 4 values."""
    if len(values) < FEWEST:
        return None
    from scipy.stats import t

    n, mean = len(values), statistics.fmean(values)
    scale = max(statistics.stdev(values), floor(values)) * math.sqrt(1 + 1 / n)
    reach = float(t.isf(alpha / 2, n - 1)) * scale
    return mean - reach, mean + reach


def floor(values: Sequence[float]) -> float:
    """Smallest standard deviation that is believed.

    Half a count for whole numbers; else 0.2 % of the value, less than a reader would notice; and
    rounding errors are no values.
    """
    if all(isinstance(value, int) for value in values):
        return _COUNT
    return max(_RELATIVE * abs(statistics.fmean(values)), _ABSOLUTE)
