"""The checks of chapter 9 turn down the usual mistakes, with a hint that names them."""

import math

import pytest
import torch
import torch.nn.functional as F

from vae_course.exercises import check
from vae_course.objectives import gaussian_kl


def kl_of(q):
    return gaussian_kl(q.mean, q.log_var).sum(-1)


def right_loss(q, p, x, beta):
    return -p.log_prob(x) + beta * kl_of(q)


def bce(p, x, reduction):
    return F.binary_cross_entropy_with_logits(p.base_dist.logits, x, reduction=reduction)


WRONG_LOSSES = {
    "mean over the batch": lambda q, p, x, b: right_loss(q, p, x, b).mean(),
    "sum over the batch": lambda q, p, x, b: bce(p, x, "sum") + b * kl_of(q).sum(),
    'reduction="mean"': lambda q, p, x, b: bce(p, x, "mean") + b * kl_of(q).mean(),
    "averaged over pixels and the KL": lambda q, p, x, b: (
        bce(p, x, "mean") + b * gaussian_kl(q.mean, q.log_var).mean()
    ),
    "one number for the whole batch": lambda q, p, x, b: bce(p, x, "sum") + b * kl_of(q).mean(),
    "apart for each latent": lambda q, p, x, b: (
        -p.log_prob(x)[:, None] + b * gaussian_kl(q.mean, q.log_var)
    ),
    "sum over pixels": lambda q, p, x, b: bce(p, x, "none"),
    "that is the ELBO": lambda q, p, x, b: -right_loss(q, p, x, b),
    "sign of the KL": lambda q, p, x, b: right_loss(q, p, x, -b),
    "sign of the reconstruction": lambda q, p, x, b: p.log_prob(x) + b * kl_of(q),
    "KL is missing": lambda q, p, x, b: -p.log_prob(x),
    "reconstruction is missing": lambda q, p, x, b: b * kl_of(q),
    "β is missing": lambda q, p, x, b: right_loss(q, p, x, 1),
    "the KL only": lambda q, p, x, b: b * right_loss(q, p, x, 1),
    "mean over pixels": lambda q, p, x, b: -p.log_prob(x) / x[0].numel() + b * kl_of(q),
    "mean over latents": lambda q, p, x, b: (
        -p.log_prob(x) + b * gaussian_kl(q.mean, q.log_var).mean(-1)
    ),
    "½": lambda q, p, x, b: right_loss(q, p, x, 2 * b),
    "log σ²": lambda q, p, x, b: -p.log_prob(x) + b * gaussian_kl(q.mean, 2 * q.log_var).sum(-1),
    "you used σ": lambda q, p, x, b: (
        -p.log_prob(x) + b * 0.5 * (q.mean**2 + (q.log_var / 2).exp() - q.log_var - 1).sum(-1)
    ),
    "−1": lambda q, p, x, b: right_loss(q, p, x, b) + b * 0.5 * q.mean.shape[-1],
    "summed over the batch too": lambda q, p, x, b: -p.log_prob(x) + b * kl_of(q).sum(),
    "averaged over the batch": lambda q, p, x, b: -p.log_prob(x) + b * kl_of(q).mean(),
    "no gradient": lambda q, p, x, b: -p.log_prob(x) + b * kl_of(q).detach(),
    "term by term": lambda q, p, x, b: right_loss(q, p, x, b) + q.mean.sum(-1),
    "not a tensor": lambda q, p, x, b: right_loss(q, p, x, b).sum().item(),
}


@pytest.mark.parametrize("hint", WRONG_LOSSES)
def test_9_1_turns_down(hint):
    verdict = check("9.1", WRONG_LOSSES[hint])
    assert verdict.state == "wrong"
    assert hint in verdict.message


def by_hand(q, p, x, beta):
    reconstruction = bce(p, x, "none").flatten(1).sum(-1)
    return reconstruction + beta * 0.5 * (q.mean**2 + q.log_var.exp() - q.log_var - 1).sum(-1)


