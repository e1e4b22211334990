"""On the linear-Gaussian model p(z|x_obs) and p(x_mis|x_obs) are known."""

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence
from torch.testing import assert_close

from vae_course.distributions import DiagonalGaussian, DiscretizedLogistic
from vae_course.latent import (
    complete,
    draw_pixels,
    importance_resampling,
    observed_log_prob,
    pseudo_gibbs,
)
from vae_course.likelihoods import BernoulliLikelihood
from vae_course.models import VAE, LinearGaussian

MASK = torch.tensor([True, False, True, True, False, True])


class WithExactPosterior(LinearGaussian):
    """Two latents made independent given x: the exact posterior is diagonal, and is `encode`."""

    @classmethod
    def make(cls, generator: torch.Generator, sigma: float = 0.5) -> "WithExactPosterior":
        columns, _ = torch.linalg.qr(torch.randn(6, 2, generator=generator, dtype=torch.float64))
        return cls(columns * torch.tensor([2.0, 1.0]), torch.arange(6).double() / 5, sigma)


def posterior_given(model: LinearGaussian, x: Tensor, mask: Tensor) -> MultivariateNormal:
    """p(z|x_obs): the model with the rows of the missing pixels left out."""
    smaller = LinearGaussian(model.weight[mask], model.bias[mask], model.sigma)
    return smaller.posterior(x[:, mask])


