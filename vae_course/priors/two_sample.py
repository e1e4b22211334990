"""Are two sets of points draws from one distribution? Two tests that need no density."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class TwoSampleTest:
    """What a two-sample test found.

    Attributes:
        statistic: held-out accuracy, or MMD².
        p_value: how often a statistic as large appears when the two distributions are one.
        null: (2.5 %, 97.5 %) of the statistic when the two distributions are one.
    """

    statistic: float
    p_value: float
    null: tuple[float, float]


def classifier_two_sample_test(a: Tensor, b: Tensor, *, seed: int = 0) -> TwoSampleTest:
    """Train a classifier to tell a from b on one half of each; its accuracy on the rest.

    If both come from one distribution nothing can be learned, and the accuracy is that of coins:
    mean ½, variance 1 / (4 n) with n held-out points. The classifier is a small ensemble of
    boosted trees; a blind classifier makes the test weak, never wrong.

    Args:
        a: points, `(N, dim)`.
        b: as many points.
        seed: of the split and of the trees.

    Raises:
        ValueError: the sets differ in shape, or hold fewer than 4 points.

    Source: Lopez-Paz & Oquab (2017), section 3.
    """
    if a.shape != b.shape or a.dim() != 2 or len(a) < 4:
        raise ValueError(
            f"sets of shape {tuple(a.shape)} and {tuple(b.shape)}: the test takes two of one "
            "shape (N, dim), N at least 4"
        )
    order = np.random.default_rng(seed).permutation(len(a))
    sets = [points.detach().double().cpu().numpy()[order] for points in (a, b)]
    from sklearn.ensemble import (
        HistGradientBoostingClassifier,
    )  # here, because it takes seconds to import

    half = len(a) // 2
    rest = len(a) - half
    trees = HistGradientBoostingClassifier(max_iter=60, early_stopping=False, random_state=seed)
    trees.fit(np.concatenate([s[:half] for s in sets]), np.repeat([0, 1], half))
    guess = trees.predict(np.concatenate([s[half:] for s in sets]))
    accuracy = float((guess == np.repeat([0, 1], rest)).mean())
    spread = 0.5 / math.sqrt(2 * rest)
    p_value = 0.5 * math.erfc((accuracy - 0.5) / spread / math.sqrt(2))
    return TwoSampleTest(accuracy, p_value, (0.5 - 1.96 * spread, 0.5 + 1.96 * spread))


def rbf_kernel(a: Tensor, b: Tensor, bandwidth: float) -> Tensor:
    """k(a_i, b_j) = exp(−‖a_i − b_j‖² / (2 s²)), shape `(len(a), len(b))`."""
    return torch.exp(-torch.cdist(a, b).square() / (2 * bandwidth**2))


def median_distance(a: Tensor, b: Tensor) -> float:
    """Median distance between different points of the two sets together: a usual bandwidth."""
    return float(torch.pdist(torch.cat([a, b])).median())


def mmd(a: Tensor, b: Tensor, bandwidth: float) -> float:
    """Unbiased estimate of MMD² = E k(a, a') + E k(b, b') − 2 E k(a, b), with `rbf_kernel`.

    Pairs of a point with itself are left out, so the estimate is a U-statistic: its mean is MMD²
    exactly, and it can be negative.

    Args:
        a: points, `(N, dim)`.
        b: points, `(M, dim)`.
        bandwidth: s of the kernel.

    Source: Gretton et al. (2012), lemma 6.
    """
    kernel = _pooled_kernel(a, b, bandwidth)
    return float(_u_statistics(kernel, _first(len(a), kernel)))


def mmd_test(
    a: Tensor, b: Tensor, bandwidth: float, *, permutations: int, generator: torch.Generator
) -> TwoSampleTest:
    """`mmd` against its null: the same points, divided into two sets at random, many times.

    Under the null every division is as likely as the one we have, so the p-value
    (1 + #{larger}) / (1 + permutations) is exact.

    Args:
        a: points, `(N, dim)`.
        b: points, `(M, dim)`.
        bandwidth: s of the kernel; not to be chosen by looking at which points are in a.
        permutations: how many divisions.
        generator: draws them.

    Source: Gretton et al. (2012), section 2 and lemma 6.
    """
    kernel = _pooled_kernel(a, b, bandwidth)
    ranks = torch.rand(len(kernel), permutations, generator=generator, device=a.device)
    members = (ranks.argsort(0).argsort(0) < len(a)).to(kernel)
    null = _u_statistics(kernel, members)
    found = float(_u_statistics(kernel, _first(len(a), kernel)))
    p_value = (1 + int((null >= found).sum())) / (1 + permutations)
    low, high = torch.quantile(null, torch.tensor([0.025, 0.975]).to(null)).tolist()
    return TwoSampleTest(found, p_value, (low, high))


def _pooled_kernel(a: Tensor, b: Tensor, bandwidth: float) -> Tensor:
    """Return the kernel of all points with a zero diagonal, `(N + M, N + M)`."""
    points = torch.cat([a, b]).detach()
    return rbf_kernel(points, points, bandwidth).fill_diagonal_(0)


def _first(n: int, kernel: Tensor) -> Tensor:
    """Return the division we have: the first n points are in a, `(N + M, 1)`."""
    return (torch.arange(len(kernel), device=kernel.device) < n).to(kernel).unsqueeze(1)


def _u_statistics(kernel: Tensor, members: Tensor) -> Tensor:
    """MMD² for each column of `members`, `(points, divisions)`: 1 where a point is in a, else 0."""
    n = members.sum(0).double()
    m = len(kernel) - n
    to_a = (kernel @ members).double()  # (points, divisions)
    to_all = kernel.sum(1, keepdim=True, dtype=torch.float64)
    aa = (members * to_a).sum(0)
    ab = (members * (to_all - to_a)).sum(0)
    bb = to_all.sum() - aa - 2 * ab
    return aa / (n * (n - 1)) + bb / (m * (m - 1)) - 2 * ab / (n * m)
