import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.distributions import Distribution
from torch.testing import assert_close

from vae_course.distributions import DiagonalGaussian
from vae_course.models import LinearGaussian, random_linear_gaussian
from vae_course.objectives import DReGLoss, ELBOLoss, IWAELoss, iwae_bound, log_weights


class Tiny(nn.Module):
    """One pixel, one latent, every parameter a number: gradients can be averaged."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(0.9, dtype=torch.float64))
        self.gain = nn.Parameter(torch.tensor(0.3, dtype=torch.float64))
        self.log_var = nn.Parameter(torch.tensor(-0.2, dtype=torch.float64))

    def prior(self) -> DiagonalGaussian:
        zeros = torch.zeros(1, dtype=torch.float64)
        return DiagonalGaussian(zeros, zeros)

    def encode(self, x: torch.Tensor) -> DiagonalGaussian:
        mean = self.gain * x
        return DiagonalGaussian(mean, self.log_var.expand_as(mean))

    def decode(self, z: torch.Tensor) -> Distribution:
        mean = self.slope * z
        return DiagonalGaussian(mean, torch.full_like(mean, math.log(0.5)))

    @property
    def encoder(self) -> list[nn.Parameter]:
        return [self.gain, self.log_var]


def test_log_weights_are_the_ratio_of_joint_and_posterior(
    linear: LinearGaussian, x: torch.Tensor
) -> None:
    log_w = log_weights(linear, x, 4, torch.Generator().manual_seed(2))
    q = linear.encode(x)
    z = q.rsample((4,), torch.Generator().manual_seed(2))
    expected = linear.marginal().log_prob(x) + linear.posterior(x).log_prob(z) - q.log_prob(z)
    assert log_w.shape == (8, 4)
    assert_close(log_w, expected.T)


@pytest.mark.parametrize("k", [0, -3])
def test_fewer_than_one_sample_is_refused(linear: LinearGaussian, x: torch.Tensor, k: int) -> None:
    with pytest.raises(ValueError, match=f"k = {k}"):
        log_weights(linear, x, k)
    with pytest.raises(ValueError, match=f"k = {k}"):
        DReGLoss(k)(linear, x, 0)


def test_the_bound_is_exact_for_any_k_when_q_is_the_posterior(line: LinearGaussian) -> None:
    torch.manual_seed(0)
    x = line.marginal().sample((6,))
    for k in (1, 2, 17):
        assert_close(iwae_bound(log_weights(line, x, k)), line.marginal().log_prob(x))


@given(st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=8), st.floats(-1e4, 1e4))
def test_iwae_bound_lies_between_mean_and_maximum_and_moves_with_a_shift(
    values: list[float], shift: float
) -> None:
    log_w = torch.tensor([values], dtype=torch.float64)
    bound = iwae_bound(log_w)
    assert float(log_w.mean()) - 1e-8 <= float(bound) <= float(log_w.max()) + 1e-8
    assert_close(iwae_bound(log_w + shift), bound + shift, rtol=1e-9, atol=1e-8)
    assert_close(iwae_bound(log_w.repeat(1, 3)), bound, rtol=1e-9, atol=1e-8)


def test_l1_is_the_elbo_l_k_grows_with_k_and_log_px_is_its_limit() -> None:
    model = random_linear_gaussian(6, 3, 0.7, torch.Generator().manual_seed(0))
    torch.manual_seed(3)
    x = model.marginal().sample((1,))
    # An encoder that is off, so that there is something to gain.
    exact, truth = model.encode, model.marginal().log_prob(x)
    model.encode = lambda x: DiagonalGaussian(exact(x).mean + 0.3, exact(x).log_var + 0.5)
    log_w = log_weights(model, x, 512_000).view(-1)
    means, errors = [], []
    for k in (1, 4, 16, 1024):
        bounds = iwae_bound(log_w.view(-1, k))
        means.append(float(bounds.mean()))
        errors.append(float(bounds.std()) / math.sqrt(len(bounds)))
    negative_elbo = ELBOLoss()(model, x.expand(50_000, -1), 0).loss
    spread = float(negative_elbo.std()) / math.sqrt(50_000)
    assert abs(means[0] + float(negative_elbo.mean())) < 4 * (errors[0] + spread)
    assert means[0] + 10 * errors[0] < means[1] and means[1] + 5 * errors[1] < means[2]
    assert means[2] < means[3] < float(truth) + 4 * errors[3]
    assert abs(means[3] - float(truth)) < 4 * errors[3] + 0.01


def test_negative_iwae_is_minus_the_bound_and_its_gradient_the_weighted_sum() -> None:
    model, x = Tiny(), torch.tensor([[1.2], [-0.7]], dtype=torch.float64)
    loss = IWAELoss(6)(model, x, 0, torch.Generator().manual_seed(1))
    log_w = log_weights(model, x, 6, torch.Generator().manual_seed(1))
    assert_close(loss, -torch.log(log_w.exp().mean(-1)))
    weights = torch.softmax(log_w, -1).detach()
    gradient = torch.autograd.grad(loss.sum(), [*model.parameters()])
    by_hand = torch.autograd.grad(-(weights * log_w).sum(), [*model.parameters()])
    assert_close(gradient, by_hand)


def test_dreg_has_the_value_of_the_bound_and_the_iwae_gradient_for_the_decoder() -> None:
    model, x = Tiny(), torch.tensor([[1.2], [-0.7]], dtype=torch.float64)
    dreg = DReGLoss(6)(model, x, 0, torch.Generator().manual_seed(1))
    iwae = IWAELoss(6)(model, x, 0, torch.Generator().manual_seed(1))
    assert_close(dreg, iwae)
    (ours,) = torch.autograd.grad(dreg.mean(), [model.slope])
    (theirs,) = torch.autograd.grad(iwae.mean(), [model.slope])
    assert_close(ours, theirs)


def test_dreg_encoder_gradient_is_the_sum_of_squared_weights_times_the_path() -> None:
    model, x = Tiny(), torch.tensor([[1.2]], dtype=torch.float64)
    loss = DReGLoss(5)(model, x, 0, torch.Generator().manual_seed(1))
    gradient = torch.autograd.grad(loss.sum(), model.encoder)
    q = model.encode(x)
    z = q.rsample((5,), torch.Generator().manual_seed(1))
    fixed = DiagonalGaussian(q.mean.detach(), q.log_var.detach())
    log_w = model.decode(z).log_prob(x) + model.prior().log_prob(z) - fixed.log_prob(z)
    (slope,) = torch.autograd.grad(log_w.sum(), z, retain_graph=True)
    squares = torch.softmax(log_w.detach(), 0).square().unsqueeze(-1)
    assert_close(gradient, torch.autograd.grad(z, model.encoder, -squares * slope))


def encoder_gradients(objective: object, repeats: int) -> torch.Tensor:
    """One gradient of (gain, log-variance) for each of many repetitions at the same image."""
    model, seeds = Tiny(), torch.Generator().manual_seed(7)
    # Copies of the image with a parameter each: one backward pass gives all their gradients.
    gain = torch.full((repeats, 1), 0.3, dtype=torch.float64, requires_grad=True)
    log_var = torch.full((repeats, 1), 0.6, dtype=torch.float64, requires_grad=True)
    model.encode = lambda x: DiagonalGaussian(gain * x, log_var)
    x = torch.full((repeats, 1), 1.2, dtype=torch.float64)
    objective(model, x, 0, seeds).sum().backward()
    return torch.cat([gain.grad, log_var.grad], dim=1)


def test_dreg_is_unbiased_for_the_encoder_and_quieter_at_large_k() -> None:
    repeats = 20_000
    dreg = encoder_gradients(DReGLoss(8), repeats)
    iwae = encoder_gradients(IWAELoss(8), repeats)
    error = torch.sqrt((dreg.var(0) + iwae.var(0)) / repeats)
    assert torch.all((dreg.mean(0) - iwae.mean(0)).abs() < 4 * error)
    assert torch.all(iwae.mean(0).abs() > 10 * error)  # there is a gradient to be unbiased for
    quiet, loud = encoder_gradients(DReGLoss(64), 2000), encoder_gradients(IWAELoss(64), 2000)
    assert torch.all(quiet.var(0) < 0.2 * loud.var(0))


def test_dreg_evaluates_without_gradients(linear: LinearGaussian, x: torch.Tensor) -> None:
    with torch.no_grad():
        loss = DReGLoss(3)(linear, x, 0)
    assert loss.shape == (8,) and not loss.requires_grad
