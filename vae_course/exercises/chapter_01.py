"""Checks of the exercises of chapter 1, generative models."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from vae_course.exercises.answers import WrongAnswerError, exercise


def _number(value: Any, meaning: str) -> float:
    """Return one real number, whatever holds it."""
    try:
        tensor = torch.as_tensor(value, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        kind = type(value).__name__
        raise WrongAnswerError(f"{meaning} is one number; this is a {kind}") from error
    if tensor.numel() != 1:
        raise WrongAnswerError(f"{meaning} is one number; this has shape {tuple(tensor.shape)}")
    return float(tensor)


_Hints = dict[str, float]


def _recognize(found: float, wanted: float, mistakes: _Hints, otherwise: str) -> None:
    """Raise with the hint of the mistake that gives this number, if the number is wrong."""
    tolerance = 1e-3 * max(1.0, abs(wanted))
    if abs(found - wanted) <= tolerance:
        return
    for hint, value in mistakes.items():
        if abs(found - value) <= tolerance:
            raise WrongAnswerError(hint)
    raise WrongAnswerError(otherwise)


@exercise("1.1")
def conditional_of_a_gaussian(answer: Callable[[Tensor, Tensor, float], Any]) -> str:
    """Mean μ₂ + C₂₁/C₁₁ (x₁ − μ₁), variance C₂₂ − C₂₁²/C₁₁."""
    mean = torch.tensor([0.7, -1.2], dtype=torch.float64)
    covariance = torch.tensor([[2.0, 0.9], [0.9, 1.3]], dtype=torch.float64)
    for x1 in (2.5, -0.4):
        found = answer(mean, covariance, x1)
        if isinstance(found, Tensor):
            found = tuple(found.flatten())
        if not isinstance(found, (tuple, list)) or len(found) != 2:
            raise WrongAnswerError("return two numbers, the mean and the variance of x₂ given x₁")
        _check_mean(_number(found[0], "the mean"), mean, covariance, x1)
        _check_variance(_number(found[1], "the variance"), covariance)
    return "right: knowing x₁ moves the mean along a line, and always lowers the variance."


def _check_mean(found: float, mean: Tensor, covariance: Tensor, x1: float) -> None:
    (first, second), (c11, c12, _, c22) = mean.tolist(), covariance.flatten().tolist()
    moved = x1 - first
    _recognize(
        found,
        second + c12 / c11 * moved,
        {
            "that is the mean without knowing x₁: it moves with x₁ when the two are correlated": (
                second
            ),
            "x₁ enters by its distance from its mean, x₁ − μ₁": second + c12 / c11 * x1,
            "the slope is C₂₁ divided by the variance of what was observed, C₁₁, not by C₂₂": (
                second + c12 / c22 * moved
            ),
            "the slope is C₂₁ / C₁₁: that is the correlation, right only for equal variances": (
                second + c12 / math.sqrt(c11 * c22) * moved
            ),
            "the covariance C₂₁ still has to be divided by C₁₁": second + c12 * moved,
            "the slope is C₂₁ / C₁₁, and you divided by the standard deviation of x₁": (
                second + c12 / math.sqrt(c11) * moved
            ),
            "the sign: a positive covariance moves x₂ the way of x₁ (mind Λ₁₂ = −C₁₂ / det C)": (
                second - c12 / c11 * moved
            ),
            "start from μ₂, the mean of the coordinate that is missing": first + c12 / c11 * moved,
        },
        "the mean is not right: it is the place where the derivative of log p(x₁, x₂) with "
        "respect to x₂ is zero",
    )


def _check_variance(found: float, covariance: Tensor) -> None:
    c11, c12, _, c22 = covariance.flatten().tolist()
    variance = c22 - c12**2 / c11
    _recognize(
        found,
        variance,
        {
            "that is the standard deviation; the variance is asked for": math.sqrt(variance),
            "that is the variance without knowing x₁: knowing it lowers the variance": c22,
            "that is the precision, Λ₂₂: the variance is its inverse": 1 / variance,
            "the square is missing: C₂₁² / C₁₁": c22 - c12 / c11,
            "the sign: knowing x₁ lowers the variance": c22 + c12**2 / c11,
            "that is the variance of x₁ given x₂: exchange the roles": c11 - c12**2 / c22,
            "C₂₁² still has to be divided by C₁₁": c22 - c12**2,
            "the ½ belongs to the exponent of the Gaussian, not to its variance": variance / 2,
        },
        "the variance is not right: it is one over the curvature of −log p(x₁, x₂) in x₂",
    )


@exercise("1.2")
def kde_log_likelihood(answer: Callable[[Tensor, Tensor, float], Any]) -> str:
    """The mean over test points of log (1/N) Σ N(x; x_n, h² I)."""
    generator = torch.Generator().manual_seed(12)
    for dim, h in ((2, 0.4), (3, 0.7)):
        train = torch.randn(40, dim, generator=generator, dtype=torch.float64)
        test = torch.randn(25, dim, generator=generator, dtype=torch.float64)
        found = answer(train, test, h)
        if isinstance(found, Tensor) and found.numel() == len(test):
            raise WrongAnswerError("one number for each test point: their mean is asked for")
        _recognize(
            _number(found, "the mean of log p(x)"),
            float(_kde(train, test, h).mean()),
            _kde_mistakes(train, test, h),
            "not the mean of log (1/N) Σ_n N(x; x_n, h² I) over the test points",
        )
    far = torch.full((3, 2), 60.0, dtype=torch.float64)
    train = torch.zeros(4, 2, dtype=torch.float64)
    if not math.isclose(
        _number(answer(train, far, 0.5), "it"), float(_kde(train, far, 0.5).mean()), rel_tol=1e-3
    ):
        raise WrongAnswerError(
            "right nearby, but far from all training points every kernel underflows to 0 and its "
            "logarithm is −∞: use torch.logsumexp"
        )
    return "right: the logarithm of a mean for each test point, and the mean of those."


def _kde(train: Tensor, test: Tensor, h: float) -> Tensor:
    """log p of every test point, `(M,)`."""
    log_kernel = _log_kernel(train, test, h)
    return torch.logsumexp(log_kernel, dim=1) - math.log(len(train))


def _log_kernel(train: Tensor, test: Tensor, h: float, *, variance: float | None = None) -> Tensor:
    variance = h**2 if variance is None else variance
    squared = torch.cdist(test, train).square()
    return -0.5 * squared / variance - 0.5 * train.shape[1] * math.log(2 * math.pi * variance)


def _kde_mistakes(train: Tensor, test: Tensor, h: float) -> _Hints:
    right = _kde(train, test, h)
    kernel = _log_kernel(train, test, h)
    dim, mean = train.shape[1], right.mean()
    one_dim = 0.5 * math.log(2 * math.pi * h**2)
    wide = _log_kernel(train, test, h, variance=h)
    no_half = -torch.cdist(test, train).square() / h**2 - dim * one_dim
    across = torch.logsumexp(kernel, 0) - math.log(len(test))
    others = kernel.new_tensor(math.log(len(train)))
    return {
        "that is the likelihood of the training points, each under its own kernel: evaluate on "
        "the test points": float(_kde(train, train, h).mean()),
        "the roles are exchanged: the kernels sit on the training points": float(across.mean()),
        "the mean of the logarithms of all kernels: the mean over n goes inside the logarithm": (
            float(kernel.mean())
        ),
        "the logarithm of the mean over test points: there the logarithm comes first": float(
            torch.logsumexp(right, 0) - math.log(len(test))
        ),
        "the sum over test points: take their mean": float(right.sum()),
        "off by log N: kernels are averaged, not summed": float(mean + others),
        "the normalizer is missing: ½ log 2πh² for each dimension": float(mean + dim * one_dim),
        "the normalizer is that of one dimension: every dimension has a factor √(2πh²)": float(
            mean + (dim - 1) * one_dim
        ),
        "the normalizer has h² and not h: it is ½ log 2πh² for each dimension": float(
            mean + 0.5 * dim * math.log(h)
        ),
        "the −½ log 2π of every dimension is missing": float(
            mean + 0.5 * dim * math.log(2 * math.pi)
        ),
        "the bandwidth h is a standard deviation, and you used it as a variance": float(
            (torch.logsumexp(wide, 1) - math.log(len(train))).mean()
        ),
        "the ½ in the exponent is missing": float(
            (torch.logsumexp(no_half, 1) - math.log(len(train))).mean()
        ),
        "the sign: that is the mean of −log p": -float(mean),
        "that is in bits: take the natural logarithm": float(mean) / math.log(2),
    }


@exercise("1.3")
def noise_cost(answer: Callable[[Tensor, Tensor, float], Any]) -> str:
    """The mean of log p − log((1 − s) p + s n)."""
    generator = torch.Generator().manual_seed(13)
    log_p = 2 * torch.randn(200, generator=generator, dtype=torch.float64)
    log_noise = 2 * torch.randn(200, generator=generator, dtype=torch.float64) - 1
    for share in (0.99, 0.6):
        found = answer(log_p, log_noise, share)
        if isinstance(found, Tensor) and found.numel() == len(log_p):
            raise WrongAnswerError("one number for each observation: their mean is asked for")
        _recognize(
            _number(found, "the mean loss"),
            _cost(log_p, log_noise, share),
            _cost_mistakes(log_p, log_noise, share),
            "not the mean of log p − log((1 − s) p + s n)",
        )
    deep = _number(answer(log_p - 3000, log_noise - 4000, 0.99), "the mean loss")
    if not math.isclose(deep, math.log(100), rel_tol=1e-3):
        raise WrongAnswerError(
            "right for small numbers, but the densities of large observations underflow: "
            "torch.logaddexp adds without leaving the logarithm"
        )
    return "right: never more than −log(1 − s), however large the observation."


def _cost(log_p: Tensor, log_noise: Tensor, share: float) -> float:
    mixed = torch.logaddexp(math.log(1 - share) + log_p, math.log(share) + log_noise)
    return float((log_p - mixed).mean())


def _cost_mistakes(log_p: Tensor, log_noise: Tensor, share: float) -> _Hints:
    right = _cost(log_p, log_noise, share)
    unweighted = float((log_p - torch.logaddexp(log_p, log_noise)).mean())
    averaged = float((log_p - (1 - share) * log_p - share * log_noise).mean())
    size = len(log_p)
    return {
        "the sign: a loss is what the good model has more, log p − log of the mixture": -right,
        "the shares are exchanged: s is the share of the noise": _cost(log_p, log_noise, 1 - share),
        "densities are mixed, not their logarithms: the sum goes inside the logarithm": averaged,
        "the mixture has no weights, so it integrates to two": unweighted,
        "that is the loss of the noise alone: the mixture keeps a share 1 − s of the model": float(
            (log_p - log_noise).mean()
        ),
        "that is the bound −log(1 − s), which the loss need not reach": -math.log(1 - share),
        "the sum over observations: take the mean": right * size,
        "that is in bits: take the natural logarithm": right / math.log(2),
        "that is the log-likelihood of the mixture: subtract it from that of the model": float(
            log_p.mean() - right
        ),
    }
