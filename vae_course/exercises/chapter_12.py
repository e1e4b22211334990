"""Checks of the exercises of chapter 12, β-VAE and disentanglement."""

import math
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from vae_course.disentangling import capacity_penalty
from vae_course.exercises.answers import WrongAnswerError, exercise


@exercise("12.1")
def penalty_on_the_capacity(answer: Callable[[Tensor, float, float], Tensor | float]) -> str:
    """γ · |mean KL − C|, with the absolute value outside the mean."""
    kl = torch.tensor([0.5, 1.0, 2.0, 6.5, 4.0])  # mean 2.8
    for capacity, gamma in ((4.5, 3.0), (2.0, 10.0)):
        got = torch.as_tensor(answer(kl, capacity, gamma)).float()
        if got.shape != ():
            raise WrongAnswerError(
                f"five KLs gave {tuple(got.shape)}; the penalty is one number, a property of the "
                "batch: take the mean KL first"
            )
        if torch.isclose(got, capacity_penalty(kl, capacity, gamma), atol=1e-4):
            continue
        for hint, mistake in _wrong_penalties(kl, capacity, gamma).items():
            if torch.isclose(got, mistake, atol=1e-4):
                raise WrongAnswerError(hint)
        raise WrongAnswerError(f"at C = {capacity} it is not γ · |mean KL − C|")
    return "right: single images may use more than C or less; only their mean is held."


def _wrong_penalties(kl: Tensor, capacity: float, gamma: float) -> dict[str, Tensor]:
    """Return usual mistakes by the hint that names them."""
    off = kl.mean() - capacity
    return {
        "that is the mean of |KL − C| over images: it forces every image to use C nats; the "
        "absolute value belongs outside the mean": gamma * (kl - capacity).abs().mean(),
        "the KLs are summed over the batch, so the batch's size decides what C means: take the "
        "mean": gamma * (kl.sum() - capacity).abs(),
        "summed over the batch: it is one penalty for the batch": gamma
        * (kl - capacity).abs().sum(),
        "γ is missing": off.abs(),
        "without the absolute value a KL below C is rewarded instead of punished": gamma * off,
        "a KL below C costs, too: the penalty is not max(0, mean KL − C)": gamma * off.clamp(min=0),
        "that is the square; Burgess et al. take the absolute value": gamma * off.square(),
    }


@exercise("12.2")
def permutation_of_columns(answer: Callable[[Tensor, torch.Generator], Tensor]) -> str:
    """Each column shuffled by itself: margins stay, dependence goes."""
    generator = torch.Generator().manual_seed(1)
    first = torch.randn(400, generator=generator)
    z = torch.stack([first, first + 10, -first], -1)  # three columns that say the same
    kept = z.clone()
    got = answer(z, generator)
    if not isinstance(got, Tensor) or got.shape != z.shape:
        shape = tuple(got.shape) if isinstance(got, Tensor) else type(got).__name__
        raise WrongAnswerError(f"codes (400, 3) gave {shape}: the shape stays what it is")
    if not torch.equal(z, kept):
        raise WrongAnswerError("it changes z itself, whose gradient the encoder needs: make a copy")
    if torch.equal(got, z):
        raise WrongAnswerError("nothing is shuffled")
    if torch.equal(got.sort(-1).values, z.sort(-1).values) or got[:, 0].max() > 5:
        raise WrongAnswerError(
            "values have moved from one column to another: shuffle over the batch, the rows"
        )
    if not torch.allclose(got.sort(0).values, z.sort(0).values):
        raise WrongAnswerError(
            "some values are there twice and others not at all: permute, do not draw with "
            "replacement"
            if bool(torch.isin(got, z).all())
            else "these are other numbers than z's"
        )
    if torch.allclose(got[:, 1], got[:, 0] + 10, atol=1e-4) or torch.allclose(
        got[:, 2], -got[:, 0], atol=1e-4
    ):
        raise WrongAnswerError(
            "the rows are permuted together, so the columns still depend on one another: each "
            "column needs a permutation of its own"
        )
    _check_randomness(answer, z)
    return "right: each column keeps its values, and no row is left as it was."


def _check_randomness(answer: Callable[[Tensor, torch.Generator], Tensor], z: Tensor) -> None:
    """The permutations are random, and come from the generator."""
    draws = [answer(z, torch.Generator().manual_seed(seed)) for seed in (2, 2, 3)]
    if not torch.equal(draws[0], draws[1]):
        raise WrongAnswerError("one generator state gave two results: draw from the generator")
    if torch.equal(draws[0], draws[2]):
        raise WrongAnswerError("two generators gave one result: a fixed shift is no permutation")
    correlation = torch.corrcoef(draws[0].T).abs()
    if float((correlation - torch.eye(3)).max()) > 0.25:
        raise WrongAnswerError("the columns still depend on one another after the shuffle")


