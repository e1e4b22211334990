"""Gradient estimators against closed forms, autograd and one another."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from vae_course.distributions import DiagonalGaussian, reparameterize
from vae_course.gradients import (
    ScoreFunctionLoss,
    gaussian_score,
    leave_one_out,
    pathwise,
    score_function,
    slope_at,
)
from vae_course.models import LinearGaussian
from vae_course.objectives import DReGLoss, ELBOLoss, gaussian_kl

DOUBLE = torch.float64


def half_square(z: Tensor) -> Tensor:
    return 0.5 * z.square().sum(-1)


@pytest.fixture
def q(generator: torch.Generator) -> DiagonalGaussian:
    """Three latents with different μ and σ."""
    mean = torch.randn(3, generator=generator, dtype=DOUBLE)
    return DiagonalGaussian(mean, torch.randn(3, generator=generator, dtype=DOUBLE))


def exact(q: DiagonalGaussian) -> tuple[Tensor, Tensor]:
    """∇ E[½‖z‖²] = ∇ ½ Σ (μ² + σ²) is μ, and ½ σ² for log σ²."""
    return q.mean, 0.5 * q.variance


def deviations(per_sample: Tensor, truth: Tensor) -> Tensor:
    """(estimate − exact) in standard errors; the first dimension is samples."""
    error = per_sample.std(0) / math.sqrt(len(per_sample))
    return (per_sample.mean(0) - truth) / error


def test_the_score_is_the_gradient_of_log_q(
    q: DiagonalGaussian, generator: torch.Generator
) -> None:
    z = q.sample((5,), generator)
    mean, log_var = (p.expand(5, 3).clone().requires_grad_() for p in (q.mean, q.log_var))
    DiagonalGaussian(mean, log_var).log_prob(z).sum().backward()
    score = gaussian_score(z, q)
    assert_close(score.mean, mean.grad)
    assert_close(score.log_var, log_var.grad)


def test_the_path_is_what_autograd_finds_through_reparameterize(q: DiagonalGaussian) -> None:
    mean, log_var = (p.expand(7, 3).clone().requires_grad_() for p in (q.mean, q.log_var))
    z = reparameterize(mean, log_var, torch.Generator().manual_seed(4))

    def f(z: Tensor) -> Tensor:
        return torch.sin(z).prod(-1)

    f(z).sum().backward()
    gradient = pathwise(slope_at(z, f), z.detach(), q)
    assert_close(gradient.mean, mean.grad)
    assert_close(gradient.log_var, log_var.grad)


def test_slope_at_works_where_gradients_are_off_and_leaves_z_alone() -> None:
    z = torch.ones(2, 3, dtype=DOUBLE)
    with torch.no_grad():
        slope = slope_at(z, half_square)
    assert_close(slope, z)
    assert not z.requires_grad and not slope.requires_grad


def test_all_estimators_are_unbiased(q: DiagonalGaussian, generator: torch.Generator) -> None:
    z = q.sample((4, 50_000), generator)
    values = half_square(z)
    estimates = {
        "pathwise": pathwise(slope_at(z, half_square), z, q),
        "score function": score_function(values, z, q),
        "any constant": score_function(values, z, q, 3.0),
        "leave one out": score_function(values, z, q, leave_one_out(values)),
    }
    for name, gradient in estimates.items():
        for samples, truth in zip((gradient.mean, gradient.log_var), exact(q), strict=True):
            off = deviations(samples.mean(0), truth)  # groups of four are independent
            assert off.abs().max() < 5, name


def test_a_baseline_that_holds_the_sample_itself_shrinks_the_gradient(
    q: DiagonalGaussian, generator: torch.Generator
) -> None:
    z = q.sample((2, 50_000), generator)
    values = half_square(z)
    good = score_function(values, z, q, leave_one_out(values))
    bad = score_function(values, z, q, values.mean(0))
    assert_close(bad.mean, good.mean / 2)
    assert deviations(bad.mean.mean(0), exact(q)[0]).abs().max() > 10


@pytest.mark.parametrize("d", [1, 2, 16, 64])
def test_variances_for_a_quadratic_are_the_closed_forms(d: int, generator: torch.Generator) -> None:
    """At μ = σ = 1, the gradient with respect to one μ: chapter 8's formulas."""
    groups, k = 160_000 // d, 4
    one = torch.ones(d, dtype=DOUBLE)
    q = DiagonalGaussian(one, 0 * one)
    z = q.sample((k, groups), generator)
    values = half_square(z)

    def variance(samples: Tensor) -> float:
        return float(samples.reshape(-1, d).var(0).mean())

    assert variance(pathwise(slope_at(z, half_square), z, q).mean) == pytest.approx(1, rel=0.02)
    plain = variance(score_function(values, z, q).mean)
    assert plain == pytest.approx(d**2 + 3.5 * d + 3, rel=0.05)
    best = variance(score_function(values, z, q, d + 1.0).mean)
    assert best == pytest.approx(1.5 * d + 2, rel=0.05)
    for other in (d + 0.5, d + 1.5):
        assert best < variance(score_function(values, z, q, other).mean)
    loo = k * variance(score_function(values, z, q, leave_one_out(values)).mean.mean(0))
    assert loo == pytest.approx(1.5 * d + 4 - (k - 2) / (k - 1) + 1.5 * d / (k - 1), rel=0.05)


