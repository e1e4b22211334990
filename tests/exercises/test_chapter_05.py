"""The checks of chapter 5 turn down the usual mistakes, with a hint that names them."""

import math

import pytest
import torch

from vae_course.exercises import check
from vae_course.objectives import iwae_bound


def elbo_1d(x, m, s, *, constant=True, half=0.5, spread=True, square=True, minus_one=True, sign=1):
    variance = s**2 if square else s
    reconstruction = -half * ((x - m) ** 2 + (variance if spread else 0))
    reconstruction -= 0.5 * math.log(2 * math.pi) if constant else 0
    kl = half * (m**2 + variance - math.log(variance) - (1 if minus_one else 0))
    return reconstruction - sign * kl


@pytest.mark.parametrize(
    ("mistake", "hint"),
    [
        ({"constant": False}, "2π"),
        ({"minus_one": False}, "constant"),
        ({"half": 1.0}, "½"),
        ({"spread": False}, "s²"),
        ({"square": False}, "standard deviation"),
        ({"sign": -1}, "subtracted"),
        ({"sign": 0}, "missing"),
    ],
)
def test_5_1_turns_down(mistake, hint):
    verdict = check("5.1", lambda x, m, s: elbo_1d(x, m, s, **mistake))
    assert verdict.state == "wrong"
    assert hint in verdict.message


def test_5_1_accepts():
    assert check("5.1", elbo_1d).state == "right"


WRONG_BOUNDS = {
    "one number an image": lambda w: iwae_bound(w).mean(),
    "reduce the last": lambda w: torch.logsumexp(w, 0) - math.log(len(w)),
    "not their sum": lambda w: torch.logsumexp(w, -1),
    "mean of the logs": lambda w: w.mean(-1),
    "log mean w": lambda w: (w.softmax(-1) * w).sum(-1),
    "underflow": lambda w: w.exp().mean(-1).log(),
    "not log": lambda w: -iwae_bound(w),
}


@pytest.mark.parametrize("hint", WRONG_BOUNDS)
def test_5_2_turns_down(hint):
    verdict = check("5.2", WRONG_BOUNDS[hint])
    assert verdict.state == "wrong"
    assert hint in verdict.message


def test_5_2_accepts():
    assert check("5.2", iwae_bound).state == "right"


def prior_gap(model, x, k, generator, *, samples=None, inside=True, sign=1):
    z = model.prior().sample((samples or k, len(x)), generator)
    log_w = model.decode(z).log_prob(x).T
    bound = iwae_bound(log_w) if inside else log_w.mean(-1)
    return sign * (model.marginal().log_prob(x) - bound).mean().item()


@pytest.mark.parametrize(
    ("mistake", "hint"),
    [
        ({"inside": False}, "not mean log"),
        ({"sign": -1}, "sign"),
        ({"samples": 1}, "draw k codes"),
    ],
)
def test_5_3_turns_down(mistake, hint):
    verdict = check("5.3", lambda *args: prior_gap(*args, **mistake))
    assert verdict.state == "wrong"
    assert hint in verdict.message


def test_5_3_turns_down_a_tensor_over_the_batch():
    verdict = check("5.3", lambda model, x, k, generator: torch.zeros(len(x)))
    assert verdict.state == "wrong"
    assert "float" in verdict.message


def test_5_3_accepts():
    assert check("5.3", prior_gap).state == "right"


@pytest.mark.parametrize("number", ["5.1", "5.2", "5.3"])
def test_a_blank_is_open(number):
    assert check(number, lambda *args: ...).state == "open"
