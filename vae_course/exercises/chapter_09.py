"""Checks of the exercises of chapter 9, training a VAE."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from vae_course.distributions import DiagonalGaussian
from vae_course.exercises.answers import WrongAnswerError, exercise
from vae_course.likelihoods import BernoulliLikelihood
from vae_course.objectives import gaussian_kl

_BATCH, _LATENT, _IMAGE = 6, 3, (1, 4, 5)
_BETA = 2.5
Loss = Callable[..., Tensor]


@exercise("9.1")
def beta_elbo_loss(answer: Loss) -> str:
    """−log p(x|z) + β KL(q ‖ N(0, I)), one number an image, with a gradient to all three."""
    mean, log_var, logits, x = _posterior_and_images()
    got = answer(DiagonalGaussian(mean, log_var), BernoulliLikelihood()(logits), x, _BETA)
    reconstruction, kl = _terms(mean, log_var, logits, x)
    wanted = reconstruction + _BETA * kl
    if not isinstance(got, Tensor):
        raise WrongAnswerError(
            f"it returned a {type(got).__name__}, not a tensor of shape (batch,)"
        )
    if got.shape != wanted.shape:
        raise WrongAnswerError(_shape_hint(got, reconstruction, kl))
    if not torch.allclose(got, wanted, atol=1e-3):
        raise WrongAnswerError(_value_hint(got, mean, log_var, reconstruction, kl))
    _check_gradients(got, {"q.mean": mean, "q.log_var": log_var, "the logits": logits})
    return "one number an image, in nats, and the gradient reaches encoder and decoder."


def _posterior_and_images() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(9)
    mean = torch.randn(_BATCH, _LATENT, generator=generator).requires_grad_()
    log_var = torch.randn(_BATCH, _LATENT, generator=generator).requires_grad_()
    logits = torch.randn(_BATCH, *_IMAGE, generator=generator).requires_grad_()
    x = torch.randint(0, 2, (_BATCH, *_IMAGE), generator=generator).float()
    return mean, log_var, logits, x


def _terms(mean: Tensor, log_var: Tensor, logits: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    reconstruction = -BernoulliLikelihood()(logits).log_prob(x)
    return reconstruction, gaussian_kl(mean, log_var).sum(-1)


def _shape_hint(got: Tensor, reconstruction: Tensor, kl: Tensor) -> str:
    wrong = f"{_BATCH} images gave shape {tuple(got.shape)} and not ({_BATCH},): "
    pixels = math.prod(_IMAGE)
    scalars = {
        "that is the mean over the batch; return every image's loss and leave the mean to the "
        "training loop": (reconstruction + _BETA * kl).mean(),
        "that is the sum over the batch, which grows with the batch; return every image's loss": (
            reconstruction + _BETA * kl
        ).sum(),
        'reduction="mean" averages over pixels as well as images, which divides the '
        "reconstruction by the number of pixels": (reconstruction / pixels + _BETA * kl).mean(),
        "the reconstruction is averaged over pixels and the KL over latents: sum both": (
            reconstruction / pixels + _BETA * kl / _LATENT
        ).mean(),
    }
    for hint, value in scalars.items():
        if got.numel() == 1 and torch.allclose(got.flatten()[0], value, atol=1e-3):
            return wrong + hint
    if got.numel() == 1:
        return wrong + (
            "one number for the whole batch (a mean, a sum, or a reduction inside a loss function);"
            " sum over pixels and latents only"
        )
    if got.dim() == 2 and got.shape[-1] == _LATENT:
        return wrong + "the KL is still apart for each latent: sum over the last dimension"
    return wrong + "sum over pixels (the likelihood's log_prob does) and over latents, no further"


def _value_hint(
    got: Tensor, mean: Tensor, log_var: Tensor, reconstruction: Tensor, kl: Tensor
) -> str:
    """Recognize a mistake by the numbers it gives."""
    as_log_sigma = gaussian_kl(mean, 2 * log_var).sum(-1)
    sigma = 0.5 * (mean.square() + (0.5 * log_var).exp() - log_var - 1).sum(-1)
    no_one = 0.5 * (mean.square() + log_var.exp() - log_var).sum(-1)
    pixels = math.prod(_IMAGE)
    known = {
        "the sign: that is the ELBO, and a loss is its negative": -reconstruction - _BETA * kl,
        "the sign of the KL: −ELBO is −log p(x|z) plus β KL": reconstruction - _BETA * kl,
        "the sign of the reconstruction: it is −log p(x|z)": -reconstruction + _BETA * kl,
        "the KL is missing": reconstruction,
        "the reconstruction is missing": _BETA * kl,
        "β is missing: it multiplies the KL": reconstruction + kl,
        "β multiplies the KL only, not the reconstruction": _BETA * (reconstruction + kl),
        "the reconstruction is a mean over pixels: sum them, or you divide it by their number": (
            reconstruction / pixels + _BETA * kl
        ),
        "the KL is a mean over latents: sum them": reconstruction + _BETA * kl / _LATENT,
        "the ½ of the KL is missing": reconstruction + 2 * _BETA * kl,
        "log_var is log σ², and you used it as log σ": reconstruction + _BETA * as_log_sigma,
        "the KL has σ² = exp(log_var), and you used σ": reconstruction + _BETA * sigma,
        "the −1 of the KL is missing": reconstruction + _BETA * no_one,
        "the KL is summed over the batch too: sum over the last dimension only": (
            reconstruction + _BETA * kl.sum()
        ),
        "the KL is averaged over the batch: every image pays for its own code": (
            reconstruction + _BETA * kl.mean()
        ),
    }
    for hint, values in known.items():
        if torch.allclose(got, values, atol=1e-3):
            return hint
    return "the shape is right and the numbers are not: compare term by term with (9.5)"


def _check_gradients(loss: Tensor, inputs: Mapping[str, Tensor]) -> None:
    for name, value in inputs.items():
        gradient = None
        if loss.requires_grad:
            (gradient,) = torch.autograd.grad(
                loss.sum(), value, retain_graph=True, allow_unused=True
            )
        if gradient is None:
            raise WrongAnswerError(
                f"the values are right, but no gradient reaches {name}: is there a detach, a "
                "no_grad or an .item() on the way?"
            )


@exercise("9.2")
def independent_pixels(answer: Callable[[Tensor], Tensor | float]) -> str:
    """Σ_d H(m_d): the sum of the pixels' binary entropies."""
    generator = torch.Generator().manual_seed(92)
    chances = torch.rand(1, 5, 4, generator=generator)
    chances[0, 0, :2] = torch.tensor([0.0, 1.0])  # pixels that never change
    x = torch.bernoulli(chances.expand(64, -1, -1, -1), generator=generator)
    got = torch.as_tensor(answer(x))
    if got.numel() != 1:
        raise WrongAnswerError(
            f"64 images gave shape {tuple(got.shape)}: the mean over images of a sum over pixels "
            "is one number"
        )
    value, wanted = float(got), _entropy(x.mean(0))
    if math.isnan(value):
        raise WrongAnswerError(
            "NaN: a pixel that never changes has m = 0 or 1, and 0 · log 0 is 0 here: torch.xlogy"
        )
    if abs(value - wanted) > 0.01:
        raise WrongAnswerError(_hint_9_2(value, wanted, x))
    return "the entropy of the pixels, each by itself: no model without a latent does better."


