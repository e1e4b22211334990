"""Checks of the exercises of chapter 4, the latent variable model."""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.distributions import Normal

from vae_course.exercises.answers import WrongAnswerError, exercise
from vae_course.models import LinearGaussian, random_linear_gaussian

_POINTS = ((0.3, 2.0, -0.5, 0.4), (1.7, 0.6, 0.8, 1.5), (-2.0, -1.3, 0.2, 0.7))


def _normal(x: float, mean: float, variance: float) -> float:
    return -0.5 * (math.log(2 * math.pi * variance) + (x - mean) ** 2 / variance)


_WRONG_MARGINALS: dict[str, Callable[[float, float, float, float], float]] = {
    "the noise is missing: σ² adds to the variance": lambda x, w, b, s: _normal(x, b, w * w),
    "that is N(b, σ²), p(x|z = 0): the variance that z brings, w², is missing": (
        lambda x, w, b, s: _normal(x, b, s * s)
    ),
    "σ is a standard deviation: what adds up is its square, σ²": (
        lambda x, w, b, s: _normal(x, b, w * w + s)
    ),
    "z is multiplied by w, so its variance is multiplied by w²": (
        lambda x, w, b, s: _normal(x, b, abs(w) + s * s)
    ),
    "standard deviations do not add, variances do: w² + σ², not (w + σ)²": (
        lambda x, w, b, s: _normal(x, b, (abs(w) + s) ** 2)
    ),
    "w² + σ² is the variance, and you used it as the standard deviation": (
        lambda x, w, b, s: _normal(x, b, (w * w + s * s) ** 2)
    ),
    "the mean is b: E[wz + b] with E[z] = 0": (lambda x, w, b, s: _normal(x, 0.0, w * w + s * s)),
    "the mean is b: z is integrated out, and E[z] = 0": (
        lambda x, w, b, s: _normal(x, b + w, w * w + s * s)
    ),
    "the normalization −½ log 2π is missing": (
        lambda x, w, b, s: _normal(x, b, w * w + s * s) + 0.5 * math.log(2 * math.pi)
    ),
    "the whole normalization −½ log 2π(w² + σ²) is missing": (
        lambda x, w, b, s: -0.5 * (x - b) ** 2 / (w * w + s * s)
    ),
    "the ½ in the exponent is missing": (
        lambda x, w, b, s: _normal(x, b, w * w + s * s) - 0.5 * (x - b) ** 2 / (w * w + s * s)
    ),
    "that is the density: take its logarithm": (
        lambda x, w, b, s: math.exp(_normal(x, b, w * w + s * s))
    ),
}


@exercise("4.1")
def marginal_in_one_dimension(
    answer: Callable[[float, float, float, float], Tensor | float],
) -> str:
    """z ~ N(0, 1), x|z ~ N(wz + b, σ²): compare with numerical integration."""
    got = [float(answer(*point)) for point in _POINTS]
    wanted = [_marginal_by_integration(*point) for point in _POINTS]
    if _close(got, wanted):
        return "it agrees with numerical integration of (4.2)."
    for hint, wrong in _WRONG_MARGINALS.items():
        if _close(got, [wrong(*point) for point in _POINTS]):
            raise WrongAnswerError(hint)
    raise WrongAnswerError(
        "not log p(x): x = wz + b + σε is a sum of independent Gaussians; find its mean and its "
        "variance"
    )


def _close(a: list[float], b: list[float]) -> bool:
    return all(abs(one - other) < 1e-4 for one, other in zip(a, b, strict=True))


def _marginal_by_integration(x: float, w: float, b: float, sigma: float) -> float:
    z = torch.linspace(-12, 12, 48001, dtype=torch.float64)
    zeros = torch.zeros_like(z)
    joint = Normal(w * z + b, sigma).log_prob(zeros + x) + Normal(zeros, 1.0).log_prob(z)
    return float(torch.trapezoid(joint.exp(), z).log())


MonteCarlo = Callable[[LinearGaussian, Tensor, int, torch.Generator], Tensor]


