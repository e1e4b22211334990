"""The checks of chapter 6 turn down the usual mistakes, with a hint that names them."""

import math

import pytest
import torch

from vae_course.exercises import check
from vae_course.objectives import gaussian_kl


def kl(mean, log_var):
    return gaussian_kl(mean, log_var).sum(-1)


WRONG_KLS = {
    "½ is missing": lambda m, v: 2 * kl(m, v),
    "sign is turned round": lambda m, v: -kl(m, v),
    "mean over latents": lambda m, v: gaussian_kl(m, v).mean(-1),
    "σ where σ²": lambda m, v: 0.5 * (m**2 + (v / 2).exp() - v - 1).sum(-1),
    "log σ where log σ²": lambda m, v: 0.5 * (m**2 + v.exp() - v / 2 - 1).sum(-1),
    "taken for log σ": lambda m, v: kl(m, 2 * v),
    "exponentiate": lambda m, v: 0.5 * (m**2 + v - v - 1).sum(-1),
    "−1 is missing": lambda m, v: 0.5 * (m**2 + v.exp() - v).sum(-1),
    "μ and not μ²": lambda m, v: 0.5 * (m + v.exp() - v - 1).sum(-1),
    "it is subtracted": lambda m, v: 0.5 * (m**2 + v.exp() + v - 1).sum(-1),
    "before μ² only": lambda m, v: (0.5 * m**2 + v.exp() - v - 1).sum(-1),
    "sum over the batch": lambda m, v: gaussian_kl(m, v).sum(),
    "mean over the batch": lambda m, v: kl(m, v).mean(),
    "batch and latents": lambda m, v: gaussian_kl(m, v).mean(),
    "still apart": gaussian_kl,
    "summed over the batch": lambda m, v: gaussian_kl(m, v).sum(0),
    "over nothing else": lambda m, v: kl(m, v).unsqueeze(-1),
    "not a tensor": lambda m, v: kl(m, v).tolist(),
    "no gradient": lambda m, v: kl(m, v).detach(),
    "not the KL": lambda m, v: m.sum(-1),
}


@pytest.mark.parametrize("hint", WRONG_KLS)
def test_6_1_turns_down(hint):
    verdict = check("6.1", WRONG_KLS[hint])
    assert verdict.state == "wrong"
    assert hint in verdict.message


def test_6_1_accepts():
    assert check("6.1", kl).state == "right"


def best(x, mean, *, half=0.5, one=1, two_pi=2 * math.pi, power=1.0):
    variance = (x - mean).square().mean() ** power
    return -half * x[0].numel() * (torch.log(two_pi * variance) + one)


def own_sigmas(x, mean):
    variance = (x - mean).square().flatten(1).mean(-1)
    return (-0.5 * x[0].numel() * (torch.log(2 * math.pi * variance) + 1)).mean()


def unit(x, mean):
    return torch.distributions.Normal(mean, 1.0).log_prob(x).flatten(1).sum(-1).mean()


def summed(x, mean):
    variance = (x - mean).square().flatten(1).sum(-1).mean()
    return -0.5 * x[0].numel() * (torch.log(2 * math.pi * variance) + 1)


WRONG_BESTS = {
    "negative log-likelihood": lambda x, m: -best(x, m),
    "½ is missing": lambda x, m: best(x, m, half=1),
    "mean over pixels": lambda x, m: best(x, m) / x[0].numel(),
    "take their average": lambda x, m: best(x, m) * len(x),
    "no root": lambda x, m: best(x, m, power=0.5),
    "+ 1 is missing": lambda x, m: best(x, m, one=0),
    "log 2π is missing": lambda x, m: best(x, m, two_pi=1),
    "it is their mean": summed,
    "σ of its own": own_sigmas,
    "σ = 1": unit,
    "one number": lambda x, m: best(x, m).expand(len(x)),
    "not the maximum": lambda x, m: best(x, m) - 3,
}


