import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from vae_course.distributions import DiagonalGaussian
from vae_course.objectives import gaussian_kl
from vae_course.scale import sampled_kl, sampled_kl_variance, sampled_kl_with_entropy


@pytest.fixture
def q() -> DiagonalGaussian:
    mean = torch.tensor([[0.0, 0.0], [1.5, -0.5], [0.3, 2.0]], dtype=torch.float64)
    log_var = torch.tensor([[0.0, 0.0], [-3.0, 0.8], [-1.0, -6.0]], dtype=torch.float64)
    return DiagonalGaussian(mean, log_var)


@pytest.mark.parametrize("estimator", [sampled_kl, sampled_kl_with_entropy])
def test_estimators_are_unbiased(estimator, q, generator):  # type: ignore[no-untyped-def]
    values = estimator(q, q.rsample((100_000,), generator))
    assert values.shape == (100_000, 3)
    error = values.std(0) / math.sqrt(len(values))
    exact = gaussian_kl(q.mean, q.log_var).sum(-1)
    assert bool(((values.mean(0) - exact).abs() < 4 * error + 1e-12).all())


def test_at_the_prior_the_plain_estimator_has_no_noise(
    q: DiagonalGaussian, generator: torch.Generator
) -> None:
    values = sampled_kl(q, q.rsample((50,), generator))[:, 0]
    assert_close(values, torch.zeros(50, dtype=torch.float64))


def test_variance_is_that_of_the_samples(q: DiagonalGaussian, generator: torch.Generator) -> None:
    values = sampled_kl(q, q.rsample((400_000,), generator))
    expected = sampled_kl_variance(q.mean, q.log_var).sum(-1)
    assert_close(values.var(0), expected, rtol=0.02, atol=1e-6)


def test_the_entropy_in_closed_form_takes_noise_away_from_narrow_posteriors_only(
    generator: torch.Generator,
) -> None:
    narrow = DiagonalGaussian(torch.zeros(1, 4), torch.full((1, 4), -5.0))
    wide = DiagonalGaussian(torch.zeros(1, 4), torch.zeros(1, 4))
    ratios = []
    for q in (narrow, wide):
        z = q.rsample((20_000,), generator)
        ratios.append(float(sampled_kl_with_entropy(q, z).var() / sampled_kl(q, z).var()))
    assert ratios[0] < 0.01
    assert ratios[1] > 100


@given(st.floats(-3, 3), st.floats(-6, 2))
def test_variance_agrees_with_numerical_integration(mean: float, log_var: float) -> None:
    epsilon = torch.linspace(-9, 9, 4001, dtype=torch.float64)
    weight = torch.exp(-0.5 * epsilon**2) / math.sqrt(2 * math.pi)
    z = mean + math.exp(0.5 * log_var) * epsilon
    value = -0.5 * log_var - 0.5 * epsilon**2 + 0.5 * z**2
    center = torch.trapezoid(weight * value, epsilon)
    spread = torch.trapezoid(weight * (value - center) ** 2, epsilon)
    got = sampled_kl_variance(torch.tensor(mean).double(), torch.tensor(log_var).double())
    assert_close(got, spread, rtol=1e-6, atol=1e-9)
