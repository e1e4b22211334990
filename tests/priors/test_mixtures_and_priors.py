"""Mixtures as priors: against torch's own, by sampling, and through training."""

import math

import pytest
import torch
from torch.distributions import (
    Categorical,
    Independent,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
    kl_divergence,
)
from torch.testing import assert_close

from vae_course.distributions import DiagonalGaussian
from vae_course.evidence import prior_log_weights
from vae_course.metrics import log_marginal
from vae_course.models import VAE, LinearGaussian, sample_images
from vae_course.objectives import ELBOLoss, log_weights
from vae_course.priors import LatentMixture, SampledELBOLoss, VampPriorVAE, fit_mixture, with_prior
from vae_course.schedules import Constant
from vae_course.training import fit

SHAPE = (1, 8, 8)


def small_vamp(k: int = 5) -> VampPriorVAE:
    torch.manual_seed(0)
    return VampPriorVAE(VAE(SHAPE, 3, widths=(16,)), torch.rand(k, *SHAPE))


def diagonal(generator: torch.Generator, log_var: float = 0.0) -> LatentMixture:
    means = 2 * torch.randn(4, 3, generator=generator)
    log_vars = log_var + torch.randn(4, 3, generator=generator)
    return LatentMixture(torch.tensor([1.0, 2.0, 3.0, 4.0]), DiagonalGaussian(means, log_vars))


def full(generator: torch.Generator) -> LatentMixture:
    means = 2 * torch.randn(4, 3, generator=generator)
    roots = torch.randn(4, 3, 3, generator=generator).tril(-1) + torch.eye(3)
    return LatentMixture(
        torch.tensor([1.0, 2.0, 3.0, 4.0]), MultivariateNormal(means, scale_tril=roots)
    )


