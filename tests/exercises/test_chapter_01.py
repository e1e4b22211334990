"""The checks of chapter 1 turn down the usual mistakes, with a hint that names them."""

import math

import pytest
import torch

from vae_course.exercises import check


def given_first(mean, covariance, x1):
    slope = covariance[1, 0] / covariance[0, 0]
    return mean[1] + slope * (x1 - mean[0]), covariance[1, 1] - slope * covariance[1, 0]


def wrong_mean(slope, start=1, center=True):
    def answer(m, c, x1):
        found = m[start] + slope(c) * (x1 - m[0] if center else x1)
        return found, given_first(m, c, x1)[1]

    return answer


def right_slope(c):
    return c[1, 0] / c[0, 0]


def wrong_variance(variance):
    return lambda m, c, x1: (given_first(m, c, x1)[0], variance(c, given_first(m, c, x1)[1]))


WRONG_CONDITIONALS = [
    ("moves with x₁", wrong_mean(lambda c: 0.0)),
    ("x₁ − μ₁", wrong_mean(right_slope, center=False)),
    ("not by C₂₂", wrong_mean(lambda c: c[1, 0] / c[1, 1])),
    ("correlation", wrong_mean(lambda c: c[1, 0] / (c[0, 0] * c[1, 1]).sqrt())),
    ("still has to be divided", wrong_mean(lambda c: c[1, 0])),
    ("standard deviation of x₁", wrong_mean(lambda c: c[1, 0] / c[0, 0].sqrt())),
    ("sign", wrong_mean(lambda c: -right_slope(c))),
    ("start from μ₂", wrong_mean(right_slope, start=0)),
    ("derivative", wrong_mean(lambda c: 5.0)),
    ("standard deviation", wrong_variance(lambda c, v: v.sqrt())),
    ("without knowing", wrong_variance(lambda c, v: c[1, 1])),
    ("precision", wrong_variance(lambda c, v: 1 / v)),
    ("square is missing", wrong_variance(lambda c, v: c[1, 1] - right_slope(c))),
    ("lowers the variance", wrong_variance(lambda c, v: 2 * c[1, 1] - v)),
    ("exchange the roles", wrong_variance(lambda c, v: c[0, 0] - c[1, 0] ** 2 / c[1, 1])),
    ("divided by C₁₁", wrong_variance(lambda c, v: c[1, 1] - c[1, 0] ** 2)),
    ("½", wrong_variance(lambda c, v: v / 2)),
    ("curvature", wrong_variance(lambda c, v: v + 3)),
    ("two numbers", lambda m, c, x1: given_first(m, c, x1)[0]),
    ("one number", lambda m, c, x1: (m, c)),
    ("one number", lambda m, c, x1: ("a", "b")),
]


@pytest.mark.parametrize(("hint", "answer"), WRONG_CONDITIONALS)
def test_1_1_turns_down(hint, answer):
    verdict = check("1.1", answer)
    assert verdict.state == "wrong"
    assert hint in verdict.message


@pytest.mark.parametrize(
    "shape",
    [
        tuple,
        list,
        torch.stack,
        lambda pair: [float(v) for v in pair],
        lambda p: torch.stack(p)[None],
    ],
)
def test_1_1_accepts(shape):
    assert check("1.1", lambda *args: shape(given_first(*args))).state == "right"


def kde(train, test, h):
    log_kernel = kernels(train, test, h)
    return (torch.logsumexp(log_kernel, 1) - math.log(len(train))).mean()


def kernels(train, test, h):
    constant = train.shape[1] * 0.5 * math.log(2 * math.pi * h**2)
    return -0.5 * torch.cdist(test, train).square() / h**2 - constant


def each(train, test, h):
    return torch.logsumexp(kernels(train, test, h), 1) - math.log(len(train))


def plain_kde(train, test, h):
    return torch.exp(kernels(train, test, h)).mean(1).log().mean()


def kernels_with(train, test, exponent, constant):
    log_kernel = exponent * torch.cdist(test, train).square() - constant
    return (torch.logsumexp(log_kernel, 1) - math.log(len(train))).mean()


