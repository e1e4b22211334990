"""The checks of chapter 4 turn down the usual mistakes, with a hint that names them."""

import math

import pytest
import torch
from torch.distributions import Normal

from vae_course.exercises import check
from vae_course.objectives import iwae_bound


def normal(x, mean, variance):
    scale = torch.tensor(float(variance)).double().sqrt()
    return Normal(torch.tensor(mean).double(), scale).log_prob(torch.tensor(x).double())


WRONG_MARGINALS = {
    "noise": lambda x, w, b, s: normal(x, b, w**2),
    "that z brings": lambda x, w, b, s: normal(x, b, s**2),
    "its square, σ²": lambda x, w, b, s: normal(x, b, w**2 + s),
    "multiplied by w²": lambda x, w, b, s: normal(x, b, abs(w) + s**2),
    "do not add": lambda x, w, b, s: normal(x, b, (abs(w) + s) ** 2),
    "as the standard deviation": lambda x, w, b, s: normal(x, b, (w**2 + s**2) ** 2),
    "the mean is b": lambda x, w, b, s: normal(x, 0.0, w**2 + s**2),
    "integrated out": lambda x, w, b, s: normal(x, b + w, w**2 + s**2),
    "−½ log 2π is": lambda x, w, b, s: normal(x, b, w**2 + s**2) + 0.5 * math.log(2 * math.pi),
    "whole normalization": lambda x, w, b, s: -0.5 * (x - b) ** 2 / (w**2 + s**2),
    "½ in the exponent": lambda x, w, b, s: (
        -0.5 * math.log(2 * math.pi * (w**2 + s**2)) - (x - b) ** 2 / (w**2 + s**2)
    ),
    "logarithm": lambda x, w, b, s: normal(x, b, w**2 + s**2).exp(),
    "not log p(x)": lambda x, w, b, s: 0.0,
}


@pytest.mark.parametrize("hint", WRONG_MARGINALS)
def test_4_1_turns_down(hint):
    verdict = check("4.1", WRONG_MARGINALS[hint])
    assert verdict.state == "wrong"
    assert hint in verdict.message


@pytest.mark.parametrize("kind", [float, torch.as_tensor])
def test_4_1_accepts(kind):
    def answer(x, w, b, s):
        return kind(normal(x, b, w**2 + s**2))

    assert check("4.1", answer).state == "right"


def monte_carlo(
    model, x, k, generator, *, codes=None, joint=False, reduce=iwae_bound, prior=True, sign=1
):
    source = model.prior().expand((len(x),)) if prior else model.encode(x)
    z = source.sample((codes or k,), generator)
    log_w = model.decode(z).log_prob(x) + (model.prior().log_prob(z) if joint else 0)
    return sign * reduce(log_w.T)


@pytest.mark.parametrize(
    ("mistake", "hint"),
    [
        ({"reduce": lambda w: w.mean(-1)}, "mean of the logs"),
        ({"reduce": lambda w: torch.logsumexp(w, -1)}, "not their sum"),
        ({"joint": True}, "twice"),
        ({"prior": False}, "model.prior()"),
        ({"reduce": lambda w: w.exp().mean(-1)}, "take its logarithm"),
        ({"sign": -1}, "sign"),
        ({"codes": 1}, "draw k codes"),
        ({"reduce": lambda w: w.exp().mean(-1).log()}, "underflows"),
        ({"reduce": lambda w: iwae_bound(w).mean()}, "whole batch"),
        ({"reduce": lambda w: iwae_bound(w).sum()}, "whole batch"),
        ({"reduce": lambda w: iwae_bound(w.T)}, "not over the batch"),
        ({"reduce": lambda w: w}, "over nothing else"),
        ({"reduce": lambda w: iwae_bound(w).tolist()}, "list"),
        ({"reduce": lambda w: iwae_bound(w) * math.nan}, "not finite"),
    ],
)
def test_4_2_turns_down(mistake, hint):
    verdict = check("4.2", lambda *args: monte_carlo(*args, **mistake))
    assert verdict.state == "wrong"
    assert hint in verdict.message


def test_4_2_accepts():
    assert check("4.2", monte_carlo).state == "right"


def test_4_2_accepts_one_set_of_codes_for_all_observations():
    def answer(model, x, k, generator):
        z = model.prior().sample((k, 1), generator)
        return iwae_bound(model.decode(z).log_prob(x).T)

    assert check("4.2", answer).state == "right"


WRONG_DENSITIES = {
    "divide by the cell's volume": lambda j, v: j.softmax(-1),
    "has to be divided": lambda j, v: j.softmax(-1) * v,
    "normalized over the batch: every": lambda j, v: j.softmax(0) / v,
    "normalized over the batch, and": lambda j, v: j.softmax(0),
    "batch and cells together": lambda j, v: j.flatten().softmax(0).view_as(j) / v,
    "joint p(x, z)": lambda j, v: j.exp(),
    "exponentiate": lambda j, v: j.log_softmax(-1) - math.log(v),
    "maximum of 1": lambda j, v: (j - j.amax(-1, keepdim=True)).exp(),
    "underflows": lambda j, v: j.exp() / (j.exp().sum(-1, keepdim=True) * v),
    "(4, 50) again": lambda j, v: torch.logsumexp(j, -1) + math.log(v),
    "list": lambda j, v: (j.softmax(-1) / v).tolist(),
    "integrates to": lambda j, v: j.softmax(-1) / v**2,
}


@pytest.mark.parametrize("hint", WRONG_DENSITIES)
def test_4_3_turns_down(hint):
    verdict = check("4.3", WRONG_DENSITIES[hint])
    assert verdict.state == "wrong"
    assert hint in verdict.message


def test_4_3_accepts():
    assert check("4.3", lambda j, v: j.softmax(-1) / v).state == "right"


RIGHT = {d: 100 * ((5 / 3) ** d - 1) for d in (1, 2, 4, 8)}


def px(d):
    return (10 * math.pi) ** (-d / 2)


WRONG_COUNTS = {
    "variance of w itself": {d: k * px(d) ** 2 for d, k in RIGHT.items()},
    "once": {d: k * px(d) for d, k in RIGHT.items()},
    "square root": {d: math.sqrt(k) for d, k in RIGHT.items()},
    "where it is 0.1²": {d: k / 10 for d, k in RIGHT.items()},
    "of one weight": {d: k / 100 for d, k in RIGHT.items()},
    "one more": {d: k + 100 for d, k in RIGHT.items()},
    "log-weights": {d: 800 * d for d in RIGHT},
    "keys": {1: 67, 2: 178},
    "dictionary": [67, 178, 672, 5854],
    ".item()": {d: torch.tensor(k) for d, k in RIGHT.items()},
    "positive": {d: -k for d, k in RIGHT.items()},
    "at d = 8": RIGHT | {8: 300},
}


@pytest.mark.parametrize("hint", WRONG_COUNTS)
def test_4_4_turns_down(hint):
    verdict = check("4.4", WRONG_COUNTS[hint])
    assert verdict.state == "wrong"
    assert hint in verdict.message


@pytest.mark.parametrize("factor", [0.75, 1.0, 1.4])
def test_4_4_accepts(factor):
    assert check("4.4", {d: factor * k for d, k in RIGHT.items()}).state == "right"


@pytest.mark.parametrize("number", ["4.1", "4.2", "4.3"])
def test_a_blank_function_is_open(number):
    assert check(number, lambda *args: ...).state == "open"


def test_a_blank_value_is_open():
    assert check("4.4", ...).state == "open"