def missing_given(model: LinearGaussian, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and covariance of p(x_mis|x_obs), by conditioning the joint Gaussian p(x)."""
    joint = model.marginal()
    c = joint.covariance_matrix
    gain = c[~mask][:, mask] @ torch.linalg.inv(c[mask][:, mask])
    mean = joint.mean[~mask] + (x[:, mask] - joint.mean[mask]) @ gain.T
    return mean, c[~mask][:, ~mask] - gain @ c[mask][:, ~mask]


def first_two_moments(draws: Tensor) -> tuple[Tensor, Tensor]:
    """Mean `(batch, d)` and covariance `(batch, d, d)` of draws `(n, batch, d)`."""
    mean = draws.mean(0)
    off = (draws - mean).transpose(0, 1)
    return mean, off.transpose(1, 2) @ off / (len(draws) - 1)


def data(model: LinearGaussian, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    z = model.prior().sample((n,), generator)
    x = draw_pixels(model.decode(z), generator)
    return x, MASK.expand_as(x)


def hidden(x: Tensor, observed: Tensor) -> Tensor:
    return x.masked_fill(~observed, math.nan)


def test_observed_log_prob_is_the_marginal_over_the_missing(generator: torch.Generator) -> None:
    model = WithExactPosterior.make(generator)
    x, observed = data(model, 5, generator)
    z = model.prior().sample((3, 5), generator)
    got = observed_log_prob(model.decode(z), hidden(x, observed), observed)
    smaller = LinearGaussian(model.weight[MASK], model.bias[MASK], model.sigma)
    assert_close(got, smaller.decode(z).log_prob(x[:, MASK]))
    everything = torch.ones_like(observed)
    assert_close(observed_log_prob(model.decode(z), x, everything), model.decode(z).log_prob(x))


def test_observed_log_prob_takes_images_and_refuses_pixels_it_cannot_part() -> None:
    torch.manual_seed(0)
    model = VAE((3, 4, 4), 2, widths=(8,))
    x = torch.randint(0, 2, (5, 3, 4, 4)).float()
    observed = torch.rand(x.shape) < 0.5
    p = model.decode(torch.randn(7, 5, 2))
    pixels = (p.base_dist.log_prob(x) * observed).sum((-3, -2, -1))
    assert_close(observed_log_prob(p, x, observed), pixels)
    with pytest.raises(TypeError, match="MultivariateNormal is not Independent"):
        observed_log_prob(MultivariateNormal(torch.zeros(2), torch.eye(2)), x, observed)


def test_drawn_pixels_have_the_moments_of_the_likelihood(generator: torch.Generator) -> None:
    gaussian = Independent(Normal(torch.tensor([1.0, -2.0]), torch.tensor([0.5, 2.0])), 1)
    draws = draw_pixels(gaussian.expand((50_000,)), generator)
    assert_close(draws.mean(0), gaussian.mean, atol=0.03, rtol=0)
    assert_close(draws.std(0), gaussian.stddev, atol=0.03, rtol=0)
    logits = torch.tensor([-1.0, 0.0, 3.0]).view(1, 1, 3).expand(40_000, 1, 1, 3)
    bits = draw_pixels(BernoulliLikelihood()(logits), generator)
    assert set(bits.unique().tolist()) == {0.0, 1.0}
    assert_close(bits.mean(0), logits[0].sigmoid(), atol=0.01, rtol=0)
    with pytest.raises(TypeError, match="not DiscretizedLogistic"):
        draw_pixels(DiscretizedLogistic(torch.zeros(2), torch.zeros(2)))


def test_importance_weights_are_the_densities_ratio(generator: torch.Generator) -> None:
    model = WithExactPosterior.make(generator)
    x, observed = data(model, 4, generator)
    filled = torch.zeros_like(x)
    result = importance_resampling(
        model, hidden(x, observed), observed, filled, 50, generator=generator
    )
    q = model.encode(torch.where(observed, x, filled))
    marginal = LinearGaussian(model.weight[MASK], model.bias[MASK], model.sigma).marginal()
    exact = posterior_given(model, x, MASK)
    wanted = marginal.log_prob(x[:, MASK]) + exact.log_prob(result.z) - q.log_prob(result.z)
    assert_close(result.log_w, wanted)  # w = p(x_obs) p(z|x_obs) / q(z)
    assert_close(result.weights.sum(0), torch.ones(4).double())


def test_importance_resampling_reaches_the_exact_posterior(generator: torch.Generator) -> None:
    # Noise of 1.5 keeps the proposals as wide as half the posterior: finite weights' variance.
    model = WithExactPosterior.make(generator, sigma=1.5)
    x, observed = data(model, 3, generator)
    filled = model.bias.expand_as(x)
    result = importance_resampling(
        model, hidden(x, observed), observed, filled, 40_000, generator=generator
    )
    exact = posterior_given(model, x, MASK)
    marginal = LinearGaussian(model.weight[MASK], model.bias[MASK], model.sigma).marginal()
    log_px = result.log_w.logsumexp(0) - math.log(40_000)
    assert_close(log_px, marginal.log_prob(x[:, MASK]), atol=0.05, rtol=0)
    mean, covariance = first_two_moments(result.resample(20_000, generator))
    assert_close(mean, exact.mean, atol=0.06, rtol=0)
    assert_close(covariance, exact.covariance_matrix, atol=0.06, rtol=0)
    assert ((result.effective_size > 100) & (result.effective_size < 40_000)).all()


def test_effective_size_runs_from_one_to_k(generator: torch.Generator) -> None:
    model = WithExactPosterior.make(generator)
    x, _ = data(model, 4, generator)
    observed = torch.ones_like(x, dtype=torch.bool)  # q is the exact posterior: all weights equal
    result = importance_resampling(model, x, observed, x, 30, generator=generator)
    assert_close(result.effective_size, torch.full((4,), 30.0).double())
    one = type(result)(result.z, torch.eye(30, 4).double().mul(1e4))
    assert_close(one.effective_size, torch.ones(4).double())
    assert torch.equal(one.resample(5, generator), result.z[range(4), range(4)].expand(5, 4, 2))


def chain_moments(
    model: LinearGaussian, x: Tensor, observed: Tensor, generator: torch.Generator, **options: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Moments of z and of the completed images over chains of one image, repeated."""
    chain = pseudo_gibbs(
        model,
        hidden(x, observed),
        observed,
        torch.zeros_like(x),
        60,
        burn_in=60,
        generator=generator,
        **options,
    )
    assert chain.z.shape == (60, len(x), model.latent_dim)
    draws = chain.z.flatten(0, 1).unsqueeze(1)
    images = complete(model, chain.z, x, observed, generator)
    missing = images[..., ~MASK].flatten(0, 1).unsqueeze(1)
    assert torch.equal(images[..., MASK], x[..., MASK].expand(60, -1, -1))
    return (*first_two_moments(draws), *first_two_moments(missing))


def test_pseudo_gibbs_with_the_exact_posterior_is_gibbs(generator: torch.Generator) -> None:
    model = WithExactPosterior.make(generator)
    x, _ = data(model, 1, generator)
    x = x.expand(4000, 6)  # 4000 chains
    mean, covariance, missing_mean, missing_covariance = chain_moments(
        model, x, MASK.expand_as(x), generator
    )
    exact = posterior_given(model, x[:1], MASK)
    assert_close(mean, exact.mean, atol=0.015, rtol=0)
    assert_close(covariance, exact.covariance_matrix, atol=0.015, rtol=0)
    wanted_mean, wanted_covariance = missing_given(model, x[:1], MASK)
    assert_close(missing_mean, wanted_mean, atol=0.02, rtol=0)
    assert_close(missing_covariance[0], wanted_covariance, atol=0.02, rtol=0)


@pytest.mark.parametrize(("corrected", "exact_in_the_end"), [(True, True), (False, False)])
def test_only_the_metropolis_test_repairs_an_approximate_q(
    corrected: bool, exact_in_the_end: bool, linear: LinearGaussian, generator: torch.Generator
) -> None:
    x, _ = data(linear, 1, generator)
    x = x.expand(4000, 6)
    mean, covariance, *_ = chain_moments(
        linear, x, MASK.expand_as(x), generator, corrected=corrected
    )
    exact = posterior_given(linear, x[:1], MASK)
    found = MultivariateNormal(mean, covariance)
    divergence = kl_divergence(found, MultivariateNormal(exact.mean, exact.covariance_matrix))
    assert (divergence.item() < 0.01) == exact_in_the_end, divergence.item()


def test_what_is_accepted(generator: torch.Generator, linear: LinearGaussian) -> None:
    exact = WithExactPosterior.make(generator)
    for model, all_taken in ((exact, True), (linear, False)):
        x, observed = data(model, 20, generator)
        chain = pseudo_gibbs(
            model, x, observed, 0 * x, 50, burn_in=5, corrected=True, generator=generator
        )
        assert (chain.accepted > 0.999).all() == all_taken
        assert ((chain.accepted > 0) & (chain.accepted <= 1)).all()
        free = pseudo_gibbs(model, x, observed, 0 * x, 5, burn_in=0, generator=generator)
        assert torch.equal(free.accepted, torch.ones(20))


def test_chains_of_images_repeat_with_their_generator_and_never_see_the_missing() -> None:
    torch.manual_seed(0)
    model = VAE((1, 4, 4), 2, widths=(8,), likelihood="shared-gaussian")
    x = torch.rand(3, 1, 4, 4)
    observed = torch.rand(x.shape) < 0.5

    def run(images: Tensor, seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        chain = pseudo_gibbs(
            model, images, observed, torch.zeros_like(x), 4, burn_in=2, generator=generator
        )
        sample = importance_resampling(
            model, images, observed, torch.zeros_like(x), 9, generator=generator
        )
        z = torch.cat([chain.z, sample.resample(3, generator)])
        return complete(model, z, images, observed, generator)

    images = run(x, 1)
    assert images.shape == (7, 3, 1, 4, 4) and not images.requires_grad
    assert torch.equal(images, run(hidden(x, observed), 1))
    assert not torch.equal(images, run(x, 2))
    assert isinstance(model.encode(x), DiagonalGaussian)
