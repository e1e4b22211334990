"""Checks of the exercises of chapter 10, the prior and sampling from it."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from vae_course.distributions import DiagonalGaussian
from vae_course.exercises.answers import WrongAnswerError, exercise
from vae_course.priors import log_aggregate


@exercise("10.1")
def log_density_of_all_codes(answer: Callable[[Tensor, Tensor, Tensor], Tensor]) -> str:
    """log (1/N) Σ_n N(z; μ_n, diag σ_n²) of every code."""
    generator = torch.Generator().manual_seed(1)
    z, mean, log_var = torch.randn(3, 6, 2, generator=generator)
    codes = torch.cat([z, z[:3]])  # nine codes, six posteriors
    wanted = log_aggregate(codes, DiagonalGaussian(mean, log_var))
    got = answer(codes, mean, log_var)
    if not isinstance(got, Tensor) or got.shape != wanted.shape:
        shape = tuple(got.shape) if isinstance(got, Tensor) else type(got).__name__
        raise WrongAnswerError(
            f"9 codes and 6 posteriors gave {shape}; one number a code is (9,): compare every code "
            "with every posterior, z[:, None] with mean[None]; sum over latents, then posteriors"
        )
    for hint, mistake in _wrong_densities(codes, mean, log_var).items():
        if torch.allclose(got, mistake, atol=1e-4):
            raise WrongAnswerError(hint)
    if not torch.allclose(got, wanted, atol=1e-4):
        raise WrongAnswerError(
            "not log (1/N) Σ_n N(z; μ_n, diag σ_n²); mind the −½ log 2π a latent"
        )
    far = torch.full((1, 2), 60.0)
    if not torch.allclose(answer(far, mean, log_var), _log_q(far, mean, log_var), rtol=1e-3):
        raise WrongAnswerError(
            "right near the posteriors, but a code far from all of them underflows: use logsumexp"
        )
    return "right, and finite for a code in the middle of nowhere."


def _pairs(z: Tensor, mean: Tensor, log_var: Tensor) -> Tensor:
    """log N(z_i,d; μ_n,d, σ²_n,d), shape `(codes, posteriors, latent)`."""
    squares = (z[:, None] - mean).square() / log_var.exp()
    return -0.5 * (squares + log_var + math.log(2 * math.pi))


def _log_q(z: Tensor, mean: Tensor, log_var: Tensor) -> Tensor:
    return torch.logsumexp(_pairs(z, mean, log_var).sum(-1), 1) - math.log(len(mean))


def _wrong_densities(z: Tensor, mean: Tensor, log_var: Tensor) -> dict[str, Tensor]:
    """Return usual mistakes by the hint that names them."""
    pairs, log_n = _pairs(z, mean, log_var), math.log(len(mean))
    whole = pairs.sum(-1)  # (codes, posteriors)
    return {
        "off by log N: q(z) is the mean of the posteriors' densities, not their sum": (
            torch.logsumexp(whole, 1)
        ),
        "that is the mean of the logs; the logarithm comes after the mean over posteriors": (
            whole.mean(1)
        ),
        "σ² is exp(log_var); you used log_var as the log of the standard deviation": _log_q(
            z, mean, 2 * log_var
        ),
        "that is each latent's own mixture, summed: Σ_d log q(z_d). One posterior makes all "
        "latents of a code: sum over latents first, then over posteriors": (
            torch.logsumexp(pairs, 1) - log_n
        ).sum(-1),
        "that is the nearest posterior's density alone; all N contribute": whole.amax(1),
        "that is a Gaussian with the mean of the means; a mixture keeps its parts apart": _pairs(
            z, mean.mean(0, keepdim=True), log_var.exp().mean(0, keepdim=True).log()
        ).sum((-1, -2)),
        "the sign is turned round: log q(z), not −log q(z)": log_n - torch.logsumexp(whole, 1),
    }


@exercise("10.2")
def unbiased_mmd(answer: Callable[[Tensor, Tensor, Tensor], Tensor | float]) -> str:
    """MMD² from three kernel matrices, without pairs of a point with itself."""
    generator = torch.Generator().manual_seed(2)
    a, b = torch.randn(5, 2, generator=generator), 1 + torch.randn(7, 2, generator=generator)
    kernels = [torch.exp(-0.5 * torch.cdist(u, v).square()) for u, v in ((a, a), (b, b), (a, b))]
    got = answer(*kernels)
    if isinstance(got, Tensor) and got.numel() != 1:
        raise WrongAnswerError(f"MMD² is one number, not {tuple(got.shape)}: average the matrices")
    wanted = _mmd(*kernels)
    for hint, mistake in _wrong_mmds(*kernels).items():
        if math.isclose(float(got), mistake, abs_tol=1e-5):
            raise WrongAnswerError(hint)
    if not math.isclose(float(got), wanted, abs_tol=1e-5):
        raise WrongAnswerError(
            "not the mean of k(a, a') plus the mean of k(b, b') minus twice the mean of k(a, b)"
        )
    return "right: its expectation is MMD² exactly, and so it can be negative."


def _mmd(k_aa: Tensor, k_bb: Tensor, k_ab: Tensor, *, cross: float = 2.0) -> float:
    n, m = k_ab.shape
    aa = (k_aa.sum() - k_aa.trace()) / (n * (n - 1))
    bb = (k_bb.sum() - k_bb.trace()) / (m * (m - 1))
    return float(aa + bb - cross * k_ab.mean())


def _wrong_mmds(k_aa: Tensor, k_bb: Tensor, k_ab: Tensor) -> dict[str, float]:
    """Return usual mistakes by the hint that names them."""
    right = _mmd(k_aa, k_bb, k_ab)
    empty = [k - torch.diag(k.diagonal()) for k in (k_aa, k_bb)]
    return {
        "the diagonal is still in it: k(a, a) = 1 says nothing about b, and makes the estimate too "
        "large on average": float(k_aa.mean() + k_bb.mean() - 2 * k_ab.mean()),
        "that is MMD; the unbiased estimate is of its square, so take no root": math.sqrt(
            max(right, 0.0)
        ),
        "the diagonal is out, but n² is still below: n (n − 1) pairs are left": float(
            empty[0].mean() + empty[1].mean() - 2 * k_ab.mean()
        ),
        "the mixed pairs count twice: − 2 · mean of k(a, b)": _mmd(k_aa, k_bb, k_ab, cross=1.0),
        "the sign of the mixed pairs: similarity between the sets makes MMD² smaller": _mmd(
            k_aa, k_bb, k_ab, cross=-2.0
        ),
        "sums, not means: the sets may differ in size": float(
            empty[0].sum() + empty[1].sum() - 2 * k_ab.sum()
        ),
        "MMD² is turned round: pairs within a set count plus, mixed pairs minus": -right,
    }


@exercise("10.3")
def surgery_on_a_gaussian(answer: Callable[[float, float], Any]) -> str:
    """x ~ N(0, 1), q(z|x) = N(a x, s²), p(z) = N(0, 1): the two parts of the average KL."""
    for a, s in ((1.5, 0.8), (0.6, 0.3), (0.9, 1.2)):
        got = answer(a, s)
        parts = got.flatten().tolist() if isinstance(got, Tensor) else got
        if not isinstance(parts, (tuple, list)) or len(parts) != 2:
            raise WrongAnswerError("return two numbers: (mutual information, KL(q(z) ‖ p(z)))")
        information, marginal = (float(part) for part in parts)
        exact = _surgery(a, s)
        if math.isclose(information, exact[0], abs_tol=1e-4) and math.isclose(
            marginal, exact[1], abs_tol=1e-4
        ):
            continue
        raise WrongAnswerError(_hint_10_3(a, s, information, marginal))
    return "right: they add up to ½ (a² + s² − log s² − 1), the average of the closed-form KL."


def _surgery(a: float, s: float) -> tuple[float, float]:
    variance = a**2 + s**2
    return 0.5 * math.log(variance / s**2), 0.5 * (variance - 1 - math.log(variance))


def _hint_10_3(a: float, s: float, information: float, marginal: float) -> str:
    """Recognize a mistake by the value it leads to."""
    (i, kl), variance = _surgery(a, s), a**2 + s**2
    known = [
        ((kl, i), "the two are interchanged: first I(x; z), then KL(q(z) ‖ p(z))"),
        ((2 * i, 2 * kl), "a factor ½ is missing in both"),
        (
            (0.5 * math.log((a**2 + s) / s), 0.5 * (a**2 + s - 1 - math.log(a**2 + s))),
            "s is the standard deviation of q(z|x): its variance is s²",
        ),
        (
            (0.5 * math.log((a + s**2) / s**2), 0.5 * (a + s**2 - 1 - math.log(a + s**2))),
            "the variance of a x is a², not a",
        ),
        (
            (i, 0.5 * (1 / variance - 1 + math.log(variance))),
            "that is KL(p ‖ q(z)); the surgery leaves KL(q(z) ‖ p)",
        ),
        (
            (i, i + kl),
            "the second is the whole average KL: take the mutual information off it",
        ),
        (
            (0.5 * math.log(variance), kl),
            "I(x; z) is the entropy of q(z) minus that of q(z|x), whose variance is s²: "
            "½ log((a² + s²) / s²)",
        ),
    ]
    for (first, second), hint in known:
        if math.isclose(information, first, abs_tol=1e-4) and math.isclose(
            marginal, second, abs_tol=1e-4
        ):
            return hint
    if math.isclose(information + marginal, i + kl, abs_tol=1e-4):
        return "the sum is right, the division is not: q(z) is N(0, a² + s²)"
    if math.isclose(information, i, abs_tol=1e-4):
        return (
            "the mutual information is right; q(z) is N(0, a² + s²), and its KL to N(0, 1) is not"
        )
    if math.isclose(marginal, kl, abs_tol=1e-4):
        return "the marginal KL is right; the mutual information is ½ log of a ratio of variances"
    return "first find q(z), the distribution of a x + s ε: a Gaussian, with which variance?"


@exercise("10.4")
def temperatures(answer: Mapping[float, Mapping[str, float]]) -> str:
    """τ → spread of the codes, confidence of the judge, distance between samples."""
    wanted = {"code_rms", "confidence", "distance"}
    if not isinstance(answer, Mapping) or not all(
        isinstance(row, Mapping) and wanted <= set(row) for row in answer.values()
    ):
        raise WrongAnswerError(f"a dictionary: τ → a dictionary with {', '.join(sorted(wanted))}")
    taus = sorted(answer)
    if len(taus) < 3 or taus[0] > 0.6 or 1.0 not in taus:
        raise WrongAnswerError("take at least three temperatures: one of 0.6 or less, and 1 itself")
    for tau in taus:
        _check_temperature(float(tau), {name: float(answer[tau][name]) for name in wanted})
    distances = [float(answer[tau]["distance"]) for tau in taus]
    if distances[0] >= distances[taus.index(1.0)]:
        raise WrongAnswerError(
            "colder samples came out no more alike than those at τ = 1: is the distance the mean "
            "over pairs of different samples of one temperature?"
        )
    return "plausible. Did confidence rise as the codes moved to the center? Say why, or why not."


def _check_temperature(tau: float, row: dict[str, float]) -> None:
    rms = row["code_rms"]
    if abs(rms - tau) > 0.08 * tau:
        if abs(rms - math.sqrt(tau)) < 0.08 * math.sqrt(tau):
            raise WrongAnswerError(
                f"at τ = {tau:g} the codes' root mean square is √τ: τ is the standard deviation, "
                "so z = τ ε; you scaled the variance by τ"
            )
        raise WrongAnswerError(
            f"at τ = {tau:g} the root mean square of the codes' entries is {rms:.2f}: z = τ ε with "
            "ε ~ N(0, I) has τ"
        )
    if not 0 < row["confidence"] <= 1:
        raise WrongAnswerError(
            f"a confidence of {row['confidence']:g}: it is the mean over samples of the largest "
            "class probability, between 0 and 1"
        )
    if not row["distance"] > 0:
        raise WrongAnswerError("the distance between different samples is positive")
