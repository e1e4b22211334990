"""Checks of the exercises of chapter 11, the latent space."""

import math
from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from vae_course.exercises.answers import WrongAnswerError, exercise


@exercise("11.1")
def spherical_interpolation(answer: Callable[[Tensor, Tensor, float], Tensor]) -> str:
    """One point of the arc between two codes."""
    generator = torch.Generator().manual_seed(1)
    for latent in (2, 7):
        start, end = torch.randn(2, latent, generator=generator)
        end = 1.3 * end
        for alpha in (0.0, 0.3, 0.5, 1.0):
            got = answer(start.clone(), end.clone(), alpha)
            if not isinstance(got, Tensor) or got.shape != (latent,):
                shape = tuple(got.shape) if isinstance(got, Tensor) else type(got).__name__
                raise WrongAnswerError(
                    f"two codes of shape ({latent},) gave {shape}; one code comes back"
                )
            wanted = _arc(start, end, alpha)
            if not torch.allclose(got, wanted, atol=1e-4):
                raise WrongAnswerError(_hint_11_1(answer, start, end))
    return "right: it keeps the norm of codes on one sphere, and walks them at constant speed."


def _arc(start: Tensor, end: Tensor, alpha: float, omega: Tensor | None = None) -> Tensor:
    """Point α of the arc, with the angle Ω or a wrong one in its place."""
    omega = _angle(start, end) if omega is None else omega
    a = torch.tensor(alpha)
    return (torch.sin((1 - a) * omega) * start + torch.sin(a * omega) * end) / torch.sin(omega)


def _angle(start: Tensor, end: Tensor) -> Tensor:
    return torch.arccos(start @ end / (start.norm() * end.norm()))


def _hint_11_1(
    answer: Callable[[Tensor, Tensor, float], Tensor], start: Tensor, end: Tensor
) -> str:
    """Recognize a mistake by the point it gives."""
    alpha = 0.3
    got = answer(start.clone(), end.clone(), alpha)
    omega, middle = _angle(start, end), torch.lerp(start, end, alpha)
    norm = (1 - alpha) * start.norm() + alpha * end.norm()
    known = {
        "that is the straight line; the weights of slerp are sines of parts of the angle": middle,
        "that is the straight line pushed back to the sphere: it lies on the arc, but does not "
        "move at constant speed": middle / middle.norm() * norm,
        "that is the straight line scaled to norm 1": middle / middle.norm(),
        "the arc runs backwards: α = 0 has to give start": _arc(end, start, alpha),
        "the angle is in degrees; torch.sin takes radians": _arc(
            start, end, alpha, torch.rad2deg(omega)
        ),
        "cos Ω is not Ω: take arccos": _arc(start, end, alpha, torch.cos(omega)),
        "not divided by sin Ω": _arc(start, end, alpha) * torch.sin(omega),
        "the angle belongs to codes scaled to norm 1: divide ⟨start, end⟩ by both norms": _arc(
            start, end, alpha, torch.arccos(start @ end)
        ),
        "the angle belongs to codes scaled to norm 1: divide ⟨start, end⟩ by both norms "
        "(clamping alone does not do it)": _arc(
            start, end, alpha, torch.arccos((start @ end).clamp(-1 + 1e-7, 1 - 1e-7))
        ),
        "right for the directions, but the norms of the two codes are lost": _arc(
            start / start.norm(), end / end.norm(), alpha
        ),
    }
    for hint, value in known.items():
        if torch.allclose(got, value, atol=1e-4, equal_nan=True):
            return hint
    if not got.isfinite().all():
        return "not a number: arccos takes a number in [−1, 1], ⟨start, end⟩ divided by both norms"
    return "not on the arc: [sin((1 − α)Ω) start + sin(αΩ) end] / sin Ω with Ω the angle of the two"


@exercise("11.2")
def importance_weights(answer: Callable[[Tensor, Tensor, Tensor], Tensor]) -> str:
    """Self-normalized weights from log p(x_obs|z), log p(z) and log q(z), each `(k, batch)`."""
    generator = torch.Generator().manual_seed(2)
    terms = torch.randn(3, 6, 4, generator=generator) * 1.5
    log_px, log_pz, log_qz = terms
    got = answer(log_px, log_pz, log_qz)
    if not isinstance(got, Tensor) or got.shape != (6, 4):
        shape = tuple(got.shape) if isinstance(got, Tensor) else type(got).__name__
        raise WrongAnswerError(
            f"three tensors (k, batch) = (6, 4) gave {shape}; there is one weight for each proposal"
        )
    wanted = (log_px + log_pz - log_qz).softmax(0)
    if not torch.allclose(got, wanted, atol=1e-5):
        raise WrongAnswerError(_hint_11_2(got, log_px, log_pz, log_qz))
    if not torch.allclose(answer(log_px - 3000, log_pz, log_qz), wanted, atol=1e-3):
        raise WrongAnswerError(
            "right for small numbers, but log-likelihoods of −3000 underflow: take the largest "
            "log-weight of each image out before you exponentiate, as softmax does"
        )
    return "right: the weights of each image's proposals sum to one, without underflow."