@exercise("12.3")
def gap_of_mutual_information(answer: Callable[[Tensor, Tensor], Tensor | float]) -> str:
    """1/K Σ_k (largest − second largest of row k) / H(v_k)."""
    generator = torch.Generator().manual_seed(1)
    for factors, latents in ((3, 3), (2, 5)):
        information = torch.rand(factors, latents, generator=generator)
        entropy = 1 + torch.rand(factors, generator=generator)
        kept = information.clone()
        got = torch.as_tensor(answer(information, entropy)).float()
        if not torch.equal(information, kept):
            raise WrongAnswerError("it changes the matrix it was given: sort a copy")
        if got.shape != ():
            raise WrongAnswerError(f"one number, not {tuple(got.shape)}: average over the factors")
        for hint, mistake in _wrong_gaps(information, entropy).items():
            if torch.isclose(got, mistake, atol=1e-4):
                raise WrongAnswerError(hint)
        if not torch.isclose(got, _gap(information, entropy), atol=1e-4):
            raise WrongAnswerError(
                "for each factor: the largest minus the second largest I(z_j; v_k), divided by "
                "H(v_k); then the mean"
            )
    return "right, also with more latents than factors."


def _gap(information: Tensor, entropy: Tensor) -> Tensor:
    top = information.topk(2, dim=1).values
    return ((top[:, 0] - top[:, 1]) / entropy).mean()


def _wrong_gaps(information: Tensor, entropy: Tensor) -> dict[str, Tensor]:
    """Return usual mistakes by the hint that names them."""
    top = information.topk(2, dim=1).values
    gap = top[:, 0] - top[:, 1]
    columns = information.topk(2, dim=0).values
    by_column = columns[0] - columns[1]
    mistakes = {
        "the gap is between two latents for one factor: take the top two along the latents, not "
        "along the factors": by_column.mean() / entropy.mean(),
        "divide each gap by the factor's entropy, else a factor of many values counts for more": (
            gap.mean()
        ),
        "divide each factor's gap by its own entropy before the mean": gap.mean() / entropy.mean(),
        "that is the largest minus the mean: the gap is to the second largest": (
            ((top[:, 0] - information.mean(1)) / entropy).mean()
        ),
        "that is the largest minus the smallest: the gap is to the second largest": (
            ((top[:, 0] - information.amin(1)) / entropy).mean()
        ),
        "that is the mean of the largest: subtract the second largest": (
            (top[:, 0] / entropy).mean()
        ),
        "a gap relative to the largest information hides that nothing may be known: divide by "
        "the entropy": (gap / top[:, 0]).mean(),
        "summed over the factors: take the mean": (gap / entropy).sum(),
    }
    if len(entropy) == len(by_column):
        mistakes["the top two are taken along the factors; the gap is between two latents"] = (
            by_column / entropy
        ).mean()
    return mistakes


@exercise("12.4")
def kl_of_a_gaussian_taken_apart(answer: Callable[[Tensor, float], Any]) -> str:
    """x ~ N(0, I), z = A x + s ε: the three parts in closed form."""
    generator = torch.Generator().manual_seed(1)
    for s in (0.5, 1.3):
        a = torch.randn(2, 3, generator=generator, dtype=torch.float64)
        try:
            got = torch.tensor([float(part) for part in answer(a, s)], dtype=torch.float64)
        except TypeError:
            got = torch.empty(0)
        if got.shape != (3,):
            raise WrongAnswerError(
                "return three numbers: (mutual information, total correlation, dimension-wise KL)"
            )
        wanted = torch.stack(_parts(a @ a.T + s * s * torch.eye(2), 2 * math.log(s)))
        if not torch.allclose(got, wanted, atol=1e-6):
            raise WrongAnswerError(_hint_12_4(a, s, got, wanted))
    return "right, and the three add up to the average KL."


def _parts(covariance: Tensor, log_variance: float) -> tuple[Tensor, Tensor, Tensor]:
    """MI, TC and dimension-wise KL of q(z) = N(0, S), with q(z|x) of one variance."""
    log_det, diagonal = torch.logdet(covariance), covariance.diagonal()
    return (
        0.5 * (log_det - len(covariance) * log_variance),
        0.5 * (diagonal.log().sum() - log_det),
        0.5 * (diagonal - 1 - diagonal.log()).sum(),
    )


