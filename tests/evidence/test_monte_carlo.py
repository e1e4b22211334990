"""Weights from the prior and from proposals: what they average to, and what they are worth."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from vae_course.distributions import DiagonalGaussian
from vae_course.evidence import effective_sample_size, prior_log_weights, proposal_log_weights
from vae_course.models import LinearGaussian
from vae_course.objectives import iwae_bound, log_weights

LOG_WEIGHTS = st.lists(st.floats(-500, 500), min_size=1, max_size=30)


def data(model: LinearGaussian, n: int) -> torch.Tensor:
    torch.manual_seed(3)
    return model.marginal().sample((n,))


def test_prior_weights_average_to_p_of_x(line: LinearGaussian, generator: torch.Generator) -> None:
    x = data(line, 20)
    ratio = prior_log_weights(line, x, 20_000, generator) - line.marginal().log_prob(x)[:, None]
    error = ratio.exp().std(-1) / math.sqrt(20_000)
    assert bool(((ratio.exp().mean(-1) - 1).abs() < 4 * error).all())


def test_the_log_of_the_mean_is_too_low_by_the_variance_over_2k(
    line: LinearGaussian, generator: torch.Generator
) -> None:
    x = data(line, 1).expand(4000, -1)
    log_px = line.marginal().log_prob(x[:1])
    k = 400
    log_w = prior_log_weights(line, x, k, generator)
    bias = float((iwae_bound(log_w) - log_px).mean())
    relative_variance = float((log_w - log_px).exp().var())
    assert bias == pytest.approx(-relative_variance / (2 * k), rel=0.25)


def test_the_exact_posterior_needs_one_code(
    line: LinearGaussian, generator: torch.Generator
) -> None:
    x = data(line, 5)
    log_w = proposal_log_weights(line, x, line.encode(x), 3, generator)
    assert_close(log_w, line.marginal().log_prob(x)[:, None].expand(-1, 3))


def test_a_proposal_that_is_the_prior_is_naive_monte_carlo(linear: LinearGaussian) -> None:
    x = data(linear, 4)
    q = linear.prior().expand((4,))
    naive = prior_log_weights(linear, x, 7, torch.Generator().manual_seed(1))
    same = proposal_log_weights(linear, x, q, 7, torch.Generator().manual_seed(1))
    assert naive.shape == (4, 7)
    assert_close(naive, same)


def test_a_proposal_that_is_the_encoders_is_log_weights(linear: LinearGaussian) -> None:
    x = data(linear, 4)
    ours = proposal_log_weights(linear, x, linear.encode(x), 7, torch.Generator().manual_seed(1))
    assert_close(ours, log_weights(linear, x, 7, torch.Generator().manual_seed(1)))


def test_a_wrong_proposal_is_still_unbiased(
    linear: LinearGaussian, generator: torch.Generator
) -> None:
    x = data(linear, 10)
    best = linear.encode(x)
    q = DiagonalGaussian(best.mean + 0.1, best.log_var + 1.0)
    ratio = proposal_log_weights(linear, x, q, 20_000, generator)
    ratio = ratio - linear.marginal().log_prob(x)[:, None]
    error = ratio.exp().std(-1) / math.sqrt(20_000)
    assert bool(((ratio.exp().mean(-1) - 1).abs() < 4.5 * error).all())


def test_no_samples_are_refused(line: LinearGaussian) -> None:
    x = data(line, 2)
    with pytest.raises(ValueError, match="k = 0"):
        prior_log_weights(line, x, 0)
    with pytest.raises(ValueError, match="k = 0"):
        proposal_log_weights(line, x, line.encode(x), 0)


def test_a_proposal_of_another_batch_is_refused(line: LinearGaussian) -> None:
    x = data(line, 3)
    with pytest.raises(ValueError, match="batch shape"):
        proposal_log_weights(line, x, line.encode(x[:2]), 5)
    with pytest.raises(ValueError, match="batch shape"):
        proposal_log_weights(line, x, line.prior(), 5)


@given(values=LOG_WEIGHTS, shift=st.floats(-1000, 1000))
def test_effective_sample_size_is_between_1_and_k_and_knows_no_scale(
    values: list[float], shift: float
) -> None:
    log_w = torch.tensor([values], dtype=torch.float64)
    size = effective_sample_size(log_w)
    assert size.shape == (1,)
    assert 1 - 1e-9 <= float(size) <= len(values) * (1 + 1e-9)
    assert_close(effective_sample_size(log_w + shift), size, rtol=1e-6, atol=0)


@given(values=LOG_WEIGHTS, copies=st.integers(1, 5))
def test_copies_multiply_the_effective_sample_size(values: list[float], copies: int) -> None:
    log_w = torch.tensor([values], dtype=torch.float64)
    assert_close(
        effective_sample_size(log_w.repeat(1, copies)), copies * effective_sample_size(log_w)
    )


def test_effective_sample_size_by_hand() -> None:
    log_w = torch.tensor([[0.0, 0.0, 0.0], [0.0, -1000.0, -1000.0], [0.0, math.log(3), -1e9]])
    assert_close(effective_sample_size(log_w), torch.tensor([3.0, 1.0, 16 / 10]))