WRONG_KDES = [
    ("evaluate on the test", lambda train, test, h: kde(train, train, h)),
    ("roles", lambda train, test, h: kde(test, train, h)),
    ("inside the logarithm", lambda *args: kernels(*args).mean()),
    ("logarithm comes first", lambda *args: each(*args).exp().mean().log()),
    ("take their mean", lambda *args: each(*args).sum()),
    ("averaged, not summed", lambda *args: torch.logsumexp(kernels(*args), 1).mean()),
    ("normalizer is missing", lambda a, b, h: kernels_with(a, b, -0.5 / h**2, 0)),
    (
        "of one dimension",
        lambda a, b, h: kernels_with(a, b, -0.5 / h**2, 0.5 * math.log(2 * math.pi * h**2)),
    ),
    (
        "h² and not h",
        lambda a, b, h: kernels_with(
            a, b, -0.5 / h**2, a.shape[1] * 0.5 * math.log(2 * math.pi * h)
        ),
    ),
    (
        "2π of every",
        lambda a, b, h: kernels_with(a, b, -0.5 / h**2, a.shape[1] * math.log(h)),
    ),
    ("standard deviation", lambda a, b, h: kde(a, b, math.sqrt(h))),
    (
        "½ in the exponent",
        lambda a, b, h: kernels_with(
            a, b, -1 / h**2, a.shape[1] * 0.5 * math.log(2 * math.pi * h**2)
        ),
    ),
    ("sign", lambda *args: -kde(*args)),
    ("bits", lambda *args: kde(*args) / math.log(2)),
    ("underflows", plain_kde),
    ("their mean is asked", each),
    ("one number", lambda *args: kernels(*args)),
    ("one number", lambda *args: "−2"),
    ("not the mean", lambda *args: kde(*args) + 0.7),
]


@pytest.mark.parametrize(("hint", "answer"), WRONG_KDES)
def test_1_2_turns_down(hint, answer):
    verdict = check("1.2", answer)
    assert verdict.state == "wrong"
    assert hint in verdict.message


@pytest.mark.parametrize("kind", [lambda value: value, float, lambda value: [float(value)]])
def test_1_2_accepts(kind):
    assert check("1.2", lambda *args: kind(kde(*args))).state == "right"


def cost(log_p, log_noise, share):
    return (log_p - mixed(log_p, log_noise, share)).mean()


def mixed(log_p, log_noise, share):
    return torch.logaddexp(math.log(1 - share) + log_p, math.log(share) + log_noise)


WRONG_COSTS = [
    ("sign", lambda *args: -cost(*args)),
    ("shares are exchanged", lambda p, n, s: cost(p, n, 1 - s)),
    ("not their logarithms", lambda p, n, s: (p - (1 - s) * p - s * n).mean()),
    ("integrates to two", lambda p, n, s: (p - torch.logaddexp(p, n)).mean()),
    ("noise alone", lambda p, n, s: (p - n).mean()),
    ("the bound", lambda p, n, s: -math.log(1 - s)),
    ("take the mean", lambda p, n, s: (p - mixed(p, n, s)).sum()),
    ("bits", lambda *args: cost(*args) / math.log(2)),
    ("subtract it", lambda *args: mixed(*args).mean()),
    ("underflow", lambda p, n, s: (p - torch.log((1 - s) * p.exp() + s * n.exp())).mean()),
    ("their mean", lambda p, n, s: p - mixed(p, n, s)),
    ("one number", lambda p, n, s: torch.zeros(2)),
    ("not the mean", lambda *args: cost(*args) + 1),
]


@pytest.mark.parametrize(("hint", "answer"), WRONG_COSTS)
def test_1_3_turns_down(hint, answer):
    verdict = check("1.3", answer)
    assert verdict.state == "wrong"
    assert hint in verdict.message


@pytest.mark.parametrize("kind", [lambda value: value, float])
def test_1_3_accepts(kind):
    assert check("1.3", lambda *args: kind(cost(*args))).state == "right"


@pytest.mark.parametrize("number", ["1.1", "1.2", "1.3"])
def test_a_blank_is_open(number):
    assert check(number, lambda *args: ...).state == "open"