@exercise("4.2")
def naive_monte_carlo(answer: MonteCarlo) -> str:
    """log (1/k) Σ p(x|z_i), z_i ~ p(z): statistics on a model with a known p(x)."""
    generator = torch.Generator().manual_seed(4)
    model = random_linear_gaussian(3, 1, 1.0, generator)
    torch.manual_seed(4)
    x = model.marginal().sample((150,))
    k = 4000
    got = answer(model, x, k, generator)
    _check_shape(got, len(x), k)
    wanted = model.marginal().log_prob(x)
    if not bool(torch.isfinite(got).all()):
        raise WrongAnswerError("some of the estimates are not finite")
    if _rms(got - wanted) > 0.15:
        raise WrongAnswerError(_hint_4_2(got, model, x, k))
    many_pixels = LinearGaussian(torch.full((1500, 1), 0.02), torch.zeros(1500), 1.0)
    image = torch.randn(4, 1500, generator=generator)
    far = answer(many_pixels, image, 200, generator)
    if not torch.allclose(far, many_pixels.marginal().log_prob(image), atol=1.0):
        raise WrongAnswerError(
            "right for three observed numbers, but with 1500 of them p(x|z) underflows to 0: stay "
            "in logarithms, torch.logsumexp"
        )
    return "right on average, and stable where p(x|z) is far below the smallest float."


def _check_shape(got: object, batch: int, k: int) -> None:
    if not isinstance(got, Tensor):
        raise WrongAnswerError(f"return a tensor (batch,), not a {type(got).__name__}")
    if got.shape == (batch,):
        return
    wrong = f"{batch} observations gave shape {tuple(got.shape)}, not ({batch},): "
    if got.numel() == 1:
        raise WrongAnswerError(
            wrong + "that is one number for the whole batch; every observation has its own log p(x)"
        )
    if got.shape == (k,):
        raise WrongAnswerError(wrong + "average over the codes, not over the batch")
    raise WrongAnswerError(wrong + "average over the codes, and over nothing else")


def _rms(error: Tensor) -> float:
    return float(error.square().mean().sqrt())


def _hint_4_2(got: Tensor, model: LinearGaussian, x: Tensor, k: int) -> str:
    """Recognize a mistake by what it estimates."""
    z = torch.linspace(-8, 8, 4001, dtype=torch.float64)[:, None]
    log_px = model.decode(z[:, None]).log_prob(x)  # (codes, batch)
    log_pz = model.prior().log_prob(z)[:, None]
    log_qz = model.encode(x).log_prob(z[:, None])
    exact = model.marginal().log_prob(x)
    step = math.log(16 / 4000)
    known = {
        "that is the mean of the logs; the logarithm comes after the mean": (
            (log_pz.exp() * log_px).sum(0) * 16 / 4000
        ),
        "off by log k: it is the mean of the likelihoods, not their sum": exact + math.log(k),
        "p(z) is in twice: the codes are drawn from it already, the weight is p(x|z) alone": (
            torch.logsumexp(log_px + 2 * log_pz, 0) + step
        ),
        "the codes come from the encoder or the posterior: draw them from model.prior()": (
            torch.logsumexp(log_px + log_qz, 0) + step
        ),
        "that is p(x): take its logarithm": exact.exp(),
        "the sign: that is −log p(x)": -exact,
    }
    for hint, values in known.items():
        if _rms(got - values) < 0.2:
            return hint
    error = float((got - exact).mean())
    return (
        f"off by {error:.2f} nats on average: draw k codes from the prior, take log p(x|z) of "
        "each, and the log of the mean of the exponentials"
    )


