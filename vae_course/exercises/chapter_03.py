"""Checks of the exercises of chapter 3, the core idea."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Independent, Normal

from vae_course.distributions import DiagonalGaussian
from vae_course.exercises.answers import WrongAnswerError, exercise
from vae_course.latent import overlap

_SIGMA_X = 0.5


def _tensor(answer: Any, shape: tuple[int, ...], meaning: str) -> Tensor:
    """Return the answer if it is a tensor of this shape; turn it down if not."""
    if not isinstance(answer, Tensor) or tuple(answer.shape) != shape:
        found = tuple(answer.shape) if isinstance(answer, Tensor) else type(answer).__name__
        raise WrongAnswerError(f"expected a tensor of shape {shape}, {meaning}; got {found}")
    return answer


def _close(got: Tensor, wanted: Tensor, tolerance: float = 1e-4) -> bool:
    return torch.allclose(got.double(), wanted.double(), rtol=tolerance, atol=tolerance)


# ---------------------------------------------------------------------------------------------
# 3.1: x → q(z|x) → z → p(x|z)

_Pass = Callable[..., Any]


@exercise("3.1")
def one_pass(answer: _Pass) -> str:
    """The code's statistics and gradient, and a log-probability an image at that very code."""
    _check_draws(answer)
    _check_gradient(answer)
    _check_log_px(answer)
    return "right: the codes have mean μ and deviation σ, gradients reach both, and log p sums."