def test_pathwise_loses_on_a_fast_wave_and_fails_on_a_step(generator: torch.Generator) -> None:
    q = DiagonalGaussian(torch.zeros(1, dtype=DOUBLE), torch.zeros(1, dtype=DOUBLE))
    z = q.sample((200_000,), generator)
    for omega, pathwise_wins in ((0.5, True), (1.0, True), (1.25, False), (4.0, False)):
        wave = torch.sin(omega * z).sum(-1)
        path = pathwise(omega * torch.cos(omega * z), z, q).mean
        score = score_function(wave, z, q).mean
        truth = torch.tensor([omega * math.exp(-0.5 * omega**2)], dtype=DOUBLE)
        assert deviations(path, truth).abs() < 5 and deviations(score, truth).abs() < 5
        assert bool(path.var() < score.var()) == pathwise_wins
    step = score_function((z > 0).double().squeeze(-1), z, q).mean
    assert deviations(step, torch.tensor([1 / math.sqrt(2 * math.pi)], dtype=DOUBLE)).abs() < 5


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=6))
def test_leave_one_out_is_the_mean_of_the_others(numbers: list[float]) -> None:
    values = torch.tensor(numbers, dtype=DOUBLE)
    others = [torch.cat([values[:i], values[i + 1 :]]).mean() for i in range(len(values))]
    assert_close(leave_one_out(values), torch.stack(others), rtol=1e-9, atol=1e-9)


def test_one_sample_has_no_others() -> None:
    with pytest.raises(ValueError, match="two samples"):
        leave_one_out(torch.zeros(1, 5))


def test_sticking_the_landing_is_dreg_with_one_sample_and_silent_at_the_posterior(
    line: LinearGaussian,
) -> None:
    torch.manual_seed(3)
    x = line.marginal().sample((6,))
    q = line.encode(x)  # the exact posterior: there is one latent
    z = q.sample((1,), torch.Generator().manual_seed(5))

    def log_w(z: Tensor) -> Tensor:
        return line.decode(z).log_prob(x) + line.prior().log_prob(z) - q.log_prob(z)

    assert slope_at(z, log_w).abs().max() < 1e-10
    mean, log_var = (p.clone().add(0.3).requires_grad_() for p in (q.mean, q.log_var))
    q = DiagonalGaussian(mean.detach(), log_var.detach())
    line.encode = lambda x: DiagonalGaussian(mean, log_var)  # type: ignore[method-assign]
    DReGLoss(1)(line, x, 0, torch.Generator().manual_seed(5)).sum().backward()
    z = q.sample((1,), torch.Generator().manual_seed(5))
    path = pathwise(slope_at(z, log_w), z, q)
    assert_close(path.mean[0], -mean.grad)
    assert_close(path.log_var[0], -log_var.grad)


class Copies(LinearGaussian):
    """A linear-Gaussian model whose q is given, so that every copy has its own gradient."""

    def __init__(self, model: LinearGaussian, mean: Tensor, log_var: Tensor) -> None:
        super().__init__(model.weight, model.bias, model.sigma)
        self.q = DiagonalGaussian(mean, log_var)

    def encode(self, x: Tensor) -> DiagonalGaussian:
        return self.q


@pytest.mark.parametrize("k", [1, 3])
def test_score_function_elbo_is_unbiased_and_only_the_encoder_notices(
    linear: LinearGaussian, x: Tensor, k: int
) -> None:
    copies = 20_000
    x = x[:1].expand(copies, -1)
    mean, log_var = (
        torch.full((copies, 3), value, dtype=DOUBLE, requires_grad=True) for value in (0.2, -0.5)
    )
    terms = ScoreFunctionLoss(k)(
        Copies(linear, mean, log_var), x, 0, torch.Generator().manual_seed(0)
    )
    q = DiagonalGaussian(mean, log_var)
    kl = gaussian_kl(mean, log_var).sum(-1)
    assert_close(terms.kl, kl)
    assert_close(terms.loss, terms.reconstruction + terms.kl)
    expected = -linear.expected_log_px(x, q) + kl
    truth = [g[0] for g in torch.autograd.grad(expected.sum(), (mean, log_var))]
    found = torch.autograd.grad(terms.loss.sum(), (mean, log_var))
    for samples, wanted in zip(found, truth, strict=True):
        assert deviations(samples, wanted).abs().max() < 5


def test_score_function_elbo_has_the_usual_gradient_for_the_decoder(
    linear: LinearGaussian, x: Tensor
) -> None:
    weight = linear.weight.clone().requires_grad_()
    linear.weight = weight
    gradients = []
    for objective in (ScoreFunctionLoss(1), ELBOLoss()):
        q = linear.encode(x)
        linear.encode = lambda x, q=q: DiagonalGaussian(q.mean.detach(), q.log_var.detach())
        loss = objective(linear, x, 0, torch.Generator().manual_seed(2)).loss
        gradients.append(torch.autograd.grad(loss.sum(), weight)[0])
    assert_close(*gradients)


def test_the_score_function_is_the_louder_one() -> None:
    torch.manual_seed(0)
    linear = LinearGaussian(torch.randn(20, 2).double(), torch.zeros(20).double(), 0.5)
    x = linear.marginal().sample((1,)).expand(4000, -1)
    variances = []
    for objective in (ELBOLoss(), ScoreFunctionLoss(4), ScoreFunctionLoss(1)):
        mean = torch.zeros(4000, 2, dtype=DOUBLE, requires_grad=True)
        model = Copies(linear, mean, torch.full_like(mean, -1).detach())
        loss = objective(model, x, 0, torch.Generator().manual_seed(1)).loss
        variances.append(float(torch.autograd.grad(loss.sum(), mean)[0].var(0).sum()))
    assert variances == sorted(variances)
