"""Checks of the exercises of chapter 15, hierarchical VAEs."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from vae_course.distributions import DiagonalGaussian, diagonal_kl, precision_weighted
from vae_course.exercises.answers import WrongAnswerError, exercise

TwoGaussians = Callable[[Tensor, Tensor, Tensor, Tensor], Any]


def _gaussians(seed: int, batch: int = 5, latent: int = 3) -> tuple[Tensor, ...]:
    """Means and log-variances of q and p, none of them special."""
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(4, batch, latent, generator=generator).unbind(0))


def _as_tensor(got: Any, what: str) -> Tensor:
    try:
        return got.detach().double() if isinstance(got, Tensor) else torch.tensor(got).double()
    except (TypeError, ValueError, RuntimeError):
        raise WrongAnswerError(f"return {what}, not a {type(got).__name__}") from None


def _same(got: Tensor, wanted: Tensor) -> bool:
    return got.shape == wanted.shape and torch.allclose(got, wanted.double(), atol=1e-4, rtol=1e-3)


@exercise("15.1")
def kl_between_two_gaussians(answer: TwoGaussians) -> str:
    """KL(q ‖ p) of diagonal Gaussians, summed over the latents of a layer."""
    numbers = _gaussians(1)
    got = _as_tensor(answer(*numbers), "a tensor (batch,)")
    q, p = DiagonalGaussian(*numbers[:2]), DiagonalGaussian(*numbers[2:])
    each = diagonal_kl(q, p)
    if got.shape != (5,):
        hints = {
            (): "one number for the whole batch; keep the images apart: (batch,)",
            (5, 3): "each latent has its KL; sum over the last dimension for the layer's",
            (3,): "the images were added up; sum over the latents, which are the last dimension",
        }
        shape = tuple(got.shape)
        raise WrongAnswerError(hints.get(shape, f"(5, 3) latents gave {shape}, not (5,)"))
    if _same(got, each.mean(-1)):
        raise WrongAnswerError("mean over the latents: nats of a layer add up, so sum")
    for hint, wrong in _wrong_kls(*numbers).items():
        if _same(got, wrong.sum(-1)):
            raise WrongAnswerError(hint)
    if not _same(got, each.sum(-1)):
        raise WrongAnswerError(
            "not ½ Σ (log σ_p² − log σ_q² + (σ_q² + (μ_q − μ_p)²) / σ_p² − 1): compare term by "
            "term with p = N(0, 1), where it is the KL of chapter 5"
        )
    return "right; at p = N(0, I) it is the KL of a plain VAE."


def _wrong_kls(mq: Tensor, lq: Tensor, mp: Tensor, lp: Tensor) -> dict[str, Tensor]:
    """The usual mistakes, latent by latent."""
    q, p = DiagonalGaussian(mq, lq), DiagonalGaussian(mp, lp)
    right, square = diagonal_kl(q, p), (mq - mp) ** 2
    scale = 0.5 * (lp - lq + ((lq / 2).exp() + square) / (lp / 2).exp() - 1)
    sigma = 0.5 * (lp - lq + (lq.exp() + square) * (-lp / 2).exp() - 1)
    return {
        "the two are swapped: that is KL(p ‖ q); the average is over q": diagonal_kl(p, q),
        "twice too large: the ½ is missing": 2 * right,
        "the log ratio has the other sign: it is log σ_p² − log σ_q²": right + (lq - lp),
        "the −1 is missing: at q = p the KL has to be 0": right + 0.5,
        "σ where σ² belongs: the inputs are log σ², so σ² = exp(log_var)": scale,
        "p's σ where σ_p² belongs: divide by exp(log_var_p)": sigma,
        "the log ratio is log σ_p² − log σ_q² inside the ½: yours weighs twice": right
        + 0.5 * (lp - lq),
        "the log ratio is missing": right - 0.5 * (lp - lq),
        "the means' distance is missing": right - 0.5 * square * (-lp).exp(),
        "the means' distance is not divided by σ_p²": right + 0.5 * square * (1 - (-lp).exp()),
        "that is KL(q ‖ N(0, I)): p's own mean and variance are not in it": 0.5
        * (mq**2 + lq.exp() - lq - 1),
    }


@exercise("15.2")
def merge_two_gaussians(answer: TwoGaussians) -> str:
    """Precisions add; means are weighted by precisions."""
    numbers = _gaussians(2)
    returned = answer(*numbers)
    if not isinstance(returned, (tuple, list)) or len(returned) != 2:
        raise WrongAnswerError("return two tensors, the mean and the log-variance")
    mean, log_var = (_as_tensor(part, "two tensors (batch, latent)") for part in returned)
    if mean.shape != (5, 3) or log_var.shape != (5, 3):
        raise WrongAnswerError(
            f"(5, 3) latents gave {tuple(mean.shape)} and {tuple(log_var.shape)}: every latent is "
            "merged by itself, nothing is added up over latents or images"
        )
    right = precision_weighted(DiagonalGaussian(*numbers[:2]), DiagonalGaussian(*numbers[2:]))
    _check_merged_variance(log_var, right.log_var, numbers[1], numbers[3])
    _check_merged_mean(mean, right.mean, numbers)
    return "right: what says more counts more, and two witnesses are surer than either."


def _check_merged_variance(got: Tensor, right: Tensor, le: Tensor, lp: Tensor) -> None:
    wrong = {
        "that is the variance; take its logarithm": right.exp(),
        "that is the standard deviation; the second number is log σ²": (right / 2).exp(),
        "that is log σ, not log σ²": right / 2,
        "that is the precision's logarithm: log σ² is minus that": -right,
        "the variances were added: precisions 1/σ² are": torch.logaddexp(le, lp),
        "the variances were averaged: the merged Gaussian is narrower than both": torch.logaddexp(
            le, lp
        )
        - math.log(2),
        "the log-variances were averaged: the merged Gaussian is narrower than both": (le + lp) / 2,
        "the precisions were averaged, not added": right + math.log(2),
        "precision is 1/σ², and yours is 1/σ": -2 * torch.logaddexp(-le / 2, -lp / 2),
    }
    for hint, other in wrong.items():
        if _same(got, other):
            raise WrongAnswerError(hint)
    if not _same(got, right):
        raise WrongAnswerError("the log-variance is not −log(1/σ̂² + 1/σ_p²)")


def _check_merged_mean(got: Tensor, right: Tensor, numbers: tuple[Tensor, ...]) -> None:
    me, le, mp, lp = numbers
    precision = (-le).exp() + (-lp).exp()
    wrong = {
        "the means were averaged alike: weigh each by its precision": (me + mp) / 2,
        "each mean has the other's weight: the *narrow* Gaussian counts more": me + mp - right,
        "weighted, but not divided by the sum of the precisions": right * precision,
        "the weights are 1/σ, not 1/σ²": me + (mp - me) * ((le - lp) / 2).sigmoid(),
    }
    for hint, other in wrong.items():
        if _same(got, other):
            raise WrongAnswerError(hint)
    if not _same(got, right):
        raise WrongAnswerError("the mean is not σ² (μ̂ / σ̂² + μ_p / σ_p²)")


@exercise("15.3")
def two_linear_layers_are_one(answer: Callable[[Tensor, float, Tensor], Any]) -> str:
    """V with V Vᵀ = W (B Bᵀ + s² I) Wᵀ: the one layer that has the same p(x)."""
    generator = torch.Generator().manual_seed(3)
    for s in (0.5, 1.7):
        b = torch.randn(3, 2, generator=generator, dtype=torch.float64)
        w = torch.randn(6, 3, generator=generator, dtype=torch.float64)
        v = _as_tensor(answer(b, s, w), "a matrix (observed, latent)")
        if v.dim() != 2 or len(v) != 6:
            raise WrongAnswerError(
                f"W is (6, 3) and V came out as {tuple(v.shape)}: it maps u to x, so it has a row "
                "for each of the 6 observed dimensions"
            )
        _check_one_layer(v, b, s, w)
    return "right: the same p(x), by one layer. Without nonlinearities a stack buys nothing."


def _check_one_layer(v: Tensor, b: Tensor, s: float, w: Tensor) -> None:
    eye = torch.eye(3, dtype=torch.float64)
    z1 = b @ b.T + s**2 * eye
    spread, right = v @ v.T, w @ z1 @ w.T
    if _same(v, right):
        raise WrongAnswerError("that is the covariance of W z₁; V is a matrix *root* of it")
    wrong = {
        "W B has lost the noise of z₁: Cov z₁ = B Bᵀ + s² I": w @ b @ (w @ b).T,
        "s where s² belongs: the variance of the noise is s²": w @ (b @ b.T + s * eye) @ w.T,
        "Cov z₁ itself instead of a root of it: V Vᵀ has to be W Cov(z₁) Wᵀ": w @ z1 @ z1 @ w.T,
        "that maps z₁ to x, but z₁ is not N(0, I): its covariance is B Bᵀ + s² I": w @ w.T,
    }
    for hint, other in wrong.items():
        if _same(spread, other):
            raise WrongAnswerError(hint)
    if not _same(spread, right):
        raise WrongAnswerError(
            "V Vᵀ is not the covariance of W z₁. First Cov z₁ for z₁ = B z₂ + s ε, then of W z₁, "
            "and V with V Vᵀ equal to that: W times a Cholesky factor of Cov z₁, say"
        )


@exercise("15.4")
def free_bits_by_layer(answer: Mapping[float, Mapping[str, Any]]) -> str:
    """λ → reconstruction, KL of each layer, and the ELBO without the floor."""
    if not isinstance(answer, Mapping) or not all(isinstance(r, Mapping) for r in answer.values()):
        raise WrongAnswerError("hand in a dictionary: λ → {'reconstruction', 'kl', 'elbo'}")
    positive = sorted(nats for nats in answer if nats > 0)
    if 0 not in answer or len(positive) < 2:
        raise WrongAnswerError("λ = 0 and at least two positive λ are needed to see a trend")
    for nats, row in answer.items():
        _check_row(float(nats), row)
    for nats in positive:
        least = min(row_kl(answer[nats]))
        if least < 0.3 * nats:
            raise WrongAnswerError(
                f"at λ = {nats:g} a layer has {least:.2f} nats: a layer below λ feels no pressure, "
                "and should come near it. Is λ handed to the objective, and are these the KLs of "
                "whole layers, in nats per image?"
            )
    free, least_free = min(row_kl(answer[positive[-1]])), min(row_kl(answer[0]))
    if free <= least_free:
        raise WrongAnswerError(
            f"the emptiest layer has {least_free:.2f} nats without free bits and {free:.2f} with "
            f"λ = {positive[-1]:g}: try a larger λ, or a stack with an unused layer"
        )
    best = max(answer, key=lambda nats: float(answer[nats]["elbo"]))
    return (
        f"it hangs together: the floor holds every layer up. Best ELBO at λ = {best:g}; a layer "
        "that is *paid* for is not yet a layer that is *worth* it."
    )


def row_kl(row: Mapping[str, Any]) -> list[float]:
    """The layers' KLs of one run, as floats."""
    return [float(kl) for kl in row["kl"]]


def _check_row(nats: float, row: Mapping[str, Any]) -> None:
    missing = {"reconstruction", "kl", "elbo"} - set(row)
    if missing:
        raise WrongAnswerError(f"λ = {nats:g} lacks {', '.join(sorted(missing))}")
    try:
        kl = row_kl(row)
    except TypeError:
        raise WrongAnswerError("'kl' is a list with one number for each layer") from None
    reconstruction, elbo = float(row["reconstruction"]), float(row["elbo"])
    if len(kl) < 2:
        raise WrongAnswerError("'kl' has one layer: the stack needs at least two")
    if reconstruction < 0 or elbo > 0:
        raise WrongAnswerError(
            "reconstruction is −log p(x|z), positive for zeros and ones, and the ELBO is negative"
        )
    wanted = -reconstruction - sum(kl)
    floored = -reconstruction - sum(max(nats, each) for each in kl)
    if abs(elbo - wanted) > 0.05:
        if abs(elbo - floored) < 0.05:
            raise WrongAnswerError(
                "that is minus the loss, with its floor: the ELBO charges the KLs as they are"
            )
        raise WrongAnswerError(
            f"at λ = {nats:g} the ELBO is {elbo:.2f}, but −reconstruction − Σ KL is {wanted:.2f}"
        )