def _run(answer: _Pass, outputs: Tensor, x: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    result = answer(outputs, lambda z: z @ _WEIGHT.T, x, _SIGMA_X, generator)
    if not isinstance(result, tuple) or len(result) != 2:
        raise WrongAnswerError("return two things: the code z and log p(x|z)")
    z, log_px = result
    if z is ... or log_px is ... or z is None or log_px is None:
        raise WrongAnswerError("one of the two is still blank: return z and log_px")
    return (
        _tensor(z, (len(x), 3), "(batch, latent): one code an image"),
        _tensor(log_px, (len(x),), "one number an image: sum over pixels, not over the batch"),
    )


_WEIGHT = torch.tensor([[1.0, 0.0, 0.5], [0.0, -1.0, 0.3], [0.2, 0.4, 0.0], [1.0, 1.0, -1.0]])
_MEAN = torch.tensor([1.0, -2.0, 0.5])
_LOG_VAR = torch.tensor([2.0, -1.0, -4.0])


def _check_draws(answer: _Pass, count: int = 20_000) -> None:
    """The draws of many equal images have mean μ and standard deviation σ, independently."""
    outputs = torch.cat([_MEAN, _LOG_VAR]).repeat(count, 1)
    z, _ = _run(answer, outputs, torch.zeros(count, 4), seed=1)
    spread = z.std(0)
    if torch.allclose(z.mean(0), _LOG_VAR, atol=0.2):
        raise WrongAnswerError(
            "the draws have the mean log σ²: the first half of the outputs are the means, the "
            "second the log-variances"
        )
    if bool((z == z[0]).all()):
        raise WrongAnswerError(
            "all images with the same posterior got the same code: draw noise for every image "
            "(shape (batch, latent)) instead of taking the mean or one draw for the batch"
        )
    if not torch.allclose(z.mean(0), _MEAN, atol=0.2):
        raise WrongAnswerError("the draws do not have the mean μ: z = μ + σ ε")
    _compare_spread(spread)
    if bool((torch.corrcoef(z.T) - torch.eye(3)).abs().max() > 0.1):
        raise WrongAnswerError("the latents move together: each needs a noise of its own")


def _compare_spread(spread: Tensor) -> None:
    sigma = torch.exp(0.5 * _LOG_VAR)
    known = {
        "that is the variance σ² in place of σ: the outputs are log σ², so σ = exp(½ log σ²), and "
        "z = μ + σ ε": sigma**2,
        "the draws have σ = 1 everywhere: the log-variances are not used": torch.ones(3),
        "the log-variance itself was taken for σ: exponentiate half of it": _LOG_VAR.abs(),
        "that is √σ: the outputs are log σ², so one ½ is enough": sigma.sqrt(),
    }
    for hint, wrong in known.items():
        if torch.allclose(spread, wrong, rtol=0.05):
            raise WrongAnswerError(hint)
    if not torch.allclose(spread, sigma, rtol=0.05):
        raise WrongAnswerError("the draws do not have the standard deviation exp(½ log σ²)")


def _check_gradient(answer: _Pass) -> None:
    outputs = torch.cat([_MEAN, _LOG_VAR]).repeat(8, 1).requires_grad_()
    z, _ = _run(answer, outputs, torch.zeros(8, 4), seed=2)
    gradient = torch.zeros_like(outputs)
    if z.requires_grad:
        (gradient,) = torch.autograd.grad(z.sum(), outputs)
    if not bool((gradient != 0).all()):
        raise WrongAnswerError(
            "no gradient gets from the code to μ and log σ²: write z = μ + σ ε with noise that "
            "does not depend on them, without detach, no_grad or a plain sample()"
        )


def _check_log_px(answer: _Pass) -> None:
    generator = torch.Generator().manual_seed(3)
    outputs, x = torch.randn(6, 6, generator=generator), torch.rand(6, 4, generator=generator)
    z, log_px = _run(answer, outputs, x, seed=4)
    pixels = Normal(z @ _WEIGHT.T, _SIGMA_X).log_prob(x)
    wanted = pixels.sum(-1)
    if _close(log_px, wanted):
        return
    mean = Normal(outputs[:, :3] @ _WEIGHT.T, _SIGMA_X).log_prob(x).sum(-1)
    error = (x - z @ _WEIGHT.T).square().sum(-1)
    known = {
        "log p(x|z) is a sum over pixels, not a mean": pixels.mean(-1),
        "the sign is turned round: that is −log p(x|z)": -wanted,
        "that is log p at the mean code: decode the z that you drew": mean,
        "the normalization −log(σ √2π) of each pixel is missing": -error / (2 * _SIGMA_X**2),
        "σ_x is a standard deviation: divide the squared error by 2 σ_x²": Normal(
            z @ _WEIGHT.T, math.sqrt(_SIGMA_X)
        )
        .log_prob(x)
        .sum(-1),
        "with unit noise: σ_x is not used": Normal(z @ _WEIGHT.T, 1.0).log_prob(x).sum(-1),
    }
    for hint, wrong in known.items():
        if _close(log_px, wrong):
            raise WrongAnswerError(hint)
    raise WrongAnswerError(
        "not the log-density of x under N(decoder(z), σ_x²) at the z that you return: decode that "
        "very z, and sum Normal(...).log_prob(x) over the pixels"
    )


# ---------------------------------------------------------------------------------------------
# 3.2 and 3.3: two clouds

_FourTensors = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def _two_clouds() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Means and log-variances of two batches of posteriors, `(5, 3)` each."""
    m1, v1, m2, v2 = torch.randn(4, 5, 3, generator=torch.Generator().manual_seed(5)).double()
    return m1, v1, m2, v2


@exercise("3.2")
def expected_gap(answer: _FourTensors) -> str:
    """E‖z₁ − z₂‖² = ‖μ₁ − μ₂‖² + Σ (σ₁² + σ₂²), against the formula's usual slips."""
    m1, v1, m2, v2 = _two_clouds()
    got = _tensor(answer(m1, v1, m2, v2), (5,), "one number a pair: sum over latents only")
    apart, both = (m1 - m2).square().sum(-1), (v1.exp() + v2.exp()).sum(-1)
    if _close(got, apart + both):
        return "right: the squared distance of the means, plus both clouds' variances."
    sigma_1, sigma_2 = (0.5 * v1).exp(), (0.5 * v2).exp()
    known = {
        "the clouds are missing: z₁ and z₂ vary, so their variances are added": apart,
        "the means are missing: they are apart even if the clouds have no width": both,
        "σ in place of σ²: the mean of (σ ε)² is σ²": apart + (sigma_1 + sigma_2).sum(-1),
        "(σ₁ + σ₂)² is too much: variances of independent draws add, deviations do not": apart
        + (sigma_1 + sigma_2).square().sum(-1),
        "variances add also for a difference: a minus sign there would let noise cancel": apart
        + (v1.exp() - v2.exp()).sum(-1),
        "log σ² was taken for σ²: exponentiate": apart + (v1 + v2).sum(-1),
        "log σ² was taken for log σ: the variance is exp(log σ²)": apart
        + ((2 * v1).exp() + (2 * v2).exp()).sum(-1),
        "a mean over latents: the squared distance is their sum": (apart + both) / 3,
        "that is a distance: the exercise asks for its square": (apart + both).sqrt(),
        "only one of the two clouds is in it": apart + v1.exp().sum(-1),
        "a half too many: no factor stands in front": (apart + both) / 2,
    }
    for hint, wrong in known.items():
        if _close(got, wrong):
            raise WrongAnswerError(hint)
    raise WrongAnswerError(
        "for one latent: E(z₁ − z₂)² is the squared mean of z₁ − z₂ plus its variance; then sum"
    )


@exercise("3.3")
def my_overlap(answer: _FourTensors) -> str:
    """The Bhattacharyya coefficient, against numerical integration and its usual slips."""
    m1, v1, m2, v2 = _two_clouds()
    s1, s2 = (0.5 * v1).exp(), (0.5 * v2).exp()
    got = _tensor(answer(m1, s1, m2, s2), (5,), "one number a pair: combine the latents")
    wanted = overlap(DiagonalGaussian(m1, v1), DiagonalGaussian(m2, v2))
    if _close(got, wanted):
        if not _close(answer(m1, s1, m1, s1), torch.ones(5)):
            raise WrongAnswerError("a cloud and itself have overlap 1")
        return "right: it agrees with the integral, and is 1 for a cloud and itself."
    for hint, wrong in _wrong_overlaps(m1, s1, m2, s2).items():
        if _close(got, wrong):
            raise WrongAnswerError(hint)
    raise WrongAnswerError(
        "not ∫ √(q₁ q₂) dz: try one latent with equal σ first, where it is exp(−Δ² / 8σ²), then "
        "complete the square"
    )


def _wrong_overlaps(m1: Tensor, s1: Tensor, m2: Tensor, s2: Tensor) -> dict[str, Tensor]:
    """Hint → what the mistake gives."""
    both, apart = s1**2 + s2**2, (m1 - m2).square()
    each = torch.sqrt(2 * s1 * s2 / both) * torch.exp(-0.25 * apart / both)
    width = torch.sqrt(2 * s1 * s2 / both)
    return {
        "the sum over latents: the integral of a product over coordinates is a product": each.sum(
            -1
        ),
        "the mean over latents: the integral of a product over coordinates is a product": each.mean(
            -1
        ),
        "that is −log of it, the Bhattacharyya distance": -each.log().sum(-1),
        "the factor √(2σ₁σ₂ / (σ₁² + σ₂²)) is missing: the widths differ": torch.exp(
            -0.25 * apart / both
        ).prod(-1),
        "the means are missing: clouds that are apart overlap less": width.prod(-1),
        "½ in place of ¼ in the exponent: the root halves it once more": (
            width * torch.exp(-0.5 * apart / both)
        ).prod(-1),
        "σ in place of σ²: variances stand under the squared distance": (
            torch.sqrt(2 * (s1 * s2).sqrt() / (s1 + s2)) * torch.exp(-0.25 * apart / (s1 + s2))
        ).prod(-1),
        "the root of the first factor is missing: √q has the normalization √(1 / σ√2π)": (
            2 * s1 * s2 / both * torch.exp(-0.25 * apart / both)
        ).prod(-1),
        "(σ₁ + σ₂)² is not σ₁² + σ₂²": (
            torch.sqrt(4 * s1 * s2 / (s1 + s2) ** 2) * torch.exp(-0.25 * apart / (s1 + s2) ** 2)
        ).prod(-1),
        "that is ∫ q₁ q₂ dz, without the root": Normal(m1, both.sqrt()).log_prob(m2).sum(-1).exp(),
        "that is a KL divergence, which is not symmetric": torch.distributions.kl_divergence(
            Independent(Normal(m1, s1), 1), Independent(Normal(m2, s2), 1)
        ),
    }


# ---------------------------------------------------------------------------------------------
# 3.4: how far until it is something else

_Walk = Callable[..., Tensor]


@exercise("3.4")
def walking_distance(answer: _Walk) -> str:
    """Worlds in which the distance to the border is known whatever the direction."""
    radii = torch.tensor([0.5, 1.0, 1.5, 2.0, 3.0])
    _check_disk(answer, radii)
    _check_rings(answer, radii)
    _check_line(answer, radii)
    return "right: the first change along a straight walk of unit direction."


def _classes(label: Tensor, count: int = 3) -> Tensor:
    """Turn class numbers into sure probabilities."""
    return torch.nn.functional.one_hot(label.long(), count).float()


def _distances(
    answer: _Walk, classify: Callable[[Tensor], Tensor], codes: Tensor, radii: Tensor
) -> Tensor:
    generator = torch.Generator().manual_seed(6)
    got = answer(lambda z: z, classify, codes, radii, generator)
    return _tensor(got, (len(codes),), "one distance a code")


def _check_disk(answer: _Walk, radii: Tensor) -> None:
    """All codes at the center of a disk: every direction leaves it at the same radius."""
    center, border = torch.zeros(40, 3), 1.2
    got = _distances(answer, lambda z: _classes(z.norm(dim=-1) > border), center, radii)
    if bool((got == 1.5).all()):
        return
    if got.dtype in (torch.int64, torch.int32, torch.bool) or bool((got == 2).all()):
        raise WrongAnswerError("return the radius of the first change, not its index or a flag")
    if bool((got == 1.0).all()):
        raise WrongAnswerError("that is the last radius without a change; asked is the first with")
    if len(got.unique()) > 1:
        raise WrongAnswerError(
            "in a disk every direction leads out at the same radius, but your distances differ: "
            "directions need length one (use neighborhood, or divide randn by its norm)"
        )
    raise WrongAnswerError(
        f"in a disk of radius 1.2 the first change among {radii.tolist()} is at 1.5, not at "
        f"{float(got[0]):g}"
    )


def _check_rings(answer: _Walk, radii: Tensor) -> None:
    """A class that comes back farther out, and one that never ends."""
    codes = torch.zeros(10, 2)

    def ring(z: Tensor) -> Tensor:
        return _classes((z.norm(dim=-1) > 0.7) & (z.norm(dim=-1) < 1.7))

    got = _distances(answer, ring, codes, radii)
    if not bool((got == 1.0).all()):
        raise WrongAnswerError(
            "the class changes at 1.0 and comes back at 2.0: what counts is the first change, not "
            "the number or the last of them"
        )
    got = _distances(answer, lambda z: _classes(torch.ones(len(z))), codes, radii)
    if not bool(torch.isinf(got).all() and (got > 0).all()):
        raise WrongAnswerError(
            "where the class never changes the distance is math.inf; and the class to compare "
            "with is the one at r = 0, whatever its number"
        )


def _check_line(answer: _Walk, radii: Tensor) -> None:
    """Codes of two classes on a line: each is compared with its own class at r = 0."""
    codes = torch.cat([torch.full((50, 1), -0.8), torch.full((50, 1), 0.8)])
    got = _distances(answer, lambda z: _classes(z[:, 0] > 0), codes, radii)
    left, right = got[:50], got[50:]
    for side in (left, right):
        if not bool(((side == 1.0) | torch.isinf(side)).all()):
            raise WrongAnswerError(
                "compare with each code's own class at r = 0, and step from the code, not from 0"
            )
        if bool((side == side[0]).all()):
            raise WrongAnswerError(
                "all codes walked the same way: draw a direction for each of them"
            )