@exercise("4.3")
def posterior_density(answer: Callable[[Tensor, float], Tensor]) -> str:
    """p(z_j|x) as a density on a grid: Σ_j p(z_j|x) Δ = 1 for every image, without underflow."""
    generator = torch.Generator().manual_seed(5)
    log_joint = 2 * torch.randn(4, 50, generator=generator, dtype=torch.float64)
    volume = 0.2
    masses = log_joint.softmax(-1)
    got = answer(log_joint, volume)
    if not isinstance(got, Tensor) or got.shape != log_joint.shape:
        shape = tuple(got.shape) if isinstance(got, Tensor) else type(got).__name__
        raise WrongAnswerError(
            f"a log joint (4, 50) gave {shape}; the density at every cell is (4, 50) again"
        )
    known = {
        "these are the cells' probabilities, which sum to 1; a density is probability per volume: "
        "divide by the cell's volume": masses,
        "multiplied by the cell's volume where it has to be divided": masses * volume,
        "normalized over the batch: every image has its own posterior, the sum is over cells": (
            log_joint.softmax(0) / volume
        ),
        "normalized over the batch, and not divided by the cell's volume: sum over the cells of "
        "each image": log_joint.softmax(0),
        "normalized over batch and cells together: every image has its own posterior": (
            log_joint.flatten().softmax(0).view(4, 50) / volume
        ),
        "that is the joint p(x, z), not yet divided by p(x)": log_joint.exp(),
        "that is the log-density: exponentiate": masses.log() - math.log(volume),
        "scaled to a maximum of 1; it has to integrate to 1": (
            (log_joint - log_joint.amax(-1, keepdim=True)).exp()
        ),
    }
    if not torch.allclose(got, masses / volume, rtol=1e-6):
        for hint, values in known.items():
            if torch.allclose(got, values, rtol=1e-6):
                raise WrongAnswerError(hint)
        raise WrongAnswerError(
            f"the first image's density integrates to {float(got[0].sum() * volume):.3g}, and "
            "has to be proportional to exp(log_joint) and integrate to 1"
        )
    if not torch.allclose(answer(log_joint - 1000, volume), masses / volume, rtol=1e-6):
        raise WrongAnswerError(
            "right for small numbers, but a log joint of −1000 underflows to 0/0: subtract "
            "logsumexp, or the largest, before you exponentiate"
        )
    return "a density on each row, and stable at a log joint of −1000."


@exercise("4.4")
def codes_for_ten_percent(answer: Mapping[int, float]) -> str:
    """Codes from the prior for a relative standard error of 10 % at x = 0, W = 2I, σ = 1.

    E[w²] / p(x)² = 5^d / 3^d: with w = N(0; 2z, I), E[w²] = (6π)^−d and p(0) = (10π)^−d/2.
    """
    dims = (1, 2, 4, 8)
    if not isinstance(answer, Mapping) or set(answer) != set(dims):
        raise WrongAnswerError("hand in a dictionary with the keys 1, 2, 4 and 8")
    values = [answer[d] for d in dims]
    if not all(isinstance(v, (int, float)) and math.isfinite(v) and v > 0 for v in values):
        raise WrongAnswerError("every value is a positive number of codes: call .item()")
    second = [(5 / 3) ** d for d in dims]
    evidence = [(10 * math.pi) ** (-d / 2) for d in dims]
    wanted = [100 * (s - 1) for s in second]
    if _within(values, wanted):
        return "the number grows by about the same factor, 5/3, with every latent."
    known = {
        "that is the variance of w itself: the error asked for is relative, divide by p(x)²": [
            w * p**2 for w, p in zip(wanted, evidence, strict=True)
        ],
        "divided by p(x) once: a relative variance is divided by its square": [
            w * p for w, p in zip(wanted, evidence, strict=True)
        ],
        "that is the square root: k = relative variance / 0.1²": [math.sqrt(w) for w in wanted],
        "divided by 0.1 where it is 0.1²: the variance of a mean falls as 1/k": [
            0.1 * w for w in wanted
        ],
        "that is the relative variance of one weight: divide by 0.1²": [0.01 * w for w in wanted],
        "E[w²]/p(x)² is one more than the relative variance": [100 * s for s in second],
        "that is the variance of the log-weights, which grows in proportion to d; the variance "
        "that counts is that of the weights": [800.0 * d for d in dims],
    }
    for hint, wrong in known.items():
        if _within(values, wrong):
            raise WrongAnswerError(hint)
    d, got, right = next(
        t for t in zip(dims, values, wanted, strict=True) if not _within([t[1]], [t[2]])
    )
    raise WrongAnswerError(
        f"at d = {d} it takes about {right:.2g} codes, not {got:.2g}: k = Var[w] / p(x)² / 0.1² at "
        "x = 0, with W = 2I and σ = 1; take 100,000 codes or more to estimate the variance"
    )


def _within(values: list[float], wanted: list[float]) -> bool:
    """Whether each is within a factor of 1.5: what a fair experiment reaches."""
    return all(abs(math.log(v / w)) < math.log(1.5) for v, w in zip(values, wanted, strict=True))