@pytest.mark.parametrize("hint", WRONG_BESTS)
def test_6_2_turns_down(hint):
    verdict = check("6.2", WRONG_BESTS[hint])
    assert verdict.state == "wrong"
    assert hint in verdict.message


@pytest.mark.parametrize("kind", [lambda v: v, float, lambda v: v.reshape(1)])
def test_6_2_accepts_a_tensor_and_a_float(kind):
    assert check("6.2", lambda x, m: kind(best(x, m))).state == "right"


WRONG_BETAS = {
    "½ is missing": lambda n, d, w: n * w / d,
    "wrong side": lambda n, d, w: 2 * n * w / d,
    "divides the KL by d": lambda n, d, w: n * w / 2,
    "does not multiply": lambda n, d, w: n * w * d / 2,
    "divides the squared error": lambda n, d, w: w / (2 * d),
    "multiplies β": lambda n, d, w: w / (2 * d * n),
    "w is missing": lambda n, d, w: n / (2 * d),
    "both means": lambda n, d, w: w / 2,
    "both means and the ½": lambda n, d, w: w,
    "latents and the ½": lambda n, d, w: n * w,
    "1 / β": lambda n, d, w: 2 * d / (n * w),
    "not β": lambda n, d, w: 0.1,
}


@pytest.mark.parametrize("hint", WRONG_BETAS)
def test_6_3_turns_down(hint):
    verdict = check("6.3", WRONG_BETAS[hint])
    assert verdict.state == "wrong"
    assert hint in verdict.message


def test_6_3_accepts():
    assert check("6.3", lambda n, d, w: torch.tensor(n * w / (2 * d))).state == "right"


def measured(sigma, kl=10.0, rmse=0.15, *, change=lambda bits: bits, gray=True, with_kl=True):
    nats = 0.5 * math.log(2 * math.pi * sigma**2) + 0.5 * (rmse / sigma) ** 2
    nats += (kl / 784 if with_kl else 0) + (math.log(256) if gray else 0)
    return {"kl": kl, "rmse": rmse, "bits_per_dim": change(nats / math.log(2))}


def three(**changes):
    return {
        0.1: measured(0.1, 60.0, 0.13, **changes),
        0.3: measured(0.3, 20.0, 0.15, **changes),
        1.0: measured(1.0, 5.0, 0.18, **changes),
    }


GOOD = three()
WRONG_TRIALS = {
    "dictionary": [1, 2, 3],
    "at least three": {0.1: GOOD[0.1], 1.0: GOOD[1.0]},
    "positive numbers": GOOD | {"small": GOOD[0.1]},
    "use .item()": GOOD | {0.5: {"kl": torch.tensor(3.0), "rmse": 0.1, "bits_per_dim": 3.0}},
    "needs finite": GOOD | {0.5: {"kl": math.nan, "rmse": 0.1, "bits_per_dim": 3.0}},
    "log 256": three(gray=False),
    "divide by log 2": three(change=lambda bits: bits * math.log(2)),
    "number of pixels": three(change=lambda bits: bits * 784),
    "the sign": three(change=lambda bits: -bits),
    "KL is missing": three(with_kl=False),
    "should be": three(change=lambda bits: bits + 3),
    "factor of 4": {s: measured(s, 10 / s) for s in (0.1, 0.11, 0.12)},
    "larger KL": {s: measured(s, 10 + s) for s in (0.1, 0.3, 1.0)},
    "more closely": {s: measured(s, 10 / s, 0.2 - s / 10) for s in (0.1, 0.3, 1.0)},
}


@pytest.mark.parametrize("hint", WRONG_TRIALS)
def test_6_4_turns_down(hint):
    verdict = check("6.4", WRONG_TRIALS[hint])
    assert verdict.state == "wrong"
    assert hint in verdict.message


def test_6_4_accepts():
    assert check("6.4", GOOD).state == "right"


@pytest.mark.parametrize("number", ["6.1", "6.2", "6.3"])
def test_a_blank_is_open(number):
    assert check(number, lambda *args: ...).state == "open"
