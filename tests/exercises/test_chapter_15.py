"""The checks of chapter 15 turn down the usual mistakes, with a hint that names them."""

import math

import pytest
import torch

from vae_course.exercises import check


def kl(mq, lq, mp, lp, *, log=1.0, half=0.5, one=1.0, power=1.0, p_power=1.0, distance=1.0):
    vq, vp = (power * lq).exp(), (power * p_power * lp).exp()
    spread = (vq + distance * (mq - mp) ** 2) / vp
    return half * (log * (lp - lq) + spread - one).sum(-1)


WRONG_KLS = {
    "swapped": lambda mq, lq, mp, lp: kl(mp, lp, mq, lq),
    "½": lambda *a: kl(*a, half=1.0),
    "other sign": lambda *a: kl(*a, log=-1.0),
    "weighs twice": lambda *a: kl(*a, log=2.0),
    "log ratio is missing": lambda *a: kl(*a, log=0.0),
    "−1": lambda *a: kl(*a, one=0.0),
    "σ where σ²": lambda *a: kl(*a, power=0.5),
    "σ_p² belongs": lambda *a: kl(*a, p_power=0.5),
    "distance is missing": lambda *a: kl(*a, distance=0.0),
    "not divided": lambda mq, lq, mp, lp: (
        0.5 * (lp - lq + (lq - lp).exp() + (mq - mp) ** 2 - 1).sum(-1)
    ),
    "N(0, I)": lambda mq, lq, mp, lp: kl(mq, lq, 0 * mp, 0 * lp),
    "mean over the latents": lambda *a: kl(*a) / 3,
    "keep the images apart": lambda *a: kl(*a).sum(),
    "sum over the last": lambda mq, lq, mp, lp: (mq - mp) ** 2 + lq - lp,
    "images were added": lambda mq, lq, mp, lp: (mq - mp).sum(0),
    "(5, 3) latents gave (2,)": lambda *a: kl(*a)[:2],
    "term by term": lambda *a: -kl(*a),
    "not a str": lambda *a: "0.5",
}


@pytest.mark.parametrize("hint", WRONG_KLS)
def test_15_1_turns_down(hint):
    verdict = check("15.1", WRONG_KLS[hint])
    assert verdict.state == "wrong"
    assert hint in verdict.message


def test_15_1_accepts_tensors_and_lists():
    assert check("15.1", kl).state == "right"
    assert check("15.1", lambda *a: kl(*a).tolist()).state == "right"


def merge(me, le, mp, lp, *, power=1.0):
    a, b = (-power * le).exp(), (-power * lp).exp()
    return (a * me + b * mp) / (a + b), -torch.log(a + b) / power


def merged_variance(change):
    def wrong(me, le, mp, lp):
        mean, log_var = merge(me, le, mp, lp)
        return mean, change(log_var, le, lp)

    return wrong


def merged_mean(change):
    def wrong(*numbers):
        return change(*numbers), merge(*numbers)[1]

    return wrong


WRONG_MERGES = {
    "take its logarithm": merged_variance(lambda v, le, lp: v.exp()),
    "standard deviation": merged_variance(lambda v, le, lp: (v / 2).exp()),
    "log σ, not": merged_variance(lambda v, le, lp: v / 2),
    "minus that": merged_variance(lambda v, le, lp: -v),
    "variances were added": merged_variance(lambda v, le, lp: (le.exp() + lp.exp()).log()),
    "variances were averaged": merged_variance(lambda v, le, lp: ((le.exp() + lp.exp()) / 2).log()),
    "log-variances were averaged": merged_variance(lambda v, le, lp: (le + lp) / 2),
    "precisions were averaged": merged_variance(lambda v, le, lp: v + math.log(2)),
    "yours is 1/σ": lambda *a: merge(*a, power=0.5),
    "averaged alike": merged_mean(lambda me, le, mp, lp: (me + mp) / 2),
    "other's weight": merged_mean(
        lambda me, le, mp, lp: (le.exp() * me + lp.exp() * mp) / (le.exp() + lp.exp())
    ),
    "not divided": merged_mean(lambda me, le, mp, lp: me * (-le).exp() + mp * (-lp).exp()),
    "weights are 1/σ": merged_mean(lambda *a: merge(*a, power=0.5)[0]),
    "the mean is not": merged_mean(lambda me, le, mp, lp: me),
    "the log-variance is not": merged_variance(lambda v, le, lp: le),
    "two tensors, the mean": lambda *a: merge(*a)[0],
    "added up over latents": lambda *a: tuple(part.sum(-1) for part in merge(*a)),
}


