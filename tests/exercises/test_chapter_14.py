"""The checks of chapter 14 turn down the usual mistakes, with a hint that names them."""

import math

import pytest
import torch

from vae_course.discrete import EMAState, ema_update, perplexity, quantize
from vae_course.exercises import check


def nearest(z_e, codebook):
    return codebook[quantize(z_e, codebook).indices]


def straight_through(z_e, codebook):
    return z_e + (nearest(z_e, codebook) - z_e).detach()


def farthest(z_e, codebook):
    far = codebook[torch.cdist(z_e, codebook.expand(len(z_e), -1, -1)).argmax(-1)]
    return z_e + (far - z_e).detach()


WRONG_CODES = {
    "goes to the codebook": nearest,
    "no gradient reaches": lambda z, e: nearest(z, e).detach(),
    "wrong side": lambda z, e: nearest(z, e) + (z - nearest(z, e)).detach() * 0,
    "gets one too": lambda z, e: z - z.detach() + nearest(z, e),
    "not argmax": farthest,
    "inner product": lambda z, e: z + (e[(z @ e.T).argmax(-1)] - z).detach(),
    "still z_e": lambda z, e: nearest(z, e) + (z - nearest(z, e)).detach(),
    "not the decoder's": lambda z, e: 2 * z + (nearest(z, e) - 2 * z).detach(),
    "nearest to the encodings": lambda z, e: z + (e[0] - z).detach(),
    "in the shape of z_e": lambda z, e: straight_through(z, e).flatten(0, 1),
    "gave int": lambda z, e: 3,
    "gave list": lambda z, e: straight_through(z, e).tolist(),
}


@pytest.mark.parametrize("hint", WRONG_CODES)
def test_14_1_turns_down(hint):
    verdict = check("14.1", WRONG_CODES[hint])
    assert verdict.state == "wrong"
    assert hint in verdict.message


@pytest.mark.parametrize("answer", [straight_through, lambda z, e: quantize(z, e).straight_through])
def test_14_1_accepts(answer):
    assert check("14.1", answer).state == "right"


def frequencies(indices, codes):
    return torch.bincount(indices.flatten(), minlength=codes) / indices.numel()


def entropy(indices, codes):
    return torch.special.entr(frequencies(indices, codes)).sum()


def with_nan(indices, codes):
    p = frequencies(indices, codes)
    return torch.exp(-(p * p.log()).sum())


WRONG_PERPLEXITIES = {
    "NaN": with_nan,
    "entropy in nats; its": entropy,
    "entropy in bits; 2": lambda i, k: entropy(i, k) / math.log(2),
    "exp is for nats": lambda i, k: (entropy(i, k) / math.log(2)).exp(),
    "2 ** is for bits": lambda i, k: 2 ** entropy(i, k),
    "sign": lambda i, k: (-entropy(i, k)).exp(),
    "every image's": lambda i, k: torch.stack([perplexity(image, k) for image in i]).mean(),
    "occur at all": lambda i, k: len(i.unique()),
    "1 / Σ p²": lambda i, k: 1 / frequencies(i, k).square().sum(),
    "instead of": lambda i, k: 5.0,
    "one number": frequencies,
    "not a list": lambda i, k: [3.0],
}


@pytest.mark.parametrize("hint", WRONG_PERPLEXITIES)
def test_14_2_turns_down(hint):
    verdict = check("14.2", WRONG_PERPLEXITIES[hint])
    assert verdict.state == "wrong"
    assert hint in verdict.message


@pytest.mark.parametrize("kind", [lambda p: p, float, lambda p: p.reshape(1)])
def test_14_2_accepts(kind):
    assert check("14.2", lambda i, k: kind(perplexity(i, k))).state == "right"


def follow(codebook, batches, decay, *, counts=0.0, sums=0.0, guard=True, swap=False):
    state_counts = torch.full((len(codebook),), counts)
    state_sums = sums * codebook
    decay = 1 - decay if swap else decay
    for z_e, indices in batches:
        chosen = torch.nn.functional.one_hot(indices, len(codebook)).float()
        state_counts = decay * state_counts + (1 - decay) * chosen.sum(0)
        state_sums = decay * state_sums + (1 - decay) * chosen.T @ z_e
    mean = state_sums / state_counts.unsqueeze(1)
    return torch.where(state_counts.unsqueeze(1) > 0, mean, codebook) if guard else mean


