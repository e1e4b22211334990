"""Checks of the exercises of chapter 5, the ELBO."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Normal

from vae_course.exercises.answers import WrongAnswerError, exercise
from vae_course.models import LinearGaussian, random_linear_gaussian
from vae_course.objectives import gaussian_kl, iwae_bound


@exercise("5.1")
def elbo_in_one_dimension(answer: Callable[[float, float, float], Tensor | float]) -> str:
    """z ~ N(0, 1), x|z ~ N(z, 1), q = N(m, s²): compare with numerical integration."""
    best = float(answer(1.0, 0.5, math.sqrt(0.5)))
    exact = float(Normal(0.0, math.sqrt(2)).log_prob(torch.tensor(1.0)))
    for x, m, s in ((0.3, -0.4, 0.6), (2.0, 1.0, 1.7), (-1.0, 0.0, 1.0)):
        got, wanted = float(answer(x, m, s)), _elbo_by_integration(x, m, s)
        if abs(got - wanted) > 1e-4:
            raise WrongAnswerError(_hint_5_1(answer, got - wanted))
    if abs(best - exact) > 1e-4:
        raise WrongAnswerError("at m = x/2 and s² = 1/2 the ELBO has to equal log N(x; 0, 2)")
    return "it agrees with numerical integration, and is exact at m = x/2, s² = 1/2."


def _elbo_by_integration(x: float, m: float, s: float) -> float:
    q = Normal(torch.tensor(m, dtype=torch.float64), torch.tensor(s, dtype=torch.float64))
    z = torch.linspace(m - 12 * s, m + 12 * s, 20001, dtype=torch.float64)
    joint = Normal(z, 1.0).log_prob(torch.tensor(x, dtype=torch.float64)) + Normal(
        torch.zeros_like(z), 1.0
    ).log_prob(z)
    return float(torch.trapezoid(q.log_prob(z).exp() * (joint - q.log_prob(z)), z))


def _hint_5_1(answer: Callable[[float, float, float], Tensor | float], error: float) -> str:
    """Recognize a mistake by how far off the answer is at several points."""
    points = torch.tensor([(0.3, -0.4, 0.6), (2.0, 1.0, 1.7), (-1.0, 0.3, 1.0)])
    off = torch.tensor([float(answer(*p)) - _elbo_by_integration(*p) for p in points.tolist()])
    _, m, s = points.T
    kl = gaussian_kl(m, 2 * torch.log(s))
    known = {
        "E_q[(x − z)²] is (x − m)² + s²: the spread of q, s², is missing": 0.5 * s**2,
        "too large by the KL: it is missing": kl,
        "too large by twice the KL: it is subtracted, not added": 2 * kl,
    }
    for hint, offset in known.items():
        if torch.allclose(off, offset, atol=1e-3):
            return hint
    if off.max() - off.min() < 1e-3:
        return (
            f"off by the constant {error:.3f}: look for a forgotten −½ log 2π in log p(x|z), or "
            "the −1 in the KL"
        )
    if abs(off[2]) < 1e-3:
        return "right only at s = 1: s is the standard deviation, so the terms are s² and ½ log s²"
    return "not the ELBO: E_q[log p(x|z)] = −½ log 2π − ½((x − m)² + s²), minus the KL; mind the ½"


@exercise("5.2")
def importance_weighted_bound(answer: Callable[[Tensor], Tensor]) -> str:
    """log (1/k) Σ w, for every image, without underflow."""
    generator = torch.Generator().manual_seed(1)
    log_w = torch.randn(5, 7, generator=generator)
    got, wanted = answer(log_w), iwae_bound(log_w)
    if not isinstance(got, Tensor) or got.shape != wanted.shape:
        shape = tuple(got.shape) if isinstance(got, Tensor) else type(got).__name__
        raise WrongAnswerError(
            f"log-weights (5, 7) gave {shape}; one number an image is (5,): reduce the last "
            "dimension only"
        )
    difference = got - wanted
    if torch.allclose(difference, torch.full_like(difference, math.log(7)), atol=1e-4):
        raise WrongAnswerError("off by log k: it is the mean of the weights, not their sum")
    if torch.allclose(got, log_w.mean(-1), atol=1e-4):
        raise WrongAnswerError(
            "that is the mean of the logs, the ELBO; the logarithm comes after the mean"
        )
    if torch.allclose(got, (log_w.softmax(-1) * log_w).sum(-1), atol=1e-4):
        raise WrongAnswerError(
            "that is Σ w̃ log w, which has IWAE's gradient but not its value; L_k is log mean w"
        )
    if not torch.allclose(difference, torch.zeros_like(difference), atol=1e-4):
        raise WrongAnswerError("not log (1/k) Σ exp(log w) for each image")
    if not torch.allclose(answer(log_w - 1000), wanted - 1000, atol=1e-2):
        raise WrongAnswerError(
            "right for small numbers, but log-weights of −1000 underflow: take the largest out "
            "before you exponentiate"
        )
    return "right, and stable at log-weights of −1000."


@exercise("5.3")
def gap_with_the_prior(
    answer: Callable[[LinearGaussian, Tensor, int, torch.Generator], float],
) -> str:
    """log p(x) − L_k with z ~ p(z), averaged over the data."""
    generator = torch.Generator().manual_seed(2)
    model = random_linear_gaussian(6, 2, 1.0, generator)
    x = model.marginal().sample((400,))
    for k in (1, 20):
        got = answer(model, x, k, generator)
        if not isinstance(got, (int, float)):
            raise WrongAnswerError("return a float: average over the data and call .item()")
        wanted, error = _prior_gap(model, x, k, generator)
        if abs(got + wanted) < 4 * error:
            raise WrongAnswerError("the sign is turned round: the gap is log p(x) minus the bound")
        if abs(got - wanted) > 4 * error:
            raise WrongAnswerError(
                f"at k = {k} the gap is {wanted:.2f} nats, not {got:.2f}: draw k codes an "
                "observation from the prior, and take log mean p(x|z) over them, not mean log"
            )
    return "right: a sample from the prior is worth far less than one from a good q."


def _prior_gap(
    model: LinearGaussian, x: Tensor, k: int, generator: torch.Generator
) -> tuple[float, float]:
    """Mean of several estimates, and the standard deviation of one."""
    gaps = []
    for _ in range(30):
        z = model.prior().sample((k, len(x)), generator)
        gaps.append(
            (model.marginal().log_prob(x) - iwae_bound(model.decode(z).log_prob(x).T)).mean()
        )
    values = torch.stack(gaps)
    return float(values.mean()), float(values.std())
