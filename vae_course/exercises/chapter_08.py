"""Checks of the exercises of chapter 8, the reparameterization trick."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from vae_course.exercises.answers import WrongAnswerError, exercise
from vae_course.gradients import leave_one_out

Sampler = Callable[[Tensor, Tensor, torch.Generator], Tensor]


@exercise("8.1")
def reparameterized_sample(answer: Sampler) -> str:
    """z = μ + exp(½ log σ²) ε, with noise of its own for every entry and both gradients."""
    generator = torch.Generator().manual_seed(81)
    mean = torch.randn(4000, 4, generator=generator).requires_grad_()
    log_var = torch.tensor([-2.0, 0.6, 1.2, 1.8]).repeat(4000, 1).requires_grad_()
    z = answer(mean, log_var, generator)
    _check_sample(z, mean)
    _check_spread((z - mean).detach(), log_var.detach())
    noise = ((z - mean) / torch.exp(0.5 * log_var)).detach()
    _check_noise(noise)
    _check_path(z, mean, log_var, noise)
    _check_generator(answer, mean.detach(), log_var.detach())
    return "the right mean and spread, fresh noise everywhere, and a gradient to both parameters."


def _check_sample(z: Any, mean: Tensor) -> None:
    if not isinstance(z, Tensor):
        raise WrongAnswerError(f"it returned a {type(z).__name__}, and not the tensor z")
    if z.shape != mean.shape:
        raise WrongAnswerError(
            f"means of shape {tuple(mean.shape)} gave z of shape {tuple(z.shape)}: one z for each"
        )
    if not bool(torch.isfinite(z).all()):
        raise WrongAnswerError(
            "z is not finite: log_var may be negative, so σ is exp(½ log_var), never its root"
        )
    if not z.requires_grad:
        raise WrongAnswerError(
            "z has no gradient: .sample(), .detach() or no_grad cut the graph, and that is the "
            "problem this exercise is to solve"
        )


def _check_spread(deviation: Tensor, log_var: Tensor) -> None:
    spread, wanted = deviation.std(0), torch.exp(0.5 * log_var[0])
    if (spread < 1e-3).all() and deviation.abs().max() > 1e-3:
        raise WrongAnswerError(
            "every row of the batch has the same ε: draw noise of the shape of mean, not one "
            "vector for all images"
        )
    known = {
        "the spread is exp(log_var), which is σ²: σ = exp(½ log σ²), and log_var is not log σ": (
            wanted.square()
        ),
        "log_var itself is used for σ: take exp(½ log_var)": log_var[0].abs(),
        "the spread is 1 everywhere: ε has to be multiplied by σ": torch.ones_like(wanted),
        "there is no noise in z": torch.zeros_like(wanted),
        "the spread is 1/σ: mind the sign in exp(½ log_var)": 1 / wanted,
        "the noise is uniform, with a spread of 0.29 σ: torch.randn, not torch.rand": (
            wanted / math.sqrt(12)
        ),
    }
    if torch.allclose(spread, wanted, rtol=0.1):
        return
    for hint, value in known.items():
        if torch.allclose(spread, value, rtol=0.1, atol=0.02):
            raise WrongAnswerError(hint)
    raise WrongAnswerError("the spread of z − μ is not σ = exp(½ log_var) in every latent")


def _check_noise(noise: Tensor) -> None:
    if (noise - noise[:, :1]).abs().max() < 1e-3:
        raise WrongAnswerError(
            "all latents of an image share one ε: draw noise of the shape of mean"
        )
    if (noise.mean(0).abs() > 0.1).any():
        raise WrongAnswerError("z − μ is not zero on average: ε ~ N(0, 1), from torch.randn")
    if ((noise.pow(4).mean(0) - 3).abs() > 0.8).any():
        raise WrongAnswerError("(z − μ)/σ has variance 1 but is not Gaussian: use torch.randn")


def _check_path(z: Tensor, mean: Tensor, log_var: Tensor, noise: Tensor) -> None:
    to_mean, to_log_var = torch.autograd.grad(z.sum(), (mean, log_var), allow_unused=True)
    if to_log_var is None:
        raise WrongAnswerError(
            "the values are right, but no gradient reaches log_var: is σ or σ·ε detached?"
        )
    if to_mean is None:
        raise WrongAnswerError("the values are right, but no gradient reaches mean")
    half = 0.5 * torch.exp(0.5 * log_var.detach()) * noise
    if not torch.allclose(to_mean, torch.ones_like(mean), atol=1e-3) or not torch.allclose(
        to_log_var, half, atol=1e-2
    ):
        raise WrongAnswerError("the gradient is not ∂z/∂μ = 1 and ∂z/∂log σ² = ½ σ ε")


def _check_generator(answer: Sampler, mean: Tensor, log_var: Tensor) -> None:
    one, again, other = (
        answer(mean, log_var, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    if not torch.equal(one, again):
        raise WrongAnswerError(
            "the same generator seed gave two different z: pass generator= to torch.randn"
        )
    if torch.equal(one, other):
        raise WrongAnswerError("two seeds gave the same z: the noise must come from the generator")


@exercise("8.2")
def quadratic_gradient(answer: Callable[[float, float, float, float], Any]) -> str:
    """∇E[a z² + b z] for (μ, log σ²), and the variance of one pathwise sample of each."""
    points = [(0.7, -0.3, 1.2, 0.8), (-1.1, 0.5, -0.4, -1.0), (0.4, 2.0, 0.5, 0.3)]
    got = torch.tensor([_four_numbers(answer(*point)) for point in points], dtype=torch.float64)
    a, b, mean, log_var = torch.tensor(points, dtype=torch.float64).T
    variance, slope = log_var.exp(), 2 * a * mean + b
    sigma = variance.sqrt()
    gradient_mistakes = {
        "that is ∂/∂σ, and not ∂/∂log σ²": 2 * a * sigma,
        "that is ∂/∂σ²; by the chain rule ∂/∂log σ² = σ² ∂/∂σ²": a,
        "a factor 2 too large: ∂z/∂log σ² = ½ σ ε, and the ½ is missing": 2 * a * variance,
        "½ too much: a z² has the slope 2 a z": 0.5 * a * variance,
        "log_var is log σ² and not log σ: σ² = exp(log_var)": a * (2 * log_var).exp(),
        "σ where σ² belongs: E[z²] = μ² + σ²": a * sigma,
    }
    curved = slope.square() + 8 * (a * sigma).square()
    columns = {
        "∂/∂μ": (
            slope,
            {
                "the 2 of d(μ²)/dμ is missing": a * mean + b,
                "b, the slope of the linear part, is missing": 2 * a * mean,
            },
        ),
        "∂/∂log σ²": (a * variance, gradient_mistakes),
        "the variance of ∂f/∂μ": (
            4 * (a * sigma).square(),
            {
                "that is a standard deviation": 2 * a.abs() * sigma,
                "f'(z) = 2 a z + b, so the 2 is squared as well": (a * sigma).square(),
                "that is E[f'(z)²]: the squared mean is still in it": slope.square()
                + 4 * (a * sigma).square(),
            },
        ),
        "the variance of ∂f/∂log σ²": (
            0.25 * variance * curved,
            {
                "the ½ of ∂z/∂log σ² is missing: it is squared, a factor 4": variance * curved,
                "the ½ is to be squared: it stands in the gradient": 0.5 * variance * curved,
                "Var[ε²] is 2, since E[ε⁴] = 3": 0.25 * variance * (curved - (2 * a * sigma) ** 2),
                "that is the second moment: the squared mean is still in it": 0.25
                * variance
                * (curved + (2 * a * sigma) ** 2),
                "only the part from ε² is there; the one from (2 a μ + b) ε is missing": (
                    2 * (a * variance).square()
                ),
                "only the part from (2 a μ + b) ε is there; ε² has a variance too": (
                    0.25 * variance * slope.square()
                ),
            },
        ),
    }
    for column, (name, (wanted, mistakes)) in zip(got.T, columns.items(), strict=True):
        _compare(name, column, wanted, mistakes)
    return "both gradients, and how much one sample of each scatters."


def _four_numbers(answer: Any) -> list[float]:
    if isinstance(answer, Tensor):
        answer = answer.flatten().tolist()
    if not isinstance(answer, (tuple, list)) or len(answer) != 4:
        raise WrongAnswerError("return four numbers: two gradients and two variances, in order")
    return [float(number) for number in answer]


def _compare(name: str, got: Tensor, wanted: Tensor, mistakes: dict[str, Tensor]) -> None:
    if torch.allclose(got, wanted, atol=1e-4):
        return
    if torch.allclose(got, -wanted, atol=1e-4):
        raise WrongAnswerError(f"{name}: the sign is turned round")
    for hint, value in mistakes.items():
        if torch.allclose(got, value, atol=1e-4):
            raise WrongAnswerError(f"{name}: {hint}")
    raise WrongAnswerError(f"{name} is not right; the expectation is a (μ² + σ²) + b μ")


@exercise("8.3")
def score_function_surrogate(answer: Callable[[Tensor, Tensor], Tensor]) -> str:
    """A loss whose gradient is the leave-one-out estimate: −mean_k sg(f − b) log q."""
    generator = torch.Generator().manual_seed(83)
    k, batch = 5, 6
    values = (torch.randn(k, batch, generator=generator) - 3).requires_grad_()
    log_q = torch.randn(k, batch, generator=generator).requires_grad_()
    loss = answer(values, log_q)
    if not isinstance(loss, Tensor) or loss.shape != (batch,):
        shape = tuple(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
        raise WrongAnswerError(
            f"values and log_q of shape ({k}, {batch}) gave {shape}; one number an image is "
            f"({batch},): average over the samples, the first dimension, and nothing else"
        )
    if not loss.requires_grad:
        raise WrongAnswerError("the loss has no gradient: log_q must not be detached")
    through_q, through_f = torch.autograd.grad(loss.sum(), (log_q, values), allow_unused=True)
    if through_q is None:
        raise WrongAnswerError("no gradient reaches log_q: it must not be detached")
    _check_coefficient(-through_q, values.detach(), log_q.detach())
    if through_f is not None and through_f.abs().max() > 0:
        raise WrongAnswerError(
            "the gradient for q is right, but another one flows into f: detach the values, they "
            "are a coefficient here (and the baseline is made of them)"
        )
    return "minus the leave-one-out estimate, for q alone."


def _check_coefficient(got: Tensor, values: Tensor, log_q: Tensor) -> None:
    """Compare the coefficient of ∇log q in an ascent direction with (f − b) / k."""
    k = len(values)
    wanted = (values - leave_one_out(values)) / k
    known = {
        "the sign: a loss is lowered, so it is minus (f − b) log q": -wanted,
        "the baseline is the mean of all samples, the own one too: that shrinks the gradient by "
        "(k − 1)/k, a bias; leave the own one out": (values - values.mean(0)) / k,
        "there is no baseline": values / k,
        "summed over the samples: an estimate is their mean": wanted * k,
        "the baseline is a mean over the batch: other images say nothing about this one": (
            (values - values.mean(1, keepdim=True)) / k
        ),
        "the baseline divides the others' sum by k; the others are k − 1": (
            (values - (values.sum(0) - values) / k) / k
        ),
        "that is ∇q and not ∇log q: the density is not to be exponentiated": wanted * log_q.exp(),
    }
    if torch.allclose(got, wanted, atol=1e-5):
        return
    for hint, value in known.items():
        if torch.allclose(got, value, atol=1e-5):
            raise WrongAnswerError(hint)
    raise WrongAnswerError(
        "its gradient is not −(1/k) Σ (f_i − b_i) ∇log q_i, b_i the others' mean"
    )


@exercise("8.4")
def frequency_where_pathwise_loses(
    answer: Callable[[float, torch.Generator], float],
) -> str:
    """The ω at which both estimators of ∂/∂μ E[sin ωz] at μ = 0 have one variance."""
    generator = torch.Generator().manual_seed(84)
    got = {}
    for sigma in (0.5, 2.0):
        value: Any = answer(sigma, generator)
        value = value.item() if isinstance(value, Tensor) and value.numel() == 1 else value
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            raise WrongAnswerError(f"it returned a {type(value).__name__}: ω is one float")
        got[sigma] = float(value)
    ratios = [value * sigma / _crossing() for sigma, value in got.items()]
    if all(abs(ratio - 1) < 0.1 for ratio in ratios):
        return f"the product ωσ decides: beyond about {_crossing():.2f} the score function wins."
    if abs(got[0.5] - got[2.0]) < 0.1 * abs(got[2.0]):
        raise WrongAnswerError(
            "the same ω for σ = 0.5 and σ = 2: draw z with the standard deviation σ, and divide "
            "by σ in the score"
        )
    if all(abs(ratio * 2 * math.pi - 1) < 0.1 for ratio in ratios):
        raise WrongAnswerError("off by 2π: f is sin(ωz), with ω in radians")
    if abs(ratios[0] / ratios[1] - 1 / 16) < 0.02 or abs(got[0.5] * 4 - got[2.0]) < 0.1 * got[2.0]:
        raise WrongAnswerError("the wider q is, the fewer waves it takes: ω falls with σ")
    raise WrongAnswerError(
        f"at σ = 0.5 the variances are equal near ω = {_crossing() / 0.5:.1f}, not "
        f"{got[0.5]:.2f}: compare Var[ω cos ωz] with Var[sin(ωz) (z − μ)/σ²]"
    )


def _crossing() -> float:
    """Solve Var[pathwise] = Var[score] for w = ωσ by bisection: w² − 1 = e^{−2w²} (3w² − 1)."""
    low, high = 1.0, 1.5
    for _ in range(40):
        w = 0.5 * (low + high)
        below = w**2 - 1 < math.exp(-2 * w**2) * (3 * w**2 - 1)
        low, high = (w, high) if below else (low, w)
    return low