@pytest.mark.parametrize("log_var", [0.0, -8.0])
def test_a_diagonal_mixture_has_torchs_density_even_where_it_is_narrow(
    generator: torch.Generator, log_var: float
) -> None:
    mixture = diagonal(generator, log_var)
    q = mixture.components
    parts = Independent(Normal(q.mean.double(), torch.exp(0.5 * q.log_var.double())), 1)
    reference = MixtureSameFamily(Categorical(probs=mixture.weights.double()), parts)
    around = q.mean[:, None] + q.stddev[:, None] * torch.randn(4, 3, 3, generator=generator)
    z = torch.cat([around, torch.randn(4, 2, 3, generator=generator)], 1)
    assert mixture.log_prob(z).shape == (4, 5)
    assert_close(mixture.log_prob(z).double(), reference.log_prob(z.double()), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("make", [diagonal, full])
def test_samples_have_the_mixtures_moments_and_repeat(make, generator: torch.Generator) -> None:
    mixture = make(generator)
    z = mixture.sample((200, 500), torch.Generator().manual_seed(1))
    assert z.shape == (200, 500, 3)
    flat = z.flatten(0, 1)
    assert_close(flat.mean(0), mixture.mean, rtol=0, atol=0.05)
    assert_close(flat.var(0), mixture.variance, rtol=0.05, atol=0)
    again = mixture.sample((200, 500), torch.Generator().manual_seed(1))
    assert torch.equal(z, again)


def test_samples_of_a_full_mixture_are_correlated_as_it_says(generator: torch.Generator) -> None:
    covariance = torch.tensor([[1.0, 0.8], [0.8, 1.0]])
    one = LatentMixture(torch.ones(1), MultivariateNormal(torch.zeros(1, 2), covariance[None]))
    assert_close(torch.cov(one.sample((50_000,), generator).T), covariance, rtol=0, atol=0.03)


def test_one_weight_for_each_component() -> None:
    with pytest.raises(ValueError, match=r"\(3,\).*\(4,\).*one weight"):
        LatentMixture(torch.ones(3), DiagonalGaussian(torch.zeros(4, 2), torch.zeros(4, 2)))


def test_the_vamp_prior_is_the_mixture_of_posteriors_at_its_pseudo_inputs() -> None:
    model = small_vamp()
    q = model.encode(model.pseudo_inputs)
    parts = Independent(Normal(q.mean, q.stddev), 1)
    reference = MixtureSameFamily(Categorical(probs=torch.ones(5)), parts)
    z = torch.randn(7, 3)
    assert_close(model.prior().log_prob(z), reference.log_prob(z), rtol=1e-5, atol=1e-5)


def test_pseudo_inputs_start_where_told_and_stay_images() -> None:
    start = torch.rand(4, *SHAPE).clamp(0.05, 0.95)
    model = VampPriorVAE(VAE(SHAPE, 3, widths=(4,)), start)
    assert_close(model.pseudo_inputs.detach(), start)
    with torch.no_grad():
        model.pseudo_logits += 5 * torch.randn_like(model.pseudo_logits)
    assert model.pseudo_inputs.min() >= 0 and model.pseudo_inputs.max() <= 1
    with pytest.raises(ValueError, match=r"\(4, 1, 9, 9\).*\(1, 8, 8\)"):
        VampPriorVAE(VAE(SHAPE, 3, widths=(4,)), torch.rand(4, 1, 9, 9))


def test_gradients_reach_the_pseudo_inputs_through_the_prior_alone() -> None:
    model, x = small_vamp(), torch.randint(0, 2, (6, *SHAPE)).float()
    terms = SampledELBOLoss()(model, x, 0, torch.Generator().manual_seed(0))
    terms.reconstruction.sum().backward(retain_graph=True)
    assert model.pseudo_logits.grad is None
    terms.loss.sum().backward()
    assert bool((model.pseudo_logits.grad.flatten(1).abs().sum(1) > 0).all())


def test_training_moves_the_pseudo_inputs_and_lowers_the_loss() -> None:
    model = small_vamp()
    before = model.pseudo_inputs.detach().clone()
    images = torch.zeros(256, *SHAPE)
    images[:, :, :, :4] = 1
    history = fit(model, images, SampledELBOLoss(), epochs=15, batch_size=64)
    assert history.train["loss"][-1] < history.train["loss"][0] - 10
    assert not torch.equal(before, model.pseudo_inputs.detach().cpu())


def test_the_sampled_elbo_has_the_closed_forms_mean() -> None:
    torch.manual_seed(0)
    model, x = VAE(SHAPE, 2, widths=(16,)), torch.randint(0, 2, (1, *SHAPE)).float()
    with torch.no_grad():
        for weights in model.encoder.parameters():
            weights.mul_(3)  # far from the prior
        many = x.expand(40_000, *SHAPE)
        sampled = SampledELBOLoss()(model, many, 0, torch.Generator().manual_seed(1))
        exact = ELBOLoss()(model, x, 0, torch.Generator().manual_seed(1))
    error = sampled.kl.std() / math.sqrt(len(many))
    assert abs(sampled.kl.mean() - exact.kl[0]) < 4 * error
    assert_close(sampled.loss, sampled.reconstruction + sampled.kl)
    half = SampledELBOLoss(Constant(0.5))(model, x, 0, torch.Generator().manual_seed(1))
    assert_close(half.loss, half.reconstruction + 0.5 * half.kl)


def test_another_prior_changes_log_px_as_in_closed_form(linear: LinearGaussian) -> None:
    """With p(z) = N(m, S) the linear model's p(x) is N(W m + b, W S Wᵀ + σ² I)."""
    mean = torch.tensor([0.5, -1.0, 0.3], dtype=torch.float64)
    root = torch.tensor([[1.0, 0, 0], [0.4, 0.7, 0], [-0.2, 0.1, 1.2]], dtype=torch.float64)
    prior = MultivariateNormal(mean[None], scale_tril=root[None])
    moved = with_prior(linear, LatentMixture(torch.ones(1).double(), prior))
    w = linear.weight
    noise = linear.sigma**2 * torch.eye(len(w), dtype=torch.float64)
    exact = MultivariateNormal(w @ mean + linear.bias, w @ root @ root.T @ w.T + noise)
    torch.manual_seed(3)
    x = exact.sample((20,))
    estimate = log_marginal(moved, x, 20_000, generator=torch.Generator().manual_seed(2))
    assert_close(estimate, exact.log_prob(x), rtol=0, atol=0.1)
    unmoved = log_marginal(linear, x, 2000, generator=torch.Generator().manual_seed(2))
    assert (estimate - unmoved).abs().max() > 0.3


def test_a_view_with_another_prior_shares_the_networks_and_samples_from_the_new_prior() -> None:
    torch.manual_seed(0)
    model = VAE(SHAPE, 3, widths=(16,))
    far = DiagonalGaussian(torch.full((3,), 5.0), torch.full((3,), -20.0))
    view, x = with_prior(model, far), torch.rand(2, *SHAPE)
    assert torch.equal(view.encode(x).mean, model.encode(x).mean)
    assert_close(
        sample_images(view, 4, torch.Generator().manual_seed(0)),
        model.decode(torch.full((4, 3), 5.0)).mean.detach(),
        rtol=0,
        atol=1e-3,
    )
    assert torch.equal(model.prior().mean, torch.zeros(3))


def test_log_weights_take_any_prior() -> None:
    model, x = small_vamp(), torch.randint(0, 2, (2, *SHAPE)).float()
    log_w = log_weights(model, x, 6, torch.Generator().manual_seed(0))
    z = model.encode(x).rsample((6,), torch.Generator().manual_seed(0))
    expected = model.decode(z).log_prob(x) + model.prior().log_prob(z)
    assert_close(log_w, (expected - model.encode(x).log_prob(z)).T)


def test_a_fitted_mixture_finds_the_clusters_it_is_shown() -> None:
    generator = torch.Generator().manual_seed(0)
    truth = LatentMixture(
        torch.tensor([0.3, 0.7]),
        MultivariateNormal(
            torch.tensor([[-4.0, 0.0], [4.0, 1.0]]),
            torch.tensor([[[1.0, 0.9], [0.9, 1.0]], [[0.5, 0.0], [0.0, 2.0]]]),
        ),
    )
    codes, held_out = truth.sample((4000,), generator), truth.sample((4000,), generator)
    fitted = fit_mixture(codes, 2)
    assert_close(fitted.weights.sort().values, truth.weights, rtol=0, atol=0.03)
    gap = (truth.log_prob(held_out) - fitted.log_prob(held_out)).mean()
    assert -0.005 < gap < 0.01


def test_a_single_fitted_gaussian_has_mean_and_covariance_of_the_codes() -> None:
    codes = torch.randn(3000, 3, generator=torch.Generator().manual_seed(0)) @ torch.randn(
        3, 3, generator=torch.Generator().manual_seed(1)
    )
    (fitted,) = [fit_mixture(codes, 1).components]
    assert_close(fitted.mean[0], codes.mean(0), rtol=0, atol=1e-4)
    assert_close(fitted.covariance_matrix[0], codes.T.cov(correction=0), rtol=1e-3, atol=1e-3)


def test_the_kl_of_two_gaussians_is_blind_to_invertible_maps(generator: torch.Generator) -> None:
    stretch = torch.randn(3, 3, generator=generator, dtype=torch.float64)
    one = MultivariateNormal(torch.ones(3).double(), 0.3 * torch.eye(3).double())
    two = MultivariateNormal(torch.zeros(3).double(), torch.eye(3).double())
    moved = [
        MultivariateNormal(stretch @ p.mean, stretch @ p.covariance_matrix @ stretch.T)
        for p in (one, two)
    ]
    assert_close(kl_divergence(*moved), kl_divergence(one, two))


def test_a_mixture_as_prior_is_drawn_from_and_weighed(generator) -> None:
    torch.manual_seed(0)
    model, x = VAE(SHAPE, 2, widths=(4,)), torch.zeros(3, *SHAPE)
    codes = torch.randn(200, 2, generator=generator)
    view = with_prior(model, fit_mixture(codes, 3, seed=0))
    again = [torch.Generator().manual_seed(7) for _ in range(2)]
    pictures = [sample_images(view, 5, noise) for noise in again]
    assert pictures[0].shape == (5, *SHAPE)
    assert torch.equal(*pictures), "draws are from the generator"
    assert prior_log_weights(view, x, 10, generator).shape == (3, 10)