@pytest.mark.parametrize("loss", [right_loss, by_hand])
def test_9_1_accepts(loss):
    assert check("9.1", loss).state == "right"


def entropies(x):
    m = x.mean(0)
    return -(torch.xlogy(m, m) + torch.xlogy(1 - m, 1 - m))


def naive(x):
    m = x.mean(0)
    return -(m * m.log() + (1 - m) * (1 - m).log()).sum()


WRONG_BASELINES = {
    "bits": lambda x: entropies(x).sum() / math.log(2),
    "mean over pixels": lambda x: entropies(x).mean(),
    "sum over images": lambda x: entropies(x).sum() * len(x),
    "sign": lambda x: -entropies(x).sum(),
    "shared by all pixels": lambda x: entropies(x.flatten()[:, None]).sum() * x[0].numel(),
    "fair coin": lambda x: x[0].numel() * math.log(2),
    "ones are counted": lambda x: -torch.xlogy(x.mean(0), x.mean(0)).sum(),
    "xlogy": naive,
    "one number": entropies,
    "off by": lambda x: entropies(x).sum() + 3,
}


@pytest.mark.parametrize("hint", WRONG_BASELINES)
def test_9_2_turns_down(hint):
    verdict = check("9.2", WRONG_BASELINES[hint])
    assert verdict.state == "wrong"
    assert hint in verdict.message


@pytest.mark.parametrize(
    "answer", [lambda x: entropies(x).sum(), lambda x: entropies(x).sum().item()]
)
def test_9_2_accepts(answer):
    assert check("9.2", answer).state == "right"


def row(reconstruction, kl, active, **changes):
    terms = {"elbo": -reconstruction - kl, "reconstruction": reconstruction, "kl": kl}
    return terms | {"active": active} | changes


SMALL, LARGE = row(275.0, 4.0, 1), row(250.0, 9.0, 6)
WRONG_MEASUREMENTS = {
    "two rows": {1: SMALL},
    "keys": {"1": SMALL, "8": LARGE},
    "at least 8": {1: SMALL, 4: LARGE},
    "has no active": {1: SMALL, 8: {k: v for k, v in LARGE.items() if k != "active"}},
    "is −ELBO": {1: SMALL, 8: row(250.0, 9.0, 6, elbo=259.0)},
    "never negative": {1: SMALL, 8: row(250.0, -9.0, 6)},
    "mean over pixels": {1: row(0.35, 4.0, 1), 8: row(0.32, 9.0, 6)},
    "coin tosses": {1: SMALL, 8: row(25000.0, 9.0, 6)},
    "does not hold": {1: SMALL, 8: row(250.0, 9.0, 6, elbo=-250.0)},
    "than there are": {1: row(275.0, 4.0, 2), 8: LARGE},
    "worse ELBO": {1: LARGE | {"active": 1}, 8: SMALL},
    "exchanged": {1: row(275.0, 4.0, 1), 8: row(274.0, 3.0, 6)},
}


@pytest.mark.parametrize("hint", WRONG_MEASUREMENTS)
def test_9_3_turns_down(hint):
    verdict = check("9.3", WRONG_MEASUREMENTS[hint])
    assert verdict.state == "wrong"
    assert hint in verdict.message


def test_9_3_accepts_and_says_what_was_bought():
    verdict = check("9.3", {1: SMALL, 8: LARGE})
    assert verdict.state == "right"
    assert "5.0 nats more KL bought 25.0 nats" in verdict.message


def test_9_3_turns_down_something_else():
    assert check("9.3", [1, 8]).state == "wrong"


@pytest.mark.parametrize("number", ["9.1", "9.2", "9.3"])
def test_a_blank_is_open(number):
    assert check(number, ...).state == "open"


@pytest.mark.parametrize("number", ["9.1", "9.2"])
def test_a_function_that_returns_the_blank_is_open(number):
    assert check(number, lambda *_: ...).state == "open"
