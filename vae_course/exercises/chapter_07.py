"""Checks of the exercises of chapter 7, the Gaussian VAE."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Distribution, kl_divergence

from vae_course.exercises.answers import WrongAnswerError, exercise
from vae_course.models import LinearGaussian, rotated_linear_gaussian

_LATENT = 3


@exercise("7.1")
def encoder_head(answer: Callable[[Tensor], Distribution]) -> str:
    """(μ, log σ²) side by side → N(μ, diag σ²) with one event of all latents."""
    generator = torch.Generator().manual_seed(7)
    outputs = torch.randn(4, 2 * _LATENT, generator=generator).requires_grad_()
    q = _distribution(answer, outputs)
    mean, log_var = outputs.chunk(2, dim=-1)
    _check_mean(q.mean, outputs)
    _check_stddev(q.stddev, log_var)
    if q.event_shape != (_LATENT,):
        raise WrongAnswerError(
            f"its event has shape {tuple(q.event_shape)}, so log_prob is one number for each "
            "latent; wrap it in Independent(…, 1) to make all latents one event"
        )
    stacked = _distribution(answer, torch.stack([outputs, outputs + 1]))
    if stacked.mean.shape != (2, 4, _LATENT):
        raise WrongAnswerError("split the last dimension (dim=-1): there may be others before it")
    q.log_prob(mean.detach() + 1).sum().backward()
    if outputs.grad is None or not outputs.grad.abs().min() > 0:
        raise WrongAnswerError("no gradient reaches the outputs: leave out detach and no_grad")
    return "right: a positive σ from any real numbers, and one log-probability an image."


def _distribution(answer: Callable[[Tensor], Distribution], outputs: Tensor) -> Distribution:
    """Call the answer, and turn down what is no distribution."""
    try:
        q = answer(outputs)
    except ValueError as error:
        if "scale" in str(error):
            raise WrongAnswerError(
                "the scale you gave is not positive: the second half is log σ², any real number; "
                "σ = exp(½ log σ²) is positive"
            ) from error
        raise
    if not isinstance(q, Distribution):
        raise WrongAnswerError(
            f"it returned a {type(q).__name__}; return a torch.distributions object"
        )
    return q


def _check_mean(mean: Tensor, outputs: Tensor) -> None:
    first, second = outputs.chunk(2, dim=-1)
    if mean.shape != first.shape:
        raise WrongAnswerError(
            f"the mean has shape {tuple(mean.shape)}, not {tuple(first.shape)}: the first half of "
            "the last dimension is μ"
        )
    if torch.allclose(mean, second):
        raise WrongAnswerError("the halves are swapped: μ comes first, log σ² second")
    if torch.allclose(mean, outputs[..., ::2]):
        raise WrongAnswerError("μ is the first half of the outputs, not every other one")
    if not torch.allclose(mean, first):
        raise WrongAnswerError("the mean is not the first half of the outputs as it stands")


def _check_stddev(stddev: Tensor, log_var: Tensor) -> None:
    known = {
        "log σ² used as log σ: σ = exp(½ log σ²), the ½ is missing": torch.exp(log_var),
        "that is √σ: exp(½ log σ²) is σ already, do not take a root again": torch.exp(log_var / 4),
        "softplus of log σ²: the number is a logarithm, undo it with exp": F.softplus(log_var),
        "√softplus of log σ²: the number is a logarithm, undo it with exp": F.softplus(
            log_var
        ).sqrt(),
        "the absolute value of log σ²: undo the logarithm with exp": log_var.abs(),
        "the sign: σ = exp(+½ log σ²)": torch.exp(-0.5 * log_var),
        "every σ is one: use the second half": torch.ones_like(log_var),
    }
    for hint, value in known.items():
        if torch.allclose(stddev, value, rtol=1e-4):
            raise WrongAnswerError(f"its standard deviation is wrong: {hint}")
    if not torch.allclose(stddev, torch.exp(0.5 * log_var), rtol=1e-4):
        raise WrongAnswerError("the standard deviation is not exp(½ log σ²)")


@exercise("7.2")
def best_diagonal(answer: Callable[[Tensor], Any]) -> str:
    """The variances 1 / Λ_dd, and the gap ½ (Σ log Λ_dd − log det Λ)."""
    generator = torch.Generator().manual_seed(8)
    for size in (2, 3, 5):
        root = torch.randn(size, size + 2, generator=generator, dtype=torch.float64)
        precision = torch.eye(size, dtype=torch.float64) + root @ root.T
        variances, gap = _pair(answer(precision), size)
        _check_variances(variances, precision)
        _check_gap(gap, precision)
    return "right: narrower than the posterior's own variances, and short by half a log-ratio."


def _pair(result: Any, size: int) -> tuple[Tensor, Tensor]:
    if not isinstance(result, (tuple, list)) or len(result) != 2:
        raise WrongAnswerError("return two things: the variances (d,) and the gap, one number")
    variances, gap = (torch.as_tensor(part, dtype=torch.float64) for part in result)
    if variances.shape != (size,):
        raise WrongAnswerError(
            f"the variances have shape {tuple(variances.shape)}, not ({size},): one a latent"
        )
    if gap.numel() != 1:
        raise WrongAnswerError(
            f"the gap has shape {tuple(gap.shape)}; it is one number: sum over the latents"
        )
    return variances, gap.reshape(())


def _check_variances(variances: Tensor, precision: Tensor) -> None:
    diagonal = torch.diagonal(precision)
    known = {
        "those are the posterior's own variances, (Λ⁻¹)_dd; KL(q‖p) asks for less": torch.diagonal(
            torch.linalg.inv(precision)
        ),
        "those are precisions: a variance is one over Λ_dd": diagonal,
        "those are standard deviations σ: return σ²": diagonal.rsqrt(),
        "those are log-variances log σ²: return σ²": -diagonal.log(),
    }
    for hint, value in known.items():
        if torch.allclose(variances, value):
            raise WrongAnswerError(hint)
    if not torch.allclose(variances, 1 / diagonal):
        raise WrongAnswerError("not the minimum: set the derivative of (7.10) in σ_d² to zero")


def _check_gap(gap: Tensor, precision: Tensor) -> None:
    logs, log_det = torch.diagonal(precision).log().sum(), torch.logdet(precision)
    marginal = torch.diagonal(torch.linalg.inv(precision)).log().sum()
    wanted = 0.5 * (logs - log_det)
    if torch.allclose(gap, wanted):
        return
    known = {
        "the ½ is missing": 2 * wanted,
        "the sign is turned round: a divergence is not negative": -wanted,
        "log det Σ = −log det Λ: mind which of the two you have": 0.5 * (logs + log_det),
        "that is what the posterior's own variances lose in the other direction, KL(p‖q)": (
            0.5 * (marginal + log_det)
        ),
        "the log det is missing": 0.5 * logs,
    }
    for hint, value in known.items():
        if torch.allclose(gap, value):
            raise WrongAnswerError(f"the gap: {hint}")
    raise WrongAnswerError("the gap: put your variances into (7.10) and simplify")


@exercise("7.3")
def vae_parameters(answer: Callable[[int, Sequence[int], int], int]) -> str:
    """Weights and biases of encoder and decoder of an MLP VAE."""
    for pixels, widths, latent in ((12, (7, 5), 3), (20, (6,), 4), (9, (), 2)):
        got = answer(pixels, widths, latent)
        if not isinstance(got, (int, float)):
            raise WrongAnswerError(f"it returned a {type(got).__name__}; return one number")
        wanted = _count(pixels, widths, latent)
        if got != wanted:
            raise WrongAnswerError(_count_hint(got, wanted, pixels, widths, latent))
    return "right, without building a network."


def _chain(sizes: Sequence[int], bias: int = 1) -> int:
    return sum((a + bias) * b for a, b in pairwise(sizes))


def _count(
    pixels: int, widths: Sequence[int], latent: int, *, bias: int = 1, heads: int = 2
) -> int:
    encoder = _chain([pixels, *widths, heads * latent], bias)
    return encoder + _chain([latent, *widths[::-1], pixels], bias)


def _count_hint(got: float, wanted: int, pixels: int, widths: Sequence[int], latent: int) -> str:
    encoder = _chain([pixels, *widths, 2 * latent])
    known = {
        _count(pixels, widths, latent, bias=0): "the biases are missing: a layer has (n + 1) · m",
        _count(pixels, widths, latent, heads=1): "the encoder gives μ and log σ²: 2d outputs",
        encoder: "the decoder is missing",
        wanted - encoder: "the encoder is missing",
        encoder
        + _chain(
            [2 * latent, *widths[::-1], pixels]
        ): "the decoder takes d numbers, not 2d: it gets z",
    }
    case = f"{pixels} pixels, widths {tuple(widths)}, {latent} latents"
    return f"{case}: {wanted} and not {got:g}; " + known.get(
        int(got), "(n + 1) · m for each layer, over both networks"
    )


@exercise("7.4")
def decoder_that_turns(answer: Any) -> str:
    """A weight with the same p(x) whose posterior no longer lies across the axes."""
    if not isinstance(answer, (Tensor, list, tuple)):
        raise WrongAnswerError("hand in the learned weight, a tensor of shape (2, 2)")
    weight = torch.as_tensor(answer).detach().double()
    if weight.shape != (2, 2):
        raise WrongAnswerError(
            f"the weight has shape {tuple(weight.shape)}, not (2, 2): two pixels, two latents"
        )
    truth = rotated_linear_gaussian((3.0, 0.6), 30.0)
    model = LinearGaussian(weight, torch.zeros(2, dtype=torch.float64), 1.0)
    loss = kl_divergence(truth.marginal(), model.marginal()).item()
    logs = torch.diagonal(model.precision).log().sum()
    gap = 0.5 * (logs - torch.logdet(model.precision)).item()
    if loss > 0.05:
        raise WrongAnswerError(
            f"its p(x) is {loss:.2f} nats from the data's: start at the true weight, and let the "
            "learning rate end at zero"
        )
    if gap > 0.05:
        raise WrongAnswerError(
            f"its best diagonal q still loses {gap:.2f} nats: the weight has to be trained, "
            "together with the encoder, on the ELBO of a diagonal q"
        )
    return (
        f"p(x) is kept to {loss:.3f} nats and the gap is down to {gap:.3f}: the decoder has turned "
        "its latents until a diagonal q fits."
    )
