"""Whether uncertainty is honest: how often a stated interval holds what it should hold."""

import torch
from torch import Tensor


def rank_among(draws: Tensor, truth: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Return how many of n draws are below the truth, ties broken at random: 0 to n.

    If truth and draws come from one distribution, discrete or not, every rank has probability
    1 / (n + 1).

    Args:
        draws: `(n, ...)`, from the predictive distribution.
        truth: `(...)`.
        generator: source of the tie-breaks.

    Returns:
        int64, of `truth`'s shape.
    """
    below, ties = (draws < truth).sum(0), (draws == truth).sum(0)
    share = torch.rand(truth.shape, generator=generator, device=truth.device)
    return below + (share * (ties + 1)).long()


def coverage(
    draws: Tensor, truth: Tensor, level: float = 0.9, generator: torch.Generator | None = None
) -> Tensor:
    """Whether the truth lies in the central interval of its draws: boolean, of `truth`'s shape.

    Central is: not among the a lowest nor among the a highest of the n + 1 ranks, with
    2a = (1 − level)(n + 1). Its mean over cases is the coverage; an honest predictive distribution
    has exactly `level`.

    Args:
        draws: `(n, ...)`, from the predictive distribution.
        truth: `(...)`.
        level: of the interval; 2a has to be an even whole number, as for 90 % of 19 or 199 draws.
        generator: source of the tie-breaks.

    Raises:
        ValueError: no interval of n draws has this level.
    """
    n = len(draws)
    a = (1 - level) * (n + 1) / 2
    if a < 0.5 or abs(a - round(a)) > 1e-6:
        raise ValueError(
            f"no central interval of {n} draws has level {level:g}: (1 − level)(n + 1) / 2 is "
            f"{a:g} and not a whole number"
        )
    ranks = rank_among(draws, truth, generator)
    return (ranks >= round(a)) & (ranks <= n - round(a))