def _hint_11_2(got: Tensor, log_px: Tensor, log_pz: Tensor, log_qz: Tensor) -> str:
    log_w = log_px + log_pz - log_qz
    known = {
        "the proposals of one image compete with each other, not with other images: normalize "
        "over k (dimension 0), not over the batch": log_w.softmax(1),
        "normalized over proposals and batch together; each image's weights sum to one": (
            log_w.flatten().softmax(0).view_as(log_w)
        ),
        "not normalized: these are the weights w, and they have to sum to one over k": log_w.exp(),
        "these are logarithms; a weight is their exponential, normalized": log_w,
        "these are the logarithms of the normalized weights": log_w.log_softmax(0),
        "the prior log p(z) is forgotten": (log_px - log_qz).softmax(0),
        "−log q(z) is forgotten: codes that q proposes often have to count less": (
            (log_px + log_pz).softmax(0)
        ),
        "log q(z) is subtracted, not added": (log_px + log_pz + log_qz).softmax(0),
        "the likelihood log p(x_obs|z) is forgotten": (log_pz - log_qz).softmax(0),
        "the likelihood alone: p(z) and q(z) are forgotten": log_px.softmax(0),
    }
    for hint, value in known.items():
        if torch.allclose(got, value, atol=1e-5):
            return hint
    return "not w̃ = w / Σ w over the k proposals, with w = p(x_obs|z) p(z) / q(z)"


@exercise("11.3")
def norm_of_the_midpoint(answer: Callable[[int], float | Tensor]) -> str:
    """√(E‖(z₁ + z₂)/2‖²) for two independent draws of N(0, I)."""
    for d in (3, 16, 200):
        try:
            got = float(answer(d))
        except (TypeError, ValueError, RuntimeError) as error:
            raise WrongAnswerError("return one number for each d") from error
        wanted = math.sqrt(d / 2)
        if abs(got - wanted) > 1e-4 * wanted:
            raise WrongAnswerError(_hint_11_3(got, d))
    return "right: half the squared norm is lost in the middle of a straight line."


def _hint_11_3(got: float, d: int) -> str:
    known = {
        "that is the norm of one draw, √d; the midpoint is closer to the origin": math.sqrt(d),
        "that is the mean squared norm; take its root": d / 2,
        "that is the sum z₁ + z₂, not the midpoint": math.sqrt(2 * d),
        "halving z divides its variance by four, not by two; and there are two draws": (
            math.sqrt(d / 4)
        ),
        "the two draws are independent: variances add, not standard deviations": math.sqrt(d) / 4,
        "variance of one coordinate, summed over none: there are d coordinates": math.sqrt(0.5),
        "zero is the norm of the mean; what is asked is the size of a typical midpoint": 0.0,
    }
    for hint, value in known.items():
        if abs(got - value) < 1e-4 * max(1.0, value):
            return hint
    return "each coordinate of (z₁ + z₂)/2 is a mean of two independent N(0, 1): what variance?"


@exercise("11.4")
def attribute_experiment(answer: Mapping[float, float]) -> str:
    """Share of edited images that the judge takes for the target, by step size."""
    shares = _shares(answer)
    if len(shares) < 4 or 0.0 not in shares:
        raise WrongAnswerError(
            "hand in at least four step sizes, 0 among them: without it nobody knows what the edit "
            "changed"
        )
    if any(not 0 <= share <= 1 for share in shares.values()):
        raise WrongAnswerError("a share lies between 0 and 1: counts or percents are not shares")
    largest = max(shares)
    if largest < 1:
        raise WrongAnswerError("go at least as far as s = 1, a whole attribute vector")
    if max(shares.values()) == 1 and len(set(shares.values())) == 1:
        raise WrongAnswerError(
            "every image counts as the target, even unedited: is the attribute one that the start "
            "images do not have?"
        )
    negative = [shares[s] for s in shares if s < 0]
    gain = max(shares[s] for s in shares if s > 0) - shares[0.0]
    if gain < 0 or (negative and max(negative) > shares[0.0] + max(gain, 0)):
        raise WrongAnswerError(
            "the edit leads away from the target: the vector is the mean with the attribute minus "
            "the mean without it"
        )
    if gain < 0.2:
        raise WrongAnswerError(
            "the edit changes next to nothing: add s times the vector to the codes of images "
            "without the attribute, decode the mean image, and let the judge look at that"
        )
    return "plausible: with the step the share grows, and the step 0 says from where."


def _shares(answer: Any) -> dict[float, float]:
    """Read the numbers of a dictionary step → share."""
    if not isinstance(answer, Mapping):
        raise WrongAnswerError(
            f"hand in a dictionary, step size → share of images, not {type(answer).__name__}"
        )
    values = [*answer, *answer.values()]
    single = all(isinstance(v, Real) or (isinstance(v, Tensor) and v.numel() == 1) for v in values)
    if not single:
        raise WrongAnswerError("steps and shares are single numbers: take the mean over images")
    return {float(step): float(share) for step, share in answer.items()}
