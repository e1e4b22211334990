"""The checks of chapter 11 turn down the usual mistakes, with a hint that names them."""

import math

import pytest
import torch

from vae_course.exercises import check
from vae_course.latent import slerp


def arc(start, end, alpha, *, angle=torch.arccos, normalize=True, divide=True, keep_norm=True):
    if not keep_norm:
        start, end = start / start.norm(), end / end.norm()
    cosine = start @ end / (start.norm() * end.norm() if normalize else 1)
    omega = angle(cosine)
    a = torch.tensor(alpha)
    sines = torch.sin((1 - a) * omega) * start + torch.sin(a * omega) * end
    return sines / torch.sin(omega) if divide else sines


def on_sphere(start, end, alpha):
    middle = torch.lerp(start, end, alpha)
    return middle / middle.norm() * ((1 - alpha) * start.norm() + alpha * end.norm())


WRONG_ARCS = [
    (torch.lerp, "straight line; the weights"),
    (on_sphere, "constant speed"),
    (lambda s, e, a: torch.nn.functional.normalize(torch.lerp(s, e, a), dim=0), "norm 1"),
    (lambda s, e, a: arc(e, s, a), "backwards"),
    (lambda s, e, a: arc(s, e, a, angle=lambda c: torch.rad2deg(c.arccos())), "degrees"),
    (lambda s, e, a: arc(s, e, a, angle=lambda c: c), "arccos"),
    (lambda s, e, a: arc(s, e, a, divide=False), "sin Ω"),
    (lambda s, e, a: arc(s, e, a, normalize=False), "norms"),
    (
        lambda s, e, a: arc(
            s, e, a, normalize=False, angle=lambda c: c.clamp(-1 + 1e-7, 1 - 1e-7).arccos()
        ),
        "norms",
    ),
    (lambda s, e, a: arc(s, e, a, keep_norm=False), "norms of the two codes are lost"),
    (lambda s, e, a: s * (1 - a), "not on the arc"),
    (lambda s, e, a: torch.stack([s, e]), "one code comes back"),
    (lambda s, e, a: arc(s, e, a).tolist(), "list"),
]


@pytest.mark.parametrize(("answer", "hint"), WRONG_ARCS)
def test_11_1_turns_down(answer, hint):
    verdict = check("11.1", answer)
    assert verdict.state == "wrong"
    assert hint in verdict.message


@pytest.mark.parametrize("answer", [arc, lambda s, e, a: _by_package(s, e, a)])
def test_11_1_accepts(answer):
    assert check("11.1", answer).state == "right", check("11.1", answer).message


def _by_package(start, end, alpha):
    return slerp(start, end, 11)[round(10 * alpha)]


WRONG_WEIGHTS = [
    (lambda x, p, q: (x + p - q).softmax(1), "not over the batch"),
    (lambda x, p, q: (x + p - q).flatten().softmax(0).view_as(x), "together"),
    (lambda x, p, q: (x + p - q).exp(), "not normalized"),
    (lambda x, p, q: x + p - q, "logarithms; a weight"),
    (lambda x, p, q: (x + p - q).log_softmax(0), "of the normalized"),
    (lambda x, p, q: (x - q).softmax(0), "prior"),
    (lambda x, p, q: (x + p).softmax(0), "−log q(z) is forgotten"),
    (lambda x, p, q: (x + p + q).softmax(0), "subtracted"),
    (lambda x, p, q: (p - q).softmax(0), "likelihood log"),
    (lambda x, p, q: x.softmax(0), "likelihood alone"),
    (lambda x, p, q: (x + p - q).exp() / (x + p - q).exp().sum(0), "underflow"),
    (lambda x, p, q: torch.full_like(x, 1 / 6), "not w̃"),
    (lambda x, p, q: (x + p - q).softmax(0).sum(0), "one weight for each"),
    (lambda x, p, q: (x + p - q).softmax(0).tolist(), "list"),
]


@pytest.mark.parametrize(("answer", "hint"), WRONG_WEIGHTS)
def test_11_2_turns_down(answer, hint):
    verdict = check("11.2", answer)
    assert verdict.state == "wrong"
    assert hint in verdict.message


def test_11_2_accepts():
    assert check("11.2", lambda x, p, q: (x + p - q).softmax(0)).state == "right"


WRONG_NORMS = [
    (lambda d: math.sqrt(d), "one draw"),
    (lambda d: d / 2, "root"),
    (lambda d: math.sqrt(2 * d), "sum"),
    (lambda d: math.sqrt(d / 4), "two draws"),
    (lambda d: math.sqrt(d) / 4, "variances add"),
    (lambda d: math.sqrt(0.5), "d coordinates"),
    (lambda d: 0, "norm of the mean"),
    (lambda d: 17.0, "what variance"),
    (lambda d: [1.0, 2.0], "one number"),
    (lambda d: torch.ones(d), "one number"),
]


@pytest.mark.parametrize(("answer", "hint"), WRONG_NORMS)
def test_11_3_turns_down(answer, hint):
    verdict = check("11.3", answer)
    assert verdict.state == "wrong"
    assert hint in verdict.message


@pytest.mark.parametrize("answer", [lambda d: (d / 2) ** 0.5, lambda d: torch.tensor(d / 2).sqrt()])
def test_11_3_accepts(answer):
    assert check("11.3", answer).state == "right"


def test_11_3_is_what_draws_say():
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(2, 20_000, 16, generator=generator)
    assert abs(z.mean(0).square().sum(-1).mean().sqrt().item() - math.sqrt(16 / 2)) < 0.02


GOOD = {0: 0.1, 0.5: 0.5, 1: 0.9, 2: 0.95}

WRONG_EXPERIMENTS = [
    ([0.1, 0.5, 0.9], "dictionary"),
    ({0: 0.1, 1: 0.9}, "four"),
    ({0.5: 0.5, 1: 0.9, 1.5: 0.9, 2: 0.9}, "0 among them"),
    ({0: 10, 0.5: 50, 1: 90, 2: 95}, "between 0 and 1"),
    ({0: 0.1, 0.1: 0.2, 0.2: 0.3, 0.3: 0.4}, "whole attribute"),
    ({0: 1.0, 0.5: 1.0, 1: 1.0, 2: 1.0}, "even unedited"),
    ({0: 0.5, 0.5: 0.2, 1: 0.1, 2: 0.0}, "away"),
    ({-1: 0.9, 0: 0.1, 1: 0.05, 2: 0.1}, "away"),
    ({0: 0.1, 0.5: 0.1, 1: 0.12, 2: 0.15}, "next to nothing"),
    ({0: torch.rand(9), 0.5: 0.5, 1: 0.9, 2: 0.9}, "mean over images"),
]


@pytest.mark.parametrize(("answer", "hint"), WRONG_EXPERIMENTS)
def test_11_4_turns_down(answer, hint):
    verdict = check("11.4", answer)
    assert verdict.state == "wrong"
    assert hint in verdict.message


@pytest.mark.parametrize("answer", [GOOD, {s: torch.tensor(v) for s, v in GOOD.items()}])
def test_11_4_accepts(answer):
    assert check("11.4", answer).state == "right"


@pytest.mark.parametrize("number", ["11.1", "11.2", "11.3"])
def test_a_blank_function_is_open(number):
    assert check(number, lambda *args: ...).state == "open"


def test_a_blank_dictionary_is_open():
    assert check("11.4", ...).state == "open"