def _hint_12_4(a: Tensor, s: float, got: Tensor, wanted: Tensor) -> str:
    """Name the mistake by what it gives."""
    information, tc, marginal = wanted
    if torch.allclose(got.sort().values, wanted.sort().values, atol=1e-6):
        return "the right three numbers in another order: (mutual information, TC, dimension-wise)"
    if torch.allclose(got, 2 * wanted, atol=1e-6):
        return "twice too large: the entropy of a Gaussian has ½ log det"
    for hint, covariance, log_variance in (
        ("s is a standard deviation: the noise adds s² to each variance, not s",
         a @ a.T + s * torch.eye(2), math.log(s)),
        ("the variance of z is that of A x *and* that of the noise, A Aᵀ + s² I",
         a @ a.T, 2 * math.log(s)),
    ):  # fmt: skip
        if torch.allclose(got, torch.stack(_parts(covariance, log_variance)), atol=1e-6):
            return hint
    if torch.isclose(got[0], information + 2 * math.log(s), atol=1e-6):
        return "I = H(z) − H(z|x), and the second entropy has s in it: ½ log det(S) − d log s"
    right = torch.isclose(got, wanted, atol=1e-6)
    if torch.isclose(got[1], -tc, atol=1e-6):
        return "the sign of TC: it is Σ_d H(z_d) − H(z), and never negative"
    if torch.isclose(got[2], marginal + tc, atol=1e-6):
        return "that is KL(q(z) ‖ p(z)), TC included: the dimension-wise KL looks at S_dd only"
    if torch.isclose(
        got[2], 0.5 * (a @ a.T + s * s * torch.eye(2) - torch.eye(2)).trace(), atol=1e-6
    ):
        return "the dimension-wise KL lacks its logarithm: ½ Σ (S_dd − 1 − log S_dd)"
    names = ("mutual information", "total correlation", "dimension-wise KL")
    wrong = [name for name, fine in zip(names, right.tolist(), strict=True) if not fine]
    return f"not yet: {', '.join(wrong)}. With S = A Aᵀ + s² I all three follow from det S and S_dd"


@exercise("12.5")
def curve_over_prices(answer: Mapping[float, Mapping[str, float]]) -> str:
    """At least three β; the rate falls, and each secant's slope lies near its two β."""
    wanted = {"rate", "distortion", "elbo"}
    if not isinstance(answer, Mapping) or not all(
        isinstance(row, Mapping) and wanted <= set(row) for row in answer.values()
    ):
        raise WrongAnswerError(f"a dictionary: β → a dictionary with {', '.join(sorted(wanted))}")
    betas = sorted(answer)
    if len(betas) < 3 or betas[0] <= 0 or betas[-1] < 4 * betas[0]:
        raise WrongAnswerError("take at least three positive β, the largest 4 times the smallest")
    rows = [{name: float(answer[beta][name]) for name in wanted} for beta in betas]
    for beta, row in zip(betas, rows, strict=True):
        _check_row(beta, row)
    for (low, first), (high, second) in pairwise(zip(betas, rows, strict=True)):
        _check_secant(low, first, high, second)
    return "right: more distortion for less rate, at about the price β."


def _check_row(beta: float, row: dict[str, float]) -> None:
    if not all(math.isfinite(value) for value in row.values()):
        raise WrongAnswerError(f"a number at β = {beta} is not finite")
    rate, distortion, elbo = row["rate"], row["distortion"], row["elbo"]
    if rate < 0:
        raise WrongAnswerError(f"a rate of {rate:.2f} at β = {beta}: a KL is not negative")
    if distortion < 0:
        raise WrongAnswerError(
            f"a distortion of {distortion:.2f} at β = {beta}: D is minus the log-probability of "
            "binary pixels, which is not negative"
        )
    slack = 0.02 * (rate + distortion) + 0.01
    if abs(elbo + distortion + beta * rate) < slack < abs(beta - 1) * rate:
        raise WrongAnswerError("the ELBO is −(D + R) at every β: β is in the training, not in it")
    if abs(elbo + distortion + rate) > slack:
        raise WrongAnswerError(
            f"at β = {beta} the ELBO is {elbo:.2f}, but −(D + R) is {-(distortion + rate):.2f}"
        )


def _check_secant(
    low: float, first: dict[str, float], high: float, second: dict[str, float]
) -> None:
    """Between two β the slope of the curve lies between them, up to what training leaves."""
    fall = first["rate"] - second["rate"]
    rise = second["distortion"] - first["distortion"]
    if fall < 0 or rise < 0:
        raise WrongAnswerError(
            f"from β = {low} to {high} the rate has to fall and the distortion to rise: is β on "
            "the KL, and did every run train long enough, from the same seed?"
        )
    slope = rise / max(fall, 1e-9)
    if slope < low / 4:
        raise WrongAnswerError(
            f"between β = {low} and {high} a nat of rate buys only {slope:.3g} nats of distortion: "
            "sum over the pixels, do not average"
        )
    if slope > 4 * high:
        raise WrongAnswerError(
            f"between β = {low} and {high} a nat of rate buys {slope:.3g} nats of distortion, more "
            "than its price: is the rate summed over the latents?"
        )
