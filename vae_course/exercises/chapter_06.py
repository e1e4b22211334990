"""Checks of the exercises of chapter 6, the loss and its scale."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from vae_course.exercises.answers import WrongAnswerError, exercise
from vae_course.objectives import gaussian_kl
from vae_course.scale import effective_beta

_BATCH, _LATENT = 5, 3


def _close(got: Tensor, wanted: Tensor) -> bool:
    return torch.allclose(got.double(), wanted.double(), rtol=1e-4, atol=1e-5)


@exercise("6.1")
def closed_form_kl(answer: Callable[[Tensor, Tensor], Tensor]) -> str:
    """½ Σ (μ² + σ² − log σ² − 1), one number an image, with its gradient."""
    generator = torch.Generator().manual_seed(6)
    mean = torch.randn(_BATCH, _LATENT, generator=generator).requires_grad_()
    log_var = torch.randn(_BATCH, _LATENT, generator=generator).requires_grad_()
    got = answer(mean, log_var)
    if not isinstance(got, Tensor):
        raise WrongAnswerError(f"it returned a {type(got).__name__}, not a tensor of shape (5,)")
    wanted = gaussian_kl(mean, log_var)
    if got.shape != (_BATCH,):
        raise WrongAnswerError(_kl_shape_hint(got, wanted))
    if not _close(got, wanted.sum(-1)):
        raise WrongAnswerError(_kl_value_hint(got, mean, log_var))
    if not got.requires_grad:
        raise WrongAnswerError(
            "the numbers are right, but no gradient reaches the encoder: remove detach, item and "
            "no_grad"
        )
    at_prior = answer(torch.zeros(2, _LATENT), torch.zeros(2, _LATENT))
    if not _close(at_prior, torch.zeros(2)):
        raise WrongAnswerError("at q = N(0, I) the divergence has to be zero")
    return "right: one number an image, zero at the prior and nowhere else."


def _kl_shape_hint(got: Tensor, wanted: Tensor) -> str:
    start = f"5 images gave shape {tuple(got.shape)} and not (5,): "
    if got.numel() == 1 and _close(got.flatten()[0], wanted.sum()):
        return start + "that is the sum over the batch; sum over the latents only, dimension −1"
    if got.numel() == 1 and _close(got.flatten()[0], wanted.sum(-1).mean()):
        return start + "that is the mean over the batch, which is the training loop's business"
    if got.numel() == 1 and _close(got.flatten()[0], wanted.mean()):
        return start + "a mean over batch and latents; the KL of an image is a sum over its latents"
    if got.shape == wanted.shape:
        return start + "the latents are still apart: sum over the last dimension"
    if got.shape == (_LATENT,):
        return start + "you summed over the batch: the latents are the last dimension"
    return start + "sum over the latents and over nothing else"


def _kl_value_hint(got: Tensor, mean: Tensor, log_var: Tensor) -> str:
    """Recognize a mistake by the numbers it gives."""
    kl = gaussian_kl(mean, log_var).sum(-1)
    square, variance, sigma = mean.square(), log_var.exp(), (0.5 * log_var).exp()
    known = {
        "exactly twice the KL: the ½ is missing": 2 * kl,
        "the sign is turned round: a divergence is never negative": -kl,
        "a mean over latents: the KL of a product of Gaussians is a *sum* over them": kl / _LATENT,
        "σ where σ² belongs: exp(log_var) is the variance already": (
            0.5 * (square + sigma - log_var - 1).sum(-1)
        ),
        "log σ where log σ² belongs: log_var is used as it is, not halved": (
            0.5 * (square + variance - 0.5 * log_var - 1).sum(-1)
        ),
        "log_var taken for log σ: it is log σ², so σ² = exp(log_var), without a 2": (
            gaussian_kl(mean, 2 * log_var).sum(-1)
        ),
        "log_var itself in the place of σ²: exponentiate it": (
            0.5 * (square + log_var - log_var - 1).sum(-1)
        ),
        "the −1 is missing, so that the KL is not zero at q = N(0, I)": (
            0.5 * (square + variance - log_var).sum(-1)
        ),
        "μ and not μ²": 0.5 * (mean + variance - log_var - 1).sum(-1),
        "the sign of log σ²: it is subtracted": 0.5 * (square + variance + log_var - 1).sum(-1),
        "the ½ stands before μ² only: it belongs to all four terms": (
            (0.5 * square + variance - log_var - 1).sum(-1)
        ),
    }
    for hint, wrong in known.items():
        if _close(got, wrong):
            return f"this is {hint}" if hint[0] in "aσμ" else hint
    return "not the KL: it is ½ (μ² + σ² − log σ² − 1), summed over the latents"


@exercise("6.2")
def best_log_likelihood(answer: Callable[[Tensor, Tensor], Tensor | float]) -> str:
    """−D/2 (log 2πσ*² + 1): the average log-likelihood of an image at the best σ."""
    generator = torch.Generator().manual_seed(7)
    for scale in (0.1, 2.0):
        x = torch.rand(_BATCH, 1, 4, 6, generator=generator, dtype=torch.float64)
        spread = torch.linspace(0.5, 2, _BATCH, dtype=torch.float64).view(-1, 1, 1, 1)
        noise = torch.randn(x.shape, generator=generator, dtype=torch.float64)
        mean = x + scale * spread * noise
        got = torch.as_tensor(answer(x, mean)).detach().double()
        if got.numel() != 1:
            raise WrongAnswerError(
                f"one number is asked for, the average over the images; yours has shape "
                f"{tuple(got.shape)}"
            )
        if not _close(got.flatten()[0], _best(x, mean)):
            raise WrongAnswerError(_best_hint(got.flatten()[0], x, mean))
    return "right: no other σ gives these images a higher likelihood."


def _best(x: Tensor, mean: Tensor) -> Tensor:
    pixels, variance = x[0].numel(), (x - mean).square().mean()
    return -0.5 * pixels * (torch.log(2 * math.pi * variance) + 1)


def _best_hint(got: Tensor, x: Tensor, mean: Tensor) -> str:
    """Recognize a mistake by the number it gives."""
    pixels, variance = x[0].numel(), (x - mean).square().mean()
    best, two_pi = _best(x, mean), math.log(2 * math.pi)
    each = (x - mean).square().flatten(1).mean(-1)
    summed = (x - mean).square().flatten(1).sum(-1)
    known = {
        "the sign: that is the negative log-likelihood": -best,
        "the ½ is missing": 2 * best,
        "a mean over pixels: the log-likelihood of an image is a sum over its D pixels": (
            best / pixels
        ),
        "summed over the images: take their average": best * len(x),
        "σ where σ² belongs: the mean squared error is σ² already, so there is no root to take": (
            -0.5 * pixels * (two_pi + 0.5 * torch.log(variance) + 1)
        ),
        "the + 1 is missing: it is ‖x − x̂‖² / (D σ*²), which does not vanish": best + pixels / 2,
        "the constant log 2π is missing: the best σ does not depend on it, the likelihood does": (
            best + pixels / 2 * two_pi
        ),
        "σ² as a sum of squared errors over pixels: it is their mean": (
            -0.5 * pixels * (two_pi + torch.log(summed.mean()) + 1)
        ),
        "every image has got a σ of its own: one σ for all of them is asked for": (
            -0.5 * pixels * (two_pi + torch.log(each).mean() + 1)
        ),
        "σ = 1: put the best σ in": -0.5 * (summed.mean() + pixels * two_pi),
    }
    for hint, wrong in known.items():
        if _close(got, wrong):
            return hint
    return (
        "not the maximum: differentiate −‖x − x̂‖² / 2σ² − D/2 log 2πσ², averaged over the images, "
        "with respect to σ², solve for σ², and put it back"
    )


@exercise("6.3")
def hidden_beta(answer: Callable[[int, int, float], float]) -> str:
    """mse_loss (mean over everything) + w · mean over batch and latents of the KL: β = D w / 2d."""
    for pixels, latents, weight in ((784, 16, 1.0), (12288, 128, 0.00025), (3072, 10, 4.0)):
        got = float(answer(pixels, latents, weight))
        wanted = effective_beta(1 / pixels, weight / latents)
        if not math.isclose(got, wanted, rel_tol=1e-4):
            raise WrongAnswerError(_beta_hint(got / wanted, pixels, latents, weight))
    return "right: both means hide a factor, and neither of them is written anywhere."


def _beta_hint(ratio: float, pixels: int, latents: int, weight: float) -> str:
    """Recognize a mistake by the factor it is off by."""
    known = {
        "the ½ is missing: the Gaussian's term is ½ ‖x − x̂‖²": 2.0,
        "the ½ is on the wrong side: it divides β": 4.0,
        "the mean over latents divides the KL by d": float(latents),
        "the mean over latents divides the KL by d, it does not multiply it": float(latents) ** 2,
        "the mean over pixels divides the squared error by D": 1 / pixels,
        "the mean over pixels divides the *error*, so it multiplies β": 1 / pixels**2,
        "w is missing": 1 / weight,
        "both means are forgotten": latents / pixels,
        "both means and the ½ are forgotten": 2 * latents / pixels,
        "the mean over latents and the ½ are forgotten": 2.0 * latents,
        "that is 1 / β: divide by the weight of the reconstruction, not by that of the KL": (
            2 * latents / (pixels * weight)
        )
        ** 2,
    }
    for hint, factor in known.items():
        if math.isclose(ratio, factor, rel_tol=1e-4) and not math.isclose(factor, 1):
            return hint
    return (
        "not β: write one image's loss as a ‖x − x̂‖² + b KL with sums in both terms, then divide "
        "by 2a"
    )


_TERMS = ("kl", "rmse", "bits_per_dim")


@exercise("6.4")
def three_sigmas(answer: Any) -> str:
    """KL, RMSE and bits/dim of VAEs that differ in σ: an identity, and two trends."""
    if not isinstance(answer, Mapping) or len(answer) < 3:
        raise WrongAnswerError(
            "hand in a dictionary with at least three values of σ: "
            "{σ: {'kl': …, 'rmse': …, 'bits_per_dim': …}, …}"
        )
    for sigma, result in answer.items():
        _require_measured(sigma, result)
        _check_bits(float(sigma), *(float(result[term]) for term in _TERMS))
    smallest, largest = min(answer), max(answer)
    if largest < 4 * smallest:
        raise WrongAnswerError("the values of σ are too close together: span a factor of 4 or more")
    if not answer[smallest]["kl"] > answer[largest]["kl"]:
        raise WrongAnswerError(
            "the smaller σ should pay the larger KL: it weighs the error more. Did the models "
            "train with different σ, or is the objective's Gaussian still the default?"
        )
    if not answer[smallest]["rmse"] < answer[largest]["rmse"]:
        raise WrongAnswerError(
            "the smaller σ should reconstruct more closely; train a little longer, or check that "
            "each model is measured with its own σ"
        )
    return "right: σ sets what a nat of code has to save, and bits/dim has its best σ in between."


def _require_measured(sigma: Any, result: Any) -> None:
    if not isinstance(sigma, (int, float)) or sigma <= 0:
        raise WrongAnswerError(f"the keys are values of σ, positive numbers, and not {sigma!r}")
    if not isinstance(result, Mapping) or not all(
        isinstance(result.get(term), (int, float)) and math.isfinite(result[term])
        for term in _TERMS
    ):
        raise WrongAnswerError(
            f"σ = {sigma} needs finite numbers 'kl', 'rmse' and 'bits_per_dim' (use .item())"
        )


def _check_bits(sigma: float, kl: float, rmse: float, bits: float) -> None:
    """bits/dim = (½ log 2πσ² + rmse² / 2σ² + KL / D + log 256) / log 2, for D = 784."""
    error = 0.5 * (rmse / sigma) ** 2
    density = 0.5 * math.log(2 * math.pi * sigma**2) + error + kl / 784
    wanted = (density + math.log(256)) / math.log(2)
    known = {
        "the 8 bits of the gray levels are missing: add log 256 to the nats": density / math.log(2),
        "nats per dimension and not bits: divide by log 2": wanted * math.log(2),
        "bits per image: divide by the number of pixels": wanted * 784,
        "the KL is missing: the bound is on log p(x), not on log p(x|z)": wanted
        - kl / 784 / math.log(2),
        "the sign: bits/dim are what an image costs": -wanted,
    }
    slack = 0.02 + 0.05 * error / math.log(2)
    if abs(bits - wanted) <= slack:
        return
    for hint, wrong in known.items():
        if abs(bits - wrong) <= slack * max(1.0, abs(wrong / wanted)):
            raise WrongAnswerError(f"σ = {sigma}: {hint}")
    raise WrongAnswerError(
        f"σ = {sigma}: with this KL and RMSE the bits/dim should be {wanted:.2f}, not {bits:.2f}: "
        "measure all three on the same dequantized images, with z drawn from q"
    )
