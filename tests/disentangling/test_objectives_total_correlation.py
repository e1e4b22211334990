import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal
from torch.testing import assert_close

from vae_course.disentangling import minibatch_weights, stratified_weights, tc_decomposition
from vae_course.distributions import DiagonalGaussian
from vae_course.objectives import gaussian_kl


def posteriors(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Posteriors on a diagonal line: latents 0 and 1 depend on each other, latent 2 does not."""
    generator = torch.Generator().manual_seed(0)
    t = torch.randn(n, 1, generator=generator, dtype=torch.float64)
    noise = 0.3 * torch.randn(n, 3, generator=generator, dtype=torch.float64)
    mean = torch.cat([t, t, torch.zeros_like(t)], 1) + noise
    log_var = -2 + 0.5 * torch.randn(n, 3, generator=generator, dtype=torch.float64)
    return mean, log_var


def mixture(mean: torch.Tensor, log_var: torch.Tensor) -> MixtureSameFamily:
    """Build the aggregate posterior q(z) = 1/N Σ_n q(z|x_n), by torch."""
    parts = Independent(Normal(mean, torch.exp(log_var / 2)), 1)
    return MixtureSameFamily(Categorical(torch.ones(len(mean), dtype=torch.float64)), parts)


def one_latent(mean: torch.Tensor, log_var: torch.Tensor, d: int) -> MixtureSameFamily:
    return mixture(mean[:, d : d + 1], log_var[:, d : d + 1])


def test_on_the_whole_data_the_terms_are_those_of_the_gaussian_mixture() -> None:
    mean, log_var = posteriors(40)
    z = DiagonalGaussian(mean, log_var).rsample(generator=torch.Generator().manual_seed(1))
    terms = tc_decomposition(z, mean, log_var, stratified_weights(40, 40))
    log_qz = mixture(mean, log_var).log_prob(z)
    log_product = sum(one_latent(mean, log_var, d).log_prob(z[:, d : d + 1]) for d in range(3))
    log_qzx = DiagonalGaussian(mean, log_var).log_prob(z)
    log_pz = DiagonalGaussian(torch.zeros(3), torch.zeros(3)).log_prob(z)
    assert_close(terms.mutual_information, log_qzx - log_qz)
    assert_close(terms.total_correlation, log_qz - log_product)
    assert_close(terms.dimension_wise_kl, log_product - log_pz)


def test_the_terms_sum_to_the_kl() -> None:
    mean, log_var = posteriors(30)
    q = DiagonalGaussian(mean, log_var)
    generator = torch.Generator().manual_seed(1)
    totals = []
    for _ in range(400):
        z = q.rsample(generator=generator)
        terms = tc_decomposition(z, mean, log_var, stratified_weights(30, 1000))
        totals.append(terms.mutual_information + terms.total_correlation + terms.dimension_wise_kl)
    kl = torch.stack(totals)
    assert kl.shape == (400, 30)
    error = kl.std(0) / math.sqrt(400)
    assert torch.all((kl.mean(0) - gaussian_kl(mean, log_var).sum(-1)).abs() < 5 * error)


@given(st.integers(2, 40), st.integers(0, 10_000))
def test_stratified_weights_sum_to_one_in_each_row_with_one_over_n_on_the_diagonal(
    batch: int, more: int
) -> None:
    weights = stratified_weights(batch, batch + more)
    assert_close(weights.sum(1), torch.ones(batch, dtype=torch.float64))
    assert_close(torch.diagonal(weights), torch.full((batch,), 1 / (batch + more)).double())
    assert torch.equal(weights, weights.T)


def test_stratified_weights_are_the_papers_averaged_over_its_last_image() -> None:
    batch, n = 5, 30
    m = batch - 1
    row = torch.zeros(batch, dtype=torch.float64)
    for last in range(1, batch):
        papers = torch.full((batch,), 1 / m, dtype=torch.float64)
        papers[0], papers[last] = 1 / n, (n - m) / (n * m)
        row += papers / m
    assert_close(stratified_weights(batch, n)[0], row)


def test_the_estimate_of_the_aggregate_posterior_is_unbiased_over_batches() -> None:
    mean, log_var = posteriors(12)
    z = mean[0] + 0.1
    densities = DiagonalGaussian(mean, log_var).log_prob(z).exp()
    # Every pair of image 0 with another, each batch equally likely.
    weights = stratified_weights(2, 12)
    pairs = torch.stack([densities[0].expand(11), densities[1:]], dim=1)
    assert_close((weights[0] * pairs).sum(1).mean(), densities.mean())


def test_the_order_of_the_batch_does_not_matter() -> None:
    mean, log_var = posteriors(10)
    z = DiagonalGaussian(mean, log_var).rsample(generator=torch.Generator().manual_seed(1))
    order = torch.randperm(10)
    weights = stratified_weights(10, 500)
    one = tc_decomposition(z, mean, log_var, weights)
    other = tc_decomposition(z[order], mean[order], log_var[order], weights)
    assert_close(other.total_correlation, one.total_correlation[order])
    assert_close(other.mutual_information, one.mutual_information[order])


def test_shuffling_each_latent_by_itself_removes_its_total_correlation() -> None:
    n = 2000
    mean, log_var = posteriors(n)
    z = DiagonalGaussian(mean, log_var).rsample(generator=torch.Generator().manual_seed(1))
    weights = stratified_weights(n, n)
    dependent = tc_decomposition(z, mean, log_var, weights).total_correlation.mean()
    order = torch.stack([torch.randperm(n) for _ in range(3)], dim=1)
    apart = (values.gather(0, order) for values in (z, mean, log_var))
    independent = tc_decomposition(*apart, weights).total_correlation.mean()
    # Two latents of correlation r = cov / var share −½ log(1 − r²) nats.
    assert float(dependent) == pytest.approx(gaussian_total_correlation(), abs=0.1)
    assert abs(float(independent)) < 0.1


def gaussian_total_correlation() -> float:
    """Of the aggregate posterior, nearly a Gaussian: t is shared, the rest is each latent's own."""
    own = 0.3**2 + math.exp(-2 + 0.5**2 / 2)
    return -0.5 * math.log(1 - (1 / (1 + own)) ** 2)


def test_terms_stay_float32_and_carry_a_gradient() -> None:
    mean, log_var = (values.float().requires_grad_() for values in posteriors(6))
    z = DiagonalGaussian(mean, log_var).rsample()
    terms = tc_decomposition(z, mean, log_var, stratified_weights(6, 100))
    assert terms.total_correlation.dtype == torch.float32
    terms.total_correlation.mean().backward()
    assert torch.isfinite(mean.grad).all() and torch.isfinite(log_var.grad).all()


@pytest.mark.parametrize(("batch", "n_data"), [(1, 100), (10, 9)])
def test_a_batch_too_small_or_larger_than_the_data_is_refused(batch: int, n_data: int) -> None:
    with pytest.raises(ValueError, match=f"batch of {batch} from n_data = {n_data}"):
        stratified_weights(batch, n_data)


def test_minibatch_weights_are_the_papers() -> None:
    mean, log_var = posteriors(20)
    z = DiagonalGaussian(mean, log_var).rsample(generator=torch.Generator().manual_seed(1))
    terms = tc_decomposition(z, mean, log_var, minibatch_weights(20, 500))
    # Equation 5 of Chen et al. (2018): log q(z) ≈ log Σ_j q(z|x_j) − log(N M).
    log_qz = mixture(mean, log_var).log_prob(z) - math.log(500)
    log_qzx = DiagonalGaussian(mean, log_var).log_prob(z)
    assert_close(terms.mutual_information, log_qzx - log_qz)
    with pytest.raises(ValueError, match="batch of 10 from n_data = 9"):
        minibatch_weights(10, 9)


def test_minibatch_weights_add_constants() -> None:
    mean, log_var = posteriors(20)
    z = DiagonalGaussian(mean, log_var).rsample(generator=torch.Generator().manual_seed(1))
    even = tc_decomposition(z, mean, log_var, torch.full((20, 20), 1 / 20).double())
    terms = tc_decomposition(z, mean, log_var, minibatch_weights(20, 500))
    log_n = torch.full((20,), math.log(500), dtype=torch.float64)
    assert_close(terms.mutual_information - even.mutual_information, log_n)
    assert_close(terms.total_correlation - even.total_correlation, 2 * log_n)
    assert_close(terms.dimension_wise_kl - even.dimension_wise_kl, -3 * log_n)
