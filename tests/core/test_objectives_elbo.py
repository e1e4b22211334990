import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Normal, kl_divergence
from torch.testing import assert_close

from vae_course.disentangling import capacity_penalty
from vae_course.distributions import DiagonalGaussian
from vae_course.models import VAE, Autoencoder, LinearGaussian
from vae_course.objectives import (
    DReGLoss,
    ELBOLoss,
    IWAELoss,
    elbo,
    free_bits,
    gaussian_kl,
    squared_error_loss,
)
from vae_course.schedules import Constant, LinearWarmup
from vae_course.training.terms import terms_of

REASONABLE = st.floats(-8, 8)


@given(REASONABLE, REASONABLE)
def test_gaussian_kl_equals_torchs_divergence_and_is_not_negative(
    mean: float, log_var: float
) -> None:
    mu, lv = torch.tensor(mean).double(), torch.tensor(log_var).double()
    expected = kl_divergence(Normal(mu, torch.exp(lv / 2)), Normal(torch.zeros(()).double(), 1.0))
    assert_close(gaussian_kl(mu, lv), expected, rtol=1e-9, atol=1e-12)
    assert float(gaussian_kl(mu.float(), lv.float())) > -1e-6


def test_gaussian_kl_agrees_with_monte_carlo_within_its_standard_error(
    generator: torch.Generator,
) -> None:
    q = DiagonalGaussian(torch.tensor([[0.5, -1.0]]), torch.tensor([[-1.0, 0.7]]))
    z = q.rsample((50_000,), generator)
    ratio = q.log_prob(z) - DiagonalGaussian(torch.zeros(2), torch.zeros(2)).log_prob(z)
    error = ratio.std() / math.sqrt(len(ratio))
    kl = gaussian_kl(q.mean, q.log_var)
    assert kl.shape == (1, 2)
    assert abs(float(ratio.mean() - kl.sum())) < 4 * float(error)


def test_gaussian_kl_gradient_is_that_of_its_value(generator: torch.Generator) -> None:
    mean = torch.randn(3, 2, dtype=torch.float64, generator=generator, requires_grad=True)
    log_var = torch.randn(3, 2, dtype=torch.float64, generator=generator, requires_grad=True)
    assert torch.autograd.gradcheck(gaussian_kl, (mean, log_var))


def test_elbo_is_reconstruction_minus_beta_kl() -> None:
    log_px, kl = torch.tensor([-3.0, -5.0]), torch.tensor([1.0, 2.0])
    assert torch.equal(elbo(log_px, kl), torch.tensor([-4.0, -7.0]))
    assert torch.equal(elbo(log_px, kl, beta=4), torch.tensor([-7.0, -13.0]))


def test_log_marginal_minus_elbo_is_the_kl_to_the_exact_posterior(
    linear: LinearGaussian, x: torch.Tensor
) -> None:
    q = linear.encode(x)
    # E_q log p(x|z) in closed form: the squared error at the mean, and the variance it spreads.
    spread = (linear.weight.square() @ q.log_var[0].exp()).sum() / (2 * linear.sigma**2)
    expected_log_px = linear.decode(q.mean).log_prob(x) - spread
    bound = elbo(expected_log_px, gaussian_kl(q.mean, q.log_var).sum(-1))
    posterior = linear.posterior(x)
    full = torch.distributions.MultivariateNormal(q.mean, torch.diag_embed(q.log_var.exp()))
    gap = kl_divergence(full, posterior)
    assert_close(linear.marginal().log_prob(x) - bound, gap, rtol=1e-10, atol=1e-10)
    assert_close(linear.optimal_elbo(x), bound, rtol=1e-10, atol=1e-10)
    assert float(gap.min()) > 0.01  # this posterior is not diagonal: there is a gap to see


def test_exact_marginal_and_posterior_obey_bayes_rule(
    linear: LinearGaussian, x: torch.Tensor
) -> None:
    z = torch.randn(len(x), 3, dtype=torch.float64)
    joint = linear.prior().log_prob(z) + linear.decode(z).log_prob(x)
    assert_close(joint - linear.posterior(x).log_prob(z), linear.marginal().log_prob(x))


@given(st.lists(st.floats(-1, 1), min_size=6, max_size=6))
def test_no_other_diagonal_gaussian_beats_the_optimal_elbo(changes: list[float]) -> None:
    model = LinearGaussian(
        torch.tensor(
            [[1.0, 0.8, 0.0], [0.2, -1.0, 0.5], [0.0, 0.3, 2.0], [1.0, 1.0, 1.0]]
        ).double(),
        torch.zeros(4).double(),
        0.6,
    )
    x = torch.tensor([[0.3, -1.0, 2.0, 0.1]]).double()
    best = model.encode(x)
    shift, widen = torch.tensor(changes).double().view(2, 1, 3)
    mean, log_var = best.mean + shift, best.log_var + widen
    spread = (model.weight.square() @ log_var[0].exp()).sum() / (2 * model.sigma**2)
    bound = model.decode(mean).log_prob(x) - spread - gaussian_kl(mean, log_var).sum(-1)
    assert float(bound) <= float(model.optimal_elbo(x)) + 1e-9


