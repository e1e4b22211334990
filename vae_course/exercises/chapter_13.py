"""Checks of the exercises of chapter 13, conditional VAEs."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from vae_course.conditional import log_mixture, unlabeled_bound
from vae_course.distributions import DiagonalGaussian, kl
from vae_course.exercises.answers import WrongAnswerError, exercise
from vae_course.objectives import gaussian_kl


def _per_image(got: object, count: int, given: str) -> Tensor:
    """The answer as `(count,)` float64 numbers, or a hint about its shape."""
    if isinstance(got, Sequence) and all(isinstance(v, (int, float, Tensor)) for v in got):
        got = torch.tensor([float(v) for v in got], dtype=torch.float64)
    if not isinstance(got, Tensor) or got.shape != (count,):
        shape = tuple(got.shape) if isinstance(got, Tensor) else type(got).__name__
        raise WrongAnswerError(
            f"{given} gave {shape}; one number an image is ({count},): reduce the last dimension "
            "only, and take no mean over the batch"
        )
    return got.detach().double()


def _compare(got: Tensor, wanted: Tensor, mistakes: dict[str, Tensor], otherwise: str) -> None:
    """Turn a wrong answer down, by name where it is a usual one."""
    if torch.allclose(got, wanted, atol=1e-4):
        return
    for hint, mistake in mistakes.items():
        if torch.allclose(got, mistake.double(), atol=1e-4):
            raise WrongAnswerError(hint)
    raise WrongAnswerError(otherwise)


@exercise("13.1")
def kl_between_two_gaussians(answer: Callable[..., Any]) -> str:
    """KL(N(μ, σ²) ‖ N(m, s²)) from means and log-variances."""
    generator = torch.Generator().manual_seed(1)
    mean, log_var, prior_mean, prior_log_var = torch.randn(
        4, 5, 3, generator=generator, dtype=torch.float64
    )
    got = _per_image(
        answer(mean, log_var, prior_mean, prior_log_var), 5, "two Gaussians with means (5, 3)"
    )
    q, p = DiagonalGaussian(mean, log_var), DiagonalGaussian(prior_mean, prior_log_var)
    ratio, apart = log_var - prior_log_var, (mean - prior_mean).square()
    precision = torch.exp(-prior_log_var)
    mistakes = {
        "twice the KL: the ½ is missing": 2 * kl(q, p),
        "too large by ½ a latent: the −1 is missing": kl(q, p) + 1.5,
        "the arguments are swapped: that is KL(p ‖ q), which divides by q's variance": (kl(p, q)),
        "that is the KL to N(0, I): the prior has a mean and a variance of its own": (
            gaussian_kl(mean, log_var).sum(-1)
        ),
        "log_var is log σ², not log σ: exponentiate it as it is": kl(
            DiagonalGaussian(mean, 2 * log_var), DiagonalGaussian(prior_mean, 2 * prior_log_var)
        ),
        "the sign of the log-variances is turned round: it is log s² − log σ²": (
            0.5 * (ratio.exp() + apart * precision + ratio - 1).sum(-1)
        ),
        "the squared distance of the means is measured in units of the prior's s²: divide it": (
            0.5 * (ratio.exp() + apart - ratio - 1).sum(-1)
        ),
        "the prior's variance has the wrong sign in an exponent: dividing by s² is exp(−log s²)": (
            0.5 * ((log_var.exp() + apart) * prior_log_var.exp() - ratio - 1).sum(-1)
        ),
        "the distance of the means enters squared": (
            0.5 * (ratio.exp() + apart.sqrt() * precision - ratio - 1).sum(-1)
        ),
    }
    _compare(
        got,
        kl(q, p),
        mistakes,
        "not ½ Σ (log s² − log σ² + (σ² + (μ − m)²) / s² − 1), summed over latents",
    )
    return "right: zero where the two agree, and `gaussian_kl` where p is N(0, I)."


@exercise("13.2")
def what_a_label_is_worth(answer: Callable[[Tensor, Tensor, Tensor], Any]) -> str:
    """log p(x|y) − log p(x), for labels that are not equally likely."""
    generator = torch.Generator().manual_seed(2)
    log_pxy = 3 * torch.randn(6, 4, generator=generator) - 5
    log_py = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()
    y = torch.tensor([0, 3, 1, 2, 0, 3])
    got = _per_image(answer(log_pxy, log_py, y), 6, "log p(x|y) of shape (6, 4)")
    own = log_pxy.gather(1, y[:, None]).squeeze(1)
    posterior = (log_pxy + log_py).log_softmax(-1).gather(1, y[:, None]).squeeze(1)
    wanted = own - log_mixture(log_pxy, log_py)
    mistakes = {
        "the sign is turned round: it is log p(x|y) minus log p(x)": -wanted,
        "the classes are not equally likely here: weigh them by p(y)": own - log_mixture(log_pxy),
        "log p(x) is a sum weighted by p(y): log p(y) is missing inside": (
            own - torch.logsumexp(log_pxy, -1)
        ),
        "log p(x) is the log of a mean of p(x|y), not the mean of the logs": (
            own - (log_pxy * log_py.exp()).sum(-1)
        ),
        "that is log p(y|x): what the label is worth is log p(y|x) − log p(y)": posterior,
        "that is log p(x, y) − log p(x), which is log p(y|x): leave log p(y) out of the first": (
            own + log_py[y] - log_mixture(log_pxy, log_py)
        ),
        "the sum runs over the classes of one image, not over the batch": (
            own - (log_pxy + log_py).logsumexp(0)[y]
        ),
    }
    _compare(got, wanted.double(), mistakes, "not log p(x|y) − log Σ_y p(y) p(x|y), image by image")
    far = answer(log_pxy - 230, log_py, y)
    if not torch.allclose(_per_image(far, 6, "log p(x|y) near −235"), wanted.double(), atol=1e-3):
        raise WrongAnswerError(
            "right for small numbers, but exp(−235) underflows: use torch.logsumexp"
        )
    return "right, also where p(x|y) itself is zero in float32; it never exceeds −log p(y)."


@exercise("13.3")
def bound_without_a_label(answer: Callable[[Tensor, Tensor], Any]) -> str:
    """U(x) = Σ_y q(y|x) (log p(x, y) − log q(y|x))."""
    generator = torch.Generator().manual_seed(3)
    elbos = 2 * torch.randn(5, 3, generator=generator) - 8
    log_q = torch.randn(5, 3, generator=generator).log_softmax(-1)
    got = _per_image(answer(elbos, log_q), 5, "ELBOs of shape (5, 3)")
    log_joint = elbos - math.log(3)
    q, entropy = log_q.exp(), -(log_q.exp() * log_q).sum(-1)
    wanted = unlabeled_bound(log_joint, log_q)
    average = (q * log_joint).sum(-1)
    mistakes = {
        "the sign of the entropy is turned round: spreading q(y|x) is rewarded": average - entropy,
        "the entropy of q(y|x) is missing": average,
        "log p(y) = −log(classes) is missing: it belongs to log p(x, y)": wanted + math.log(3),
        "the entropy is missing, and so is log p(y)": (q * elbos).sum(-1),
        "every class has the same weight: weigh them by q(y|x)": log_joint.mean(-1) + entropy,
        "the entropy's sign is turned round, and log p(y) is missing": (
            (q * elbos).sum(-1) - entropy
        ),
        "that is log Σ_y p(x, y): q(y|x) does not occur in it, so it would learn nothing": (
            log_joint.logsumexp(-1)
        ),
        "the logarithm comes before the mean over q(y|x), not after it": (
            (log_q + log_joint).logsumexp(-1) + entropy
        ),
        "the log of a mean over q(y|x): take the mean of the logs, plus the entropy": (
            (log_q + log_joint).logsumexp(-1)
        ),
        "that is a loss: the bound is its negative": -wanted,
    }
    _compare(got, wanted.double(), mistakes, "not Σ_y q(y|x) (ELBO(x|y) + log p(y) − log q(y|x))")
    return "right: at the best q(y|x), the posterior of y, it is log Σ_y p(x, y)."


@exercise("13.4")
def labels_that_say_nothing(
    answer: Callable[[Tensor, Tensor, torch.Generator], Any],
) -> str:
    """Worth of a label, true and shuffled, on stripes that lie across or down."""
    generator = torch.Generator().manual_seed(4)
    labels = torch.randint(0, 2, (600,), generator=generator)
    stripes = torch.tensor([20.0, 235.0]).repeat(2).expand(4, 4)
    gray = torch.where(labels[:, None, None].bool(), stripes, stripes.T)
    images = gray.to(torch.uint8).unsqueeze(1).contiguous()
    got = answer(images, labels, generator)
    if not isinstance(got, (tuple, list)) or len(got) != 2:
        raise WrongAnswerError("return two numbers: the worth of the true, of the shuffled labels")
    for value in got:
        if isinstance(value, Tensor) and value.numel() != 1:
            raise WrongAnswerError("one number for each kind of labels: average over the images")
    true, shuffled = float(got[0]), float(got[1])
    if not (math.isfinite(true) and math.isfinite(shuffled)):
        raise WrongAnswerError(f"{true}, {shuffled}: not finite")
    if true > math.log(2) + 0.05:
        raise WrongAnswerError(
            f"{true:.2f} nats for a label of two equally likely classes is impossible: at most "
            "log 2. Is log p(x) the same model's log Σ_y p(y) p(x|y), averaged over images?"
        )
    if true < -1:
        raise WrongAnswerError(
            f"{true:.2f} nats: a label that helps has a positive worth, log p(x|y) − log p(x)"
        )
    if true < 0.5:
        raise WrongAnswerError(
            f"the true labels decide between stripes across and down, so they are worth almost "
            f"log 2, not {true:.2f} nats: train longer, and give the model images with *their* "
            "labels"
        )
    if shuffled < -0.5:
        raise WrongAnswerError(
            f"{shuffled:.2f} nats: the model was trained on true labels and asked about shuffled "
            "ones. Train a second model on the shuffled labels"
        )
    if shuffled > 0.2:
        raise WrongAnswerError(
            f"{shuffled:.2f} nats for labels that say nothing: shuffle labels alone, not images "
            "and labels together"
        )
    return "right: the model learns to ignore what tells it nothing."