def zeros_for_unused(codebook, batches, decay):
    return follow(codebook, batches, decay, guard=False).nan_to_num(0.0)


def only_sums(codebook, batches, decay):
    state = EMAState.start(codebook)
    for z_e, indices in batches:
        state = ema_update(state, z_e, indices, decay)
    return state.sums


def mean_of_means(codebook, batches, decay):
    for z_e, indices in batches:
        mean = follow(codebook, [(z_e, indices)], decay)
        codebook = decay * codebook + (1 - decay) * mean
    return codebook


def pooled(codebook, batches, decay):
    z_e, indices = (torch.cat(parts) for parts in zip(*batches, strict=True))
    return follow(codebook, [(z_e, indices)], decay)


WRONG_AVERAGES = {
    "0 / 0": lambda *a: follow(*a, guard=False),
    "those that nothing chose moved": zeros_for_unused,
    "inflates": lambda *a: follow(*a, sums=1.0),
    "one count": lambda *a: follow(*a, counts=1.0, sums=1.0),
    "exchanged": lambda *a: follow(*a, swap=True),
    "these are the sums": only_sums,
    "batches alike": pooled,
    "divide in the end": mean_of_means,
    "not e = m / N": lambda codebook, batches, decay: codebook,
    "return the codebook": lambda *a: follow(*a)[0],
    "this is tuple": lambda *a: (follow(*a), 1),
}


@pytest.mark.parametrize("hint", WRONG_AVERAGES)
def test_14_3_turns_down(hint):
    verdict = check("14.3", WRONG_AVERAGES[hint])
    assert verdict.state == "wrong"
    assert hint in verdict.message


def test_14_3_accepts():
    assert check("14.3", follow).state == "right"


WRONG_INFLATIONS = {
    "t = 1 only": lambda g, t: 1 / (1 - g),
    "other way round": lambda g, t: 1 - g**t,
    "weighed down": lambda g, t: 1 + 1 / (1 - g**t),
    "without end": lambda g, t: (1 - g) ** -t,
    "share of the start": lambda g, t: g**t / (1 - g**t),
    "times too long": lambda g, t: 1.0,
    "one number": lambda g, t: torch.ones(2),
}


@pytest.mark.parametrize("hint", WRONG_INFLATIONS)
def test_14_4_turns_down(hint):
    verdict = check("14.4", WRONG_INFLATIONS[hint])
    assert verdict.state == "wrong"
    assert hint in verdict.message


@pytest.mark.parametrize("kind", [float, torch.tensor])
def test_14_4_accepts(kind):
    assert check("14.4", lambda g, t: kind(1 / (1 - g**t))).state == "right"


WRONG_SLOPES = {
    "the sign": {1: 2.0, 2: 1.0, 4: 0.5},
    "error's root": {1: -1.0, 2: -0.5, 4: -0.25},
    "upside down": {1: -0.5, 2: -1.0, 4: -2.0},
    "same base": {1: -1.39, 2: -0.69, 4: -0.35},
    "are not what": {1: -1.0, 2: -1.0, 4: -1.0},
    "a dict": [-2.0, -1.0, -0.5],
    "for each dimension": {1: -2.0, 2: -1.0},
}


@pytest.mark.parametrize("hint", WRONG_SLOPES)
def test_14_5_turns_down(hint):
    verdict = check("14.5", WRONG_SLOPES[hint])
    assert verdict.state == "wrong"
    assert hint in verdict.message


@pytest.mark.parametrize(
    "answer", [{1: -1.95, 2: -0.98, 4: -0.53}, {1: torch.tensor(-2.0), 2: -1, 4: -0.5, 8: -0.25}]
)
def test_14_5_accepts(answer):
    assert check("14.5", answer).state == "right"


@pytest.mark.parametrize("number", ["14.1", "14.2", "14.3", "14.4"])
def test_a_blank_is_open(number):
    assert check(number, lambda *args: ...).state == "open"


def test_a_blank_number_is_open():
    assert check("14.5", ...).state == "open"
