"""Checks of the exercises of chapter 2."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from vae_course.exercises.answers import WrongAnswerError, exercise

_PIXELS = 64


def _images(count: int, seed: int) -> Tensor:
    """Draw correlated 8×8 "images" with a mean far from zero, `(count, 1, 8, 8)`, float64."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(_PIXELS, _PIXELS, generator=torch.Generator().manual_seed(2)).double()
    scales = torch.logspace(0, -2, _PIXELS, dtype=torch.float64)
    factors = torch.randn(count, _PIXELS, generator=generator).double() * scales
    return (factors @ mixing + 2).view(count, 1, 8, 8)


def _close(answer: Tensor, expected: Tensor) -> bool:
    return answer.shape == expected.shape and torch.allclose(
        answer.double(), expected.double(), rtol=1e-3, atol=1e-6
    )


def _require_tensor(answer: Any, shape: tuple[int, ...], meaning: str) -> Tensor:
    if not isinstance(answer, Tensor) or tuple(answer.shape) != shape:
        found = tuple(answer.shape) if isinstance(answer, Tensor) else type(answer).__name__
        raise WrongAnswerError(f"expected a tensor of shape {shape}, {meaning}; got {found}")
    return answer


@exercise("2.1")
def best_decoder(answer: Callable[[Tensor, Tensor], Tensor]) -> str:
    """W = Xᵀ Z (Zᵀ Z)⁻¹: the residual is orthogonal to every code."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(50, 7, generator=generator, dtype=torch.float64)
    z = x[:, :3] @ torch.randn(3, 3, generator=generator, dtype=torch.float64)
    z = z + 0.3 * torch.randn(50, 3, generator=generator, dtype=torch.float64)
    decoder = _require_tensor(answer(x, z), (7, 3), "(pixels, latents): x̂ = W z for columns")
    crossed = x.T @ z
    if _close(decoder, torch.linalg.lstsq(x, z).solution):
        raise WrongAnswerError(
            "this W predicts the codes from the images, which is an encoder: swap their roles"
        )
    if any(_close(decoder, crossed / scale) for scale in (1, len(x), len(x) - 1)):
        raise WrongAnswerError(
            "Xᵀ Z alone is right only for codes with Zᵀ Z = I: set the gradient to zero and solve "
            "for W, and an inverse of Zᵀ Z appears"
        )
    if not torch.allclose((x - z @ decoder.T).T @ z, torch.zeros_like(crossed), atol=1e-6):
        raise WrongAnswerError(
            "at the minimum the gradient −2 (X − Z Wᵀ)ᵀ Z is zero; with this W it is not"
        )
    return "right: what is left over is orthogonal to every code, so no other W does better"


@exercise("2.2")
def pca_errors(answer: Callable[[Tensor, Tensor, int], Tensor]) -> str:
    """‖x − x̂‖² of each image under the PCA of other images."""
    train, x, k = _images(300, seed=3), _images(40, seed=4) + 0.5, 5
    mean = train.mean(0)
    directions = torch.linalg.svd((train - mean).flatten(1), full_matrices=False).Vh

    def residual(center: Tensor, rows: Tensor) -> Tensor:
        flat = (x - center).flatten(1)
        return (flat - flat @ rows.T @ rows).square().sum(1)

    expected = residual(mean, directions[:k])
    found = torch.as_tensor(answer(train, x, k))
    if found.dim() == 0:
        raise WrongAnswerError(
            "one number for the whole batch: keep one error an image, shape (batch,)"
        )
    found = _require_tensor(found, (len(x),), "one error an image")
    mistakes = {
        "a mean over pixels: ‖·‖² is a sum over them": expected / _PIXELS,
        "the norm and not its square: leave the root out": expected.sqrt(),
        "centered with the mean of the new images: an encoder knows the training images only, so "
        "take their mean": residual(x.mean(0), directions[:k]),
        "not centered: subtract the training mean before projecting": residual(
            torch.zeros_like(mean), directions[:k]
        ),
        "the directions of smallest variance: eigh sorts upwards, so take the last k": residual(
            mean, directions[-k:]
        ),
        "the part that is kept, not the part that is lost": (
            (x - mean).flatten(1).square().sum(1) - expected
        ),
    }
    for hint, wrong in mistakes.items():
        if _close(found, wrong):
            raise WrongAnswerError(f"this is {hint}")
    if not _close(found, expected):
        raise WrongAnswerError(
            "not the errors of PCA: center with the training mean, project onto the k directions "
            "of largest variance, add the mean again, and sum the squared differences over pixels"
        )
    return "right: one squared error an image, summed over pixels, from the training images' PCA"


@exercise("2.3")
def denoising_error(answer: Callable[..., Any]) -> str:
    """‖x − g(f(x + σ ε))‖²: the noise is in the input, not in the target."""
    sigma, x = 0.3, _images(400, seed=5).float()

    def loss(model: Callable[[Tensor], Tensor], seed: int = 0) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        found = answer(model, x, 0, generator, sigma=sigma)
        if not isinstance(found, Tensor):
            raise WrongAnswerError("return one error an image, a tensor: fit lowers its mean")
        return _require_tensor(found, (len(x),), "one error an image")

    # The identity passes the noise on: the error is ‖σ ε‖², with mean D σ².
    copied = loss(lambda images: images)
    noise = copied.mean().item()
    if noise == 0:
        raise WrongAnswerError(
            "a model that copies its input has error zero: either there is no noise, or it is in "
            "the target as well; the target is the clean image"
        )
    causes = {
        "a mean over pixels: sum over them": sigma**2,
        "noise of standard deviation σ²: multiply ε by σ": _PIXELS * sigma**4,
        "noise of variance σ: multiply ε by σ and not by its root": _PIXELS * sigma,
        "noise of standard deviation 1: multiply ε by σ": _PIXELS,
        "uniform noise: draw ε with torch.randn": _PIXELS * sigma**2 / 3,
    }
    for cause, level in causes.items():
        if math.isclose(noise, level, rel_tol=0.05):
            raise WrongAnswerError(f"this is {cause}")
    if not math.isclose(noise, _PIXELS * sigma**2, rel_tol=0.05):
        raise WrongAnswerError(
            f"a model that copies its input should have the mean error D σ² = "
            f"{_PIXELS * sigma**2:.2f}; yours has {noise:.2f}"
        )
    # A model that ignores its input shows what the target is.
    if not _close(loss(torch.zeros_like), x.square().flatten(1).sum(1)):
        raise WrongAnswerError("the target is the clean image x, not the noisy one")
    if not torch.equal(copied, loss(lambda images: images)) or torch.equal(
        copied, loss(lambda images: images, seed=1)
    ):
        raise WrongAnswerError(
            "the noise does not come from the generator: pass it to torch.randn, so that a run "
            "repeats and every step has noise of its own"
        )
    return "right: noise in, clean image out"
