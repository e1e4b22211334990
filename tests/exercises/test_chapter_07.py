"""The checks of chapter 7 turn down the usual mistakes, with a hint that names them."""

import math
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch.distributions import Independent, MultivariateNormal, Normal

from vae_course.distributions import DiagonalGaussian
from vae_course.exercises import check
from vae_course.models import rotated_linear_gaussian


def head(outputs, scale=lambda lv: torch.exp(0.5 * lv), event=1, split=None):
    mean, log_var = (split or (lambda o: o.chunk(2, dim=-1)))(outputs)
    return Independent(Normal(mean, scale(log_var)), event)


WRONG_HEADS = {
    "log σ² used as log σ": lambda o: head(o, torch.exp),
    "√σ": lambda o: head(o, lambda lv: torch.exp(lv / 4)),
    "softplus of": lambda o: head(o, F.softplus),
    "√softplus": lambda o: head(o, lambda lv: F.softplus(lv).sqrt()),
    "absolute value": lambda o: head(o, torch.abs),
    "the sign": lambda o: head(o, lambda lv: torch.exp(-0.5 * lv)),
    "every σ is one": lambda o: head(o, torch.ones_like),
    "not positive": lambda o: head(o, lambda lv: lv),
    "is not exp": lambda o: head(o, lambda lv: 3 * torch.exp(lv)),
    "swapped": lambda o: head(o, split=lambda o: o.chunk(2, dim=-1)[::-1]),
    "every other": lambda o: head(o, split=lambda o: (o[..., ::2], o[..., 1::2])),
    "as it stands": lambda o: head(o, split=lambda o: (2 * o[..., :3], o[..., 3:])),
    "Independent": lambda o: head(o, event=0),
    "dim=-1": lambda o: head(o, split=lambda o: o.chunk(2, dim=1)),
    "torch.distributions": lambda o: o.chunk(2, dim=-1),
    "first half of the last": lambda o: head(o, split=lambda o: (o, o)),
    "no gradient": lambda o: head(o.detach().requires_grad_()),
    "RuntimeError": lambda o: o @ o,
}


@pytest.mark.parametrize("hint", WRONG_HEADS)
def test_7_1_turns_down(hint):
    verdict = check("7.1", WRONG_HEADS[hint])
    assert verdict.state == "wrong"
    assert hint in verdict.message


@pytest.mark.parametrize(
    "right",
    [
        head,
        lambda o: DiagonalGaussian(*o.chunk(2, dim=-1)),
        lambda o: MultivariateNormal(
            o[..., :3], scale_tril=torch.diag_embed(torch.exp(0.5 * o[..., 3:]))
        ),
    ],
)
def test_7_1_accepts(right):
    assert check("7.1", right).state == "right"


def best(precision, variances=None, gap=None):
    diagonal = torch.diagonal(precision)
    own = 1 / diagonal
    loss = 0.5 * (diagonal.log().sum() - torch.logdet(precision))
    return (own if variances is None else variances(precision), loss if gap is None else gap(loss))


def marginal(precision):
    return torch.diagonal(torch.linalg.inv(precision))


def other_direction(precision):
    return 0.5 * (marginal(precision).log().sum() + torch.logdet(precision))


WRONG_DIAGONALS = {
    "asks for less": lambda p: best(p, marginal),
    "precisions": lambda p: best(p, torch.diagonal),
    "standard deviations": lambda p: best(p, lambda p: torch.diagonal(p).rsqrt()),
    "log-variances": lambda p: best(p, lambda p: -torch.diagonal(p).log()),
    "derivative": lambda p: best(p, lambda p: 3 / torch.diagonal(p)),
    "½ is missing": lambda p: best(p, gap=lambda g: 2 * g),
    "sign": lambda p: best(p, gap=lambda g: -g),
    "mind which": lambda p: best(p, gap=lambda g: g + torch.logdet(p)),
    "other direction": lambda p: best(p, gap=lambda g: other_direction(p)),
    "log det is missing": lambda p: best(p, gap=lambda g: g + 0.5 * torch.logdet(p)),
    "simplify": lambda p: best(p, gap=lambda g: g / math.log(2)),
    "two things": lambda p: best(p)[0],
    "one a latent": lambda p: best(p, lambda p: torch.diag(1 / torch.diagonal(p))),
    "one number": lambda p: best(p, gap=lambda g: g.expand(len(p))),
}


@pytest.mark.parametrize("hint", WRONG_DIAGONALS)
def test_7_2_turns_down(hint):
    verdict = check("7.2", WRONG_DIAGONALS[hint])
    assert verdict.state == "wrong"
    assert hint in verdict.message


def test_7_2_accepts_tensors_lists_and_floats():
    assert check("7.2", best).state == "right"
    assert check("7.2", lambda p: (best(p)[0].tolist(), best(p)[1].item())).state == "right"


def count(pixels, widths, latent, *, bias=1, heads=2, encoder=True, decoder=True, takes=1):
    def chain(sizes):
        return sum((a + bias) * b for a, b in pairwise(sizes))

    first = chain([pixels, *widths, heads * latent])
    return encoder * first + decoder * chain([takes * latent, *widths[::-1], pixels])


@pytest.mark.parametrize(
    ("mistake", "hint"),
    [
        ({"bias": 0}, "biases"),
        ({"heads": 1}, "2d outputs"),
        ({"decoder": False}, "decoder is missing"),
        ({"encoder": False}, "encoder is missing"),
        ({"takes": 2}, "it gets z"),
        ({"bias": 2}, "each layer"),
    ],
)
def test_7_3_turns_down(mistake, hint):
    verdict = check("7.3", lambda *sizes: count(*sizes, **mistake))
    assert verdict.state == "wrong"
    assert hint in verdict.message


def test_7_3_accepts_and_turns_down_what_is_no_number():
    assert check("7.3", count).state == "right"
    assert check("7.3", lambda *sizes: float(count(*sizes))).state == "right"
    verdict = check("7.3", lambda *sizes: [count(*sizes)])
    assert verdict.state == "wrong" and "list" in verdict.message


STRAIGHT = rotated_linear_gaussian((3.0, 0.6), 0.0).weight
TILTED = rotated_linear_gaussian((3.0, 0.6), 30.0).weight
WRONG_WEIGHTS = {
    "the weight has to be trained": TILTED,
    "nats from the data's": torch.eye(2),
    "hand in the learned weight": 0.3,
    "a tensor of shape": rotated_linear_gaussian((3.0, 0.6), 0.0),
    "not (2, 2)": STRAIGHT[:, :1],
}


@pytest.mark.parametrize("hint", WRONG_WEIGHTS)
def test_7_4_turns_down(hint):
    verdict = check("7.4", WRONG_WEIGHTS[hint])
    assert verdict.state == "wrong"
    assert hint in verdict.message


@pytest.mark.parametrize(
    "right", [STRAIGHT, STRAIGHT.float(), STRAIGHT.tolist(), STRAIGHT.clone().requires_grad_()]
)
def test_7_4_accepts_what_holds_the_weight(right):
    assert check("7.4", right).state == "right"


@pytest.mark.parametrize("number", ["7.1", "7.2", "7.3"])
def test_a_blank_is_open(number):
    assert check(number, lambda *args: ...).state == "open"


def test_the_blank_of_7_4_is_open():
    assert check("7.4", ...).state == "open"