def _entropy(m: Tensor) -> float:
    return -float((torch.xlogy(m, m) + torch.xlogy(1 - m, 1 - m)).sum())


def _hint_9_2(value: float, wanted: float, x: Tensor) -> str:
    pixels = x[0].numel()
    m = x.mean(0)
    known = {
        "that is in bits; nats take the natural logarithm": wanted / math.log(2),
        "that is the mean over pixels: an image costs their sum": wanted / pixels,
        "that is the sum over images: the cost per image is the mean": wanted * len(x),
        "the sign: a cost is −log p": -wanted,
        "that is one probability shared by all pixels: each pixel has its own": (
            pixels * _entropy(x.mean())
        ),
        "that is the fair coin, π = ½ everywhere: π = m is cheaper": pixels * math.log(2),
        "only the ones are counted: a zero costs −log(1 − π)": -float(torch.xlogy(m, m).sum()),
    }
    for hint, number in known.items():
        if math.isclose(value, number, rel_tol=2e-3):
            return hint
    return f"off by {value - wanted:.3f} nats: put π = m into the expression of (a)"


@exercise("9.3")
def latent_sizes(answer: Mapping[int, Mapping[str, Any]]) -> str:
    """The measured terms fit together, and fit what more latents can and cannot do."""
    rows = _rows(answer)
    for latents, row in rows.items():
        _check_row(latents, row)
    small, large = rows[min(rows)], rows[max(rows)]
    if large["elbo"] <= small["elbo"]:
        raise WrongAnswerError(
            "more latents gave a worse ELBO: with the same budget they can always ignore the "
            "surplus. Train both a little longer, and with the same settings"
        )
    if large["reconstruction"] >= small["reconstruction"] or large["kl"] <= small["kl"]:
        raise WrongAnswerError(
            "more latents should raise the KL and lower the reconstruction term; are two columns "
            "or two rows exchanged?"
        )
    saved = small["reconstruction"] - large["reconstruction"]
    paid = large["kl"] - small["kl"]
    return f"{paid:.1f} nats more KL bought {saved:.1f} nats of reconstruction."


def _rows(answer: Any) -> dict[int, dict[str, float]]:
    if not isinstance(answer, Mapping) or len(answer) < 2:
        raise WrongAnswerError("a dictionary with two rows or more: latent size → measurements")
    if not {type(latents) for latents in answer} <= {int} or min(answer) != 1 or max(answer) < 8:
        raise WrongAnswerError("the keys are latent sizes: 1, and one that is at least 8")
    names = ("elbo", "reconstruction", "kl", "active")
    for latents, row in answer.items():
        missing = [name for name in names if name not in row]
        if missing:
            raise WrongAnswerError(f"the row of {latents} latents has no {', '.join(missing)}")
    return {n: {name: float(row[name]) for name in names} for n, row in answer.items()}


def _check_row(latents: int, row: Mapping[str, float]) -> None:
    here = f"{latents} latents: "
    if row["elbo"] > 0:
        raise WrongAnswerError(
            here + "the ELBO of binary images is negative; a positive number is −ELBO, the loss"
        )
    if row["kl"] < 0:
        raise WrongAnswerError(here + "a KL divergence is never negative")
    if row["reconstruction"] < 50:
        raise WrongAnswerError(
            here + "a reconstruction of so few nats means a mean over pixels: sum over pixels, "
            "mean over images"
        )
    if row["reconstruction"] > 784 * math.log(2):
        raise WrongAnswerError(
            here + "worse than coin tosses, 784 log 2 nats an image: is it a sum over images?"
        )
    if abs(row["elbo"] + row["reconstruction"] + row["kl"]) > 0.1:
        raise WrongAnswerError(here + "ELBO = −reconstruction − KL does not hold (β = 1)")
    if not 0 <= row["active"] <= latents:
        raise WrongAnswerError(here + "more active latents than there are, or fewer than none")