def test_negative_elbo_names_its_terms_and_weighs_only_the_kl(
    linear: LinearGaussian, x: torch.Tensor
) -> None:
    beta = LinearWarmup(10, end=4.0)
    terms = ELBOLoss(beta)(linear, x, 5, torch.Generator().manual_seed(1))
    plain = ELBOLoss()(linear, x, 5, torch.Generator().manual_seed(1))
    assert terms.loss.shape == terms.reconstruction.shape == terms.kl.shape == (8,)
    assert_close(terms.loss, terms.reconstruction + 2.0 * terms.kl)
    assert_close(plain.loss, plain.reconstruction + plain.kl)
    assert torch.equal(terms.reconstruction, plain.reconstruction)
    assert torch.equal(terms.kl, plain.kl)


@pytest.mark.parametrize("beta", [1.0, 0.0])
def test_negative_elbo_is_the_closed_form_bound_in_expectation(
    linear: LinearGaussian, x: torch.Tensor, beta: float, generator: torch.Generator
) -> None:
    many = x[:1].expand(20_000, -1)
    losses = ELBOLoss(Constant(beta))(linear, many, 0, generator).loss
    q = linear.encode(x[:1])
    expected = -linear.optimal_elbo(x[:1]) - (1 - beta) * gaussian_kl(q.mean, q.log_var).sum()
    assert abs(float(losses.mean() - expected)) < 4 * float(losses.std()) / math.sqrt(len(many))


@pytest.mark.parametrize(
    "objective",
    [ELBOLoss(), IWAELoss(5), DReGLoss(5), squared_error_loss],
    ids=["elbo", "iwae", "dreg", "squared-error"],
)
def test_the_loss_of_an_image_does_not_depend_on_the_batch_it_is_in(objective: object) -> None:
    torch.manual_seed(0)
    shape = (1, 4, 4)
    is_vae = objective is not squared_error_loss
    model = VAE(shape, 2, widths=(8,)) if is_vae else Autoencoder(shape, 2, widths=(8,))
    if is_vae:
        silence(model)
    x = torch.randint(0, 2, (3, *shape)).float()
    once = terms_of(objective(model, x, 0, None))["loss"]
    twice = terms_of(objective(model, torch.cat([x, x]), 0, None))["loss"]
    assert once.shape == (3,)
    assert_close(twice, torch.cat([once, once]))
    assert_close(twice.mean(), once.mean())


def silence(model: VAE) -> None:
    """Make the decoder deaf to z and q the prior, so that noise does not matter."""
    with torch.no_grad():
        for network in (model.encoder.layers[-1], model.decoder.layers[0]):
            network.weight.zero_()
            network.bias.zero_()


def test_squared_error_is_a_sum_over_pixels() -> None:
    x = torch.zeros(2, 3, 4, 4)
    error = squared_error_loss(lambda images: images + 0.5, x, 0)
    assert torch.equal(error, torch.full((2,), 0.25 * 48))


def test_free_bits_floor_the_mean_kl_of_each_group_and_stop_its_gradient() -> None:
    kl = torch.tensor([[0.1, 2.0], [0.3, 4.0]], requires_grad=True)
    total = free_bits(kl, 0.5)
    total.backward()
    assert total.item() == pytest.approx(0.5 + 3.0)
    assert torch.equal(kl.grad, torch.tensor([[0.0, 0.5], [0.0, 0.5]]))
    # The mean is floored and not each image: 0.1 and 1.1 have the mean 0.6.
    assert float(free_bits(torch.tensor([[0.1], [1.1]]), 0.5)) == pytest.approx(0.6)


def test_capacity_penalty_holds_the_mean_kl_and_not_each_images() -> None:
    kl = torch.tensor([1.0, 9.0])
    assert float(capacity_penalty(kl, capacity=5.0, gamma=100.0)) == 0.0
    assert float(capacity_penalty(kl, capacity=2.0, gamma=10.0)) == pytest.approx(30.0)
    assert float(capacity_penalty(kl, capacity=7.0, gamma=10.0)) == pytest.approx(20.0)


def test_batch_penalties_do_not_change_when_the_batch_is_repeated(
    generator: torch.Generator,
) -> None:
    kl = torch.rand(6, 3, generator=generator)
    twice = torch.cat([kl, kl])
    assert_close(free_bits(twice, 0.4), free_bits(kl, 0.4))
    assert_close(capacity_penalty(twice.sum(1), 1, 9), capacity_penalty(kl.sum(1), 1, 9))
