"""The checks of chapter 10 turn down the usual mistakes, with a hint that names them."""

import math

import pytest
import torch

from vae_course.distributions import DiagonalGaussian
from vae_course.exercises import check
from vae_course.priors import log_aggregate


def pairs(z, mean, log_var):
    return torch.distributions.Normal(mean, (0.5 * log_var).exp()).log_prob(z[:, None])


def right_density(z, mean, log_var):
    return log_aggregate(z, DiagonalGaussian(mean, log_var))


WRONG_DENSITIES = {
    "off by log N": lambda z, m, v: torch.logsumexp(pairs(z, m, v).sum(-1), 1),
    "mean of the logs": lambda z, m, v: pairs(z, m, v).sum(-1).mean(1),
    "log of the standard deviation": lambda z, m, v: right_density(z, m, 2 * v),
    "sum over latents first": lambda z, m, v: (
        torch.logsumexp(pairs(z, m, v), 1) - math.log(len(m))
    ).sum(-1),
    "nearest posterior": lambda z, m, v: pairs(z, m, v).sum(-1).amax(1),
    "one number a code": lambda z, m, v: right_density(z, m, v).mean(),
    "every code": lambda z, m, v: DiagonalGaussian(m, v).log_prob(z[: len(m)]),
    "logsumexp": lambda z, m, v: pairs(z, m, v).sum(-1).exp().mean(1).log(),
    "sign": lambda z, m, v: -right_density(z, m, v),
    "mean of the means": lambda z, m, v: DiagonalGaussian(
        m.mean(0), v.exp().mean(0).log()
    ).log_prob(z),
    "½ log 2π": lambda z, m, v: right_density(z, m, v) + math.log(2 * math.pi),
    "list": lambda z, m, v: right_density(z, m, v).tolist(),
}


@pytest.mark.parametrize("hint", WRONG_DENSITIES)
def test_10_1_turns_down(hint):
    verdict = check("10.1", WRONG_DENSITIES[hint])
    assert verdict.state == "wrong"
    assert hint in verdict.message


def test_10_1_accepts():
    assert check("10.1", right_density).state == "right"


def mmd2(aa, bb, ab, *, keep=False, square=True, cross=2.0, squares_below=False, means=True):
    def within(k):
        n = len(k)
        total = k.sum() if keep else k.sum() - k.trace()
        return total / ((n * n if keep or squares_below else n * (n - 1)) if means else 1)

    value = within(aa) + within(bb) - cross * (ab.mean() if means else ab.sum())
    return value if square else value.clamp(min=0).sqrt()


@pytest.mark.parametrize(
    ("mistake", "hint"),
    [
        ({"keep": True}, "diagonal is still in"),
        ({"square": False}, "no root"),
        ({"squares_below": True}, "n (n − 1)"),
        ({"cross": 1.0}, "count twice"),
        ({"cross": -2.0}, "sign"),
        ({"means": False}, "sums, not means"),
    ],
)
def test_10_2_turns_down(mistake, hint):
    verdict = check("10.2", lambda *kernels: mmd2(*kernels, **mistake))
    assert verdict.state == "wrong"
    assert hint in verdict.message


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (lambda aa, bb, ab: -mmd2(aa, bb, ab), "turned round"),
        (lambda aa, bb, ab: ab, "one number"),
        (lambda aa, bb, ab: 0.123, "twice the mean"),
    ],
)
def test_10_2_turns_down_other_things(answer, hint):
    verdict = check("10.2", answer)
    assert verdict.state == "wrong"
    assert hint in verdict.message


@pytest.mark.parametrize("kind", [float, torch.Tensor.double, lambda t: t])
def test_10_2_accepts(kind):
    assert check("10.2", lambda *kernels: kind(mmd2(*kernels))).state == "right"


def surgery(a, s, *, half=0.5):
    v = a**2 + s**2
    return half * math.log(v / s**2), half * (v - 1 - math.log(v))


def with_variance(a, s, v, noise):
    return 0.5 * math.log(v / noise), 0.5 * (v - 1 - math.log(v))


WRONG_SURGERIES = {
    "interchanged": lambda a, s: surgery(a, s)[::-1],
    "½ is missing": lambda a, s: surgery(a, s, half=1.0),
    "its variance is s²": lambda a, s: with_variance(a, s, a**2 + s, s),
    "a², not a": lambda a, s: with_variance(a, s, a + s**2, s**2),
    "KL(p ‖ q(z))": lambda a, s: (
        surgery(a, s)[0],
        0.5 * (1 / (a**2 + s**2) - 1 + math.log(a**2 + s**2)),
    ),
    "whole average KL": lambda a, s: (surgery(a, s)[0], sum(surgery(a, s))),
    "entropy of q(z) minus": lambda a, s: (0.5 * math.log(a**2 + s**2), surgery(a, s)[1]),
    "division is not": lambda a, s: (sum(surgery(a, s)), 0.0),
    "mutual information is right": lambda a, s: (surgery(a, s)[0], 0.0),
    "marginal KL is right": lambda a, s: (0.0, surgery(a, s)[1]),
    "which variance": lambda a, s: (0.1, 0.2),
    "two numbers": lambda a, s: sum(surgery(a, s)),
}


@pytest.mark.parametrize("hint", WRONG_SURGERIES)
def test_10_3_turns_down(hint):
    verdict = check("10.3", WRONG_SURGERIES[hint])
    assert verdict.state == "wrong"
    assert hint in verdict.message


@pytest.mark.parametrize("kind", [tuple, list, torch.tensor])
def test_10_3_accepts(kind):
    assert check("10.3", lambda a, s: kind(surgery(a, s))).state == "right"


def row(tau, **changes):
    return {"code_rms": tau, "confidence": 0.6, "distance": 4 * tau, **changes}


RIGHT = {tau: row(tau) for tau in (0.3, 0.6, 1.0)}


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        ({tau: row(tau, code_rms=tau**0.5) for tau in RIGHT}, "standard deviation"),
        ({tau: row(tau, code_rms=1.0) for tau in RIGHT}, "z = τ ε"),
        ({tau: row(tau, confidence=64.0) for tau in RIGHT}, "between 0 and 1"),
        ({tau: row(tau, distance=5 - tau) for tau in RIGHT}, "no more alike"),
        ({tau: row(tau, distance=0.0) for tau in RIGHT}, "positive"),
        ({tau: row(tau) for tau in (0.8, 0.9, 1.0)}, "0.6 or less"),
        ({tau: row(tau) for tau in (0.3, 1.0)}, "three"),
        (dict.fromkeys(RIGHT, 0.5), "dictionary"),
        ({tau: {"confidence": 0.5} for tau in RIGHT}, "code_rms"),
        ([0.3, 0.6, 1.0], "dictionary"),
    ],
)
def test_10_4_turns_down(answer, hint):
    verdict = check("10.4", answer)
    assert verdict.state == "wrong"
    assert hint in verdict.message


def test_10_4_accepts():
    assert check("10.4", RIGHT).state == "right"


@pytest.mark.parametrize("number", ["10.1", "10.2", "10.3", "10.4"])
def test_a_blank_is_open(number):
    assert check(number, ...).state == "open"
    assert check(number, lambda *args: ...).state == "open" or number == "10.4"
