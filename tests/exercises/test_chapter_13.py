"""The checks of chapter 13 turn down the usual mistakes, with a hint that names them."""

import math

import pytest
import torch

from vae_course.conditional import (
    ConditionalELBOLoss,
    ConditionalVAE,
    class_log_marginals,
    log_mixture,
)
from vae_course.data import Labeled, binarize
from vae_course.exercises import check
from vae_course.training import fit


def kl(mean, log_var, prior_mean, prior_log_var):
    ratio = log_var - prior_log_var
    apart = (mean - prior_mean) ** 2 * torch.exp(-prior_log_var)
    return 0.5 * (ratio.exp() + apart - ratio - 1).sum(-1)


WRONG_KLS = {
    "½ is missing": lambda *a: 2 * kl(*a),
    "−1 is missing": lambda *a: kl(*a) + 0.5 * a[0].shape[-1],
    "swapped": lambda m, v, pm, pv: kl(pm, pv, m, v),
    "N(0, I)": lambda m, v, pm, pv: kl(m, v, torch.zeros_like(m), torch.zeros_like(m)),
    "not log σ:": lambda m, v, pm, pv: kl(m, 2 * v, pm, 2 * pv),
    "sign of the log-variances": lambda m, v, pm, pv: kl(m, v, pm, pv) + (v - pv).sum(-1),
    "divide it": lambda m, v, pm, pv: 0.5 * ((v - pv).exp() + (m - pm) ** 2 - (v - pv) - 1).sum(-1),
    "wrong sign in an exponent": lambda m, v, pm, pv: (
        0.5 * ((v.exp() + (m - pm) ** 2) * pv.exp() - (v - pv) - 1).sum(-1)
    ),
    "enters squared": lambda m, v, pm, pv: (
        0.5 * ((v - pv).exp() + (m - pm).abs() / pv.exp() - (v - pv) - 1).sum(-1)
    ),
    "no mean over the batch": lambda *a: kl(*a).mean(),
    "last dimension only": lambda *a: kl(*a).sum(),
    "summed over latents": lambda *a: -kl(*a),
}


@pytest.mark.parametrize("hint", WRONG_KLS)
def test_13_1_turns_down(hint):
    verdict = check("13.1", WRONG_KLS[hint])
    assert verdict.state == "wrong"
    assert hint in verdict.message


@pytest.mark.parametrize("answer", [kl, lambda *a: kl(*a).float(), lambda *a: kl(*a).tolist()])
def test_13_1_accepts(answer):
    assert check("13.1", answer).state == "right"


def worth(log_pxy, log_py, y):
    return log_pxy.gather(1, y[:, None]).squeeze(1) - torch.logsumexp(log_pxy + log_py, 1)


def own(log_pxy, y):
    return log_pxy.gather(1, y[:, None]).squeeze(1)


WRONG_WORTHS = {
    "sign": lambda *a: -worth(*a),
    "not equally likely": lambda p, py, y: worth(p, torch.full((4,), -math.log(4)), y),
    "log p(y) is missing": lambda p, py, y: worth(p, torch.zeros(4), y),
    "not the mean of the logs": lambda p, py, y: own(p, y) - (p * py.exp()).sum(1),
    "log p(y|x) − log p(y)": lambda p, py, y: worth(p, py, y) + py[y],
    "not over the batch": lambda p, py, y: own(p, y) - torch.logsumexp(p + py, 0)[y],
    "underflows": lambda p, py, y: own(p, y) - (p.exp() * py.exp()).sum(1).log(),
    "no mean over the batch": lambda *a: worth(*a).mean(),
    "one number an image": lambda p, py, y: p - torch.logsumexp(p + py, 1, keepdim=True),
    "image by image": lambda p, py, y: own(p, y),
}


@pytest.mark.parametrize("hint", WRONG_WORTHS)
def test_13_2_turns_down(hint):
    verdict = check("13.2", WRONG_WORTHS[hint])
    assert verdict.state == "wrong"
    assert hint in verdict.message


@pytest.mark.parametrize("answer", [worth, lambda *a: worth(*a).tolist()])
def test_13_2_accepts(answer):
    assert check("13.2", answer).state == "right"