@pytest.mark.parametrize("hint", WRONG_MERGES)
def test_15_2_turns_down(hint):
    verdict = check("15.2", WRONG_MERGES[hint])
    assert verdict.state == "wrong"
    assert hint in verdict.message


def test_15_2_accepts():
    assert check("15.2", merge).state == "right"
    assert check("15.2", lambda *a: [part.tolist() for part in merge(*a)]).state == "right"


def covariance(b, s):
    return b @ b.T + s**2 * torch.eye(len(b), dtype=b.dtype)


WRONG_LAYERS = {
    "lost the noise": lambda b, s, w: w @ b,
    "s where s²": lambda b, s, w: w @ torch.linalg.cholesky(covariance(b, math.sqrt(s))),
    "itself instead of a root": lambda b, s, w: w @ covariance(b, s),
    "not N(0, I)": lambda b, s, w: w,
    "matrix *root*": lambda b, s, w: w @ covariance(b, s) @ w.T,
    "a row": lambda b, s, w: torch.linalg.cholesky(covariance(b, s)),
    "First Cov": lambda b, s, w: w @ torch.linalg.cholesky(covariance(2 * b, s)),
    "return a matrix": lambda b, s, w: {"V": w},
}


@pytest.mark.parametrize("hint", WRONG_LAYERS)
def test_15_3_turns_down(hint):
    verdict = check("15.3", WRONG_LAYERS[hint])
    assert verdict.state == "wrong"
    assert hint in verdict.message


def test_15_3_accepts_any_root():
    assert check("15.3", lambda b, s, w: w @ torch.linalg.cholesky(covariance(b, s))).state == (
        "right"
    )
    wide = lambda b, s, w: torch.cat([w @ b, s * w], dim=1)  # noqa: E731
    assert check("15.3", wide).state == "right"
    assert check("15.3", lambda b, s, w: wide(b, s, w).tolist()).state == "right"


def runs(**change):
    kls = {0: [9.0, 0.2, 0.0], 0.5: [8.5, 0.6, 0.5], 2: [7.0, 2.1, 1.9]}
    rows = {
        nats: {"reconstruction": 240.0, "kl": layers, "elbo": -240.0 - sum(layers)}
        for nats, layers in kls.items()
    }
    for nats, row in change.pop("rows", {}).items():
        rows[nats] = rows[nats] | row
    return rows


WRONG_RUNS = {
    "hand in a dictionary": [1, 2],
    "at least two positive": {nats: row for nats, row in runs().items() if nats},
    "lacks elbo": {**runs(), 2: {"reconstruction": 240.0, "kl": [7.0, 2.1, 1.9]}},
    "one number for each layer": runs(rows={2: {"kl": 11.0}}),
    "has one layer": runs(rows={2: {"kl": [11.0], "elbo": -251.0}}),
    "the ELBO is negative": runs(rows={2: {"elbo": 251.0}}),
    "with its floor": runs(rows={2: {"elbo": -240.0 - 7.0 - 2.1 - 2.0}}),
    "−reconstruction − Σ KL": runs(rows={2: {"elbo": -100.0}}),
    "feels no pressure": runs(rows={2: {"kl": [9.0, 0.2, 0.1], "elbo": -249.3}}),
    "try a larger λ": runs(rows={0: {"kl": [9.0, 3.0, 2.5], "elbo": -254.5}}),
}


@pytest.mark.parametrize("hint", WRONG_RUNS)
def test_15_4_turns_down(hint):
    verdict = check("15.4", WRONG_RUNS[hint])
    assert verdict.state == "wrong"
    assert hint in verdict.message


def test_15_4_accepts():
    assert check("15.4", runs()).state == "right"
    tensors = {n: {k: torch.tensor(v) for k, v in row.items()} for n, row in runs().items()}
    assert check("15.4", tensors).state == "right"


@pytest.mark.parametrize("number", ["15.1", "15.2", "15.3"])
def test_a_blank_is_open(number):
    assert check(number, lambda *args: ...).state == "open"
    assert check(number, ...).state == "open"