def bound(elbos, log_q):
    return (log_q.exp() * (elbos - math.log(elbos.shape[1]) - log_q)).sum(1)


def entropy(log_q):
    return -(log_q.exp() * log_q).sum(1)


WRONG_BOUNDS = {
    "sign of the entropy": lambda e, q: bound(e, q) - 2 * entropy(q),
    "entropy of q(y|x) is missing": lambda e, q: bound(e, q) - entropy(q),
    "log p(y) = −log(classes) is missing": lambda e, q: bound(e, q) + math.log(3),
    "entropy is missing, and so is": lambda e, q: (q.exp() * e).sum(1),
    "weigh them by q(y|x)": lambda e, q: e.mean(1) - math.log(3) + entropy(q),
    "turned round, and log p(y)": lambda e, q: (q.exp() * e).sum(1) - entropy(q),
    "it would learn nothing": lambda e, q: (e - math.log(3)).logsumexp(1),
    "comes before the mean": lambda e, q: (e - math.log(3) + q).logsumexp(1) + entropy(q),
    "log of a mean": lambda e, q: (e - math.log(3) + q).logsumexp(1),
    "that is a loss": lambda e, q: -bound(e, q),
    "no mean over the batch": lambda e, q: bound(e, q).mean(),
    "ELBO(x|y)": lambda e, q: e.amax(1),
}


@pytest.mark.parametrize("hint", WRONG_BOUNDS)
def test_13_3_turns_down(hint):
    verdict = check("13.3", WRONG_BOUNDS[hint])
    assert verdict.state == "wrong"
    assert hint in verdict.message


@pytest.mark.parametrize("answer", [bound, lambda *a: bound(*a).tolist()])
def test_13_3_accepts(answer):
    assert check("13.3", answer).state == "right"


def both_worths(images, labels, generator, *, epochs=8):
    shuffled = labels[torch.randperm(len(labels), generator=generator)]
    return tuple(worth_of(images, y, generator, epochs).mean().item() for y in (labels, shuffled))


def worth_of(images, labels, generator, epochs=8, asked=None):
    torch.manual_seed(0)
    model = ConditionalVAE(images.shape[1:], 2, condition=2, widths=(16,))
    data = Labeled(images, labels)
    options = {"epochs": epochs, "batch_size": 50, "learning_rate": 1e-2, "transform": binarize}
    fit(model, data, ConditionalELBOLoss(), **options)
    x, y = binarize(images, generator), labels if asked is None else asked
    log_pxy = class_log_marginals(model.cpu(), x, 2, 50, generator=generator)
    return own(log_pxy, y) - log_mixture(log_pxy)


def test_13_4_accepts():
    verdict = check("13.4", both_worths)
    assert verdict.state == "right", verdict.message


def both_shuffled(images, labels, generator):
    order = torch.randperm(len(labels), generator=generator)
    true = worth_of(images, labels, generator).mean()
    return true, worth_of(images[order], labels[order], generator).mean()


def asked_about_shuffled(images, labels, generator):
    order = torch.randperm(len(labels), generator=generator)
    true = worth_of(images, labels, generator).mean()
    return true, worth_of(images, labels, generator, asked=labels[order]).mean()


WRONG_EXPERIMENTS = {
    "shuffle labels alone": both_shuffled,
    "Train a second model": asked_about_shuffled,
    "two numbers": lambda *a: 0.7,
    "average over the images": lambda x, y, g: (torch.zeros(len(x)), torch.zeros(len(x))),
    "at most log 2": lambda *a: (7.0, 0.0),
    "positive worth": lambda *a: (-9.0, 0.0),
    "train longer": lambda *a: (0.1, 0.0),
    "not finite": lambda *a: (math.nan, 0.0),
}


@pytest.mark.parametrize("hint", WRONG_EXPERIMENTS)
def test_13_4_turns_down(hint):
    verdict = check("13.4", WRONG_EXPERIMENTS[hint])
    assert verdict.state == "wrong", verdict.message
    assert hint in verdict.message, verdict.message


@pytest.mark.parametrize("number", ["13.1", "13.2", "13.3", "13.4"])
def test_a_blank_is_open(number):
    assert check(number, lambda *args: ...).state == "open"
