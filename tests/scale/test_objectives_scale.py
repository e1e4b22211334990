import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Normal
from torch.testing import assert_close

from vae_course.data import to_unit
from vae_course.likelihoods import GaussianLikelihood, SharedGaussianLikelihood
from vae_course.models import VAE
from vae_course.objectives import ELBOLoss, gaussian_kl
from vae_course.scale import (
    OptimalSigmaLoss,
    dequantize,
    effective_beta,
    optimal_gaussian_log_px,
    optimal_sigma,
    optimal_variance,
)

SHAPE = (1, 4, 6)
PIXELS = math.prod(SHAPE)


def images_and_means(generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.rand(5, *SHAPE, generator=generator, dtype=torch.float64)
    error = torch.randn(x.shape, generator=generator, dtype=torch.float64)
    spread = torch.linspace(0.05, 0.4, 5, dtype=torch.float64).view(-1, 1, 1, 1)
    return x, (x + spread * error).requires_grad_()


@given(st.floats(-3, 3))
def test_no_other_sigma_gives_a_higher_likelihood_than_the_optimal_one(change: float) -> None:
    x, mean = images_and_means(torch.Generator().manual_seed(0))
    sigma = optimal_variance(x, mean).sqrt()
    at_best = Normal(mean, sigma).log_prob(x).sum()
    elsewhere = Normal(mean, sigma * math.exp(change)).log_prob(x).sum()
    assert float((at_best - elsewhere).detach()) >= -1e-9


def test_optimal_log_px_is_torchs_normal_and_its_average_the_closed_form(
    generator: torch.Generator,
) -> None:
    x, mean = images_and_means(generator)
    log_px = optimal_gaussian_log_px(x, mean)
    variance = (x - mean).square().mean()
    assert log_px.shape == (5,)
    assert_close(log_px, Normal(mean, variance.sqrt()).log_prob(x).flatten(1).sum(-1))
    assert_close(log_px.mean(), -PIXELS / 2 * (torch.log(2 * math.pi * variance) + 1))


def test_optimal_log_px_does_not_change_when_the_batch_is_repeated(
    generator: torch.Generator,
) -> None:
    x, mean = images_and_means(generator)
    once = optimal_gaussian_log_px(x, mean)
    twice = optimal_gaussian_log_px(torch.cat([x, x]), torch.cat([mean, mean]))
    assert_close(twice, torch.cat([once, once]))


def test_gradient_is_that_of_a_shared_sigma_at_its_optimum(generator: torch.Generator) -> None:
    """The envelope theorem: that σ* follows the mean does not show in the first derivative."""
    x, mean = images_and_means(generator)
    (through_sigma,) = torch.autograd.grad(optimal_gaussian_log_px(x, mean).mean(), mean)
    sigma = optimal_variance(x, mean).sqrt().detach().requires_grad_()
    shared = Normal(mean, sigma).log_prob(x).flatten(1).sum(-1).mean()
    held, at_optimum = torch.autograd.grad(shared, [mean, sigma])
    assert_close(through_sigma, held)
    assert abs(float(at_optimum)) < 1e-9
    assert_close(through_sigma, (x - mean.detach()) / sigma.detach() ** 2 / 5)


def test_optimal_sigma_objective_is_the_elbo_of_the_calibrated_gaussian(
    generator: torch.Generator,
) -> None:
    torch.manual_seed(0)
    model = VAE(SHAPE, 2, widths=(8,), likelihood="gaussian")
    x = torch.rand(7, *SHAPE, generator=generator)
    terms = OptimalSigmaLoss()(model, x, 0, torch.Generator().manual_seed(3))
    sigma = optimal_sigma(model, x, torch.Generator().manual_seed(3))
    model.likelihood = GaussianLikelihood(sigma)
    calibrated = ELBOLoss()(model, x, 0, torch.Generator().manual_seed(3))
    for name in ("loss", "reconstruction", "kl"):
        assert getattr(terms, name).shape == (7,)
        assert_close(getattr(terms, name), getattr(calibrated, name), rtol=1e-4, atol=1e-3)


def test_optimal_sigma_weighs_every_image_the_same_whatever_the_parts(
    generator: torch.Generator,
) -> None:
    class Copy:
        def encode(self, x):  # type: ignore[no-untyped-def]
            return self

        def rsample(self, generator=None):  # type: ignore[no-untyped-def]
            return None

        def decode(self, z):  # type: ignore[no-untyped-def]
            return Normal(torch.zeros(()), 1.0)

    x = torch.cat([torch.ones(4096, 1, 1, 1), 3 * torch.ones(1, 1, 1, 1)])
    assert optimal_sigma(Copy(), x) == pytest.approx(math.sqrt((4096 + 9) / 4097), rel=1e-5)


def test_a_shared_sigma_at_its_optimum_has_the_optimal_loss(generator: torch.Generator) -> None:
    x, mean = images_and_means(generator)
    shared = SharedGaussianLikelihood(optimal_variance(x, mean).sqrt().item())
    (-shared(mean.float()).log_prob(x.float()).mean()).backward()
    assert abs(float(shared.log_sigma.grad)) < 1e-3 * PIXELS
    assert_close(
        shared(mean.float()).log_prob(x.float()),
        optimal_gaussian_log_px(x, mean).float(),
        rtol=1e-4,
        atol=1e-3,
    )


@pytest.mark.parametrize(
    ("error_weight", "kl_weight", "sigma"),
    [(0.5, 1.0, 1.0), (1.0, 1.0, 1.0), (1 / PIXELS, 1.0, 1.0), (1 / PIXELS, 1 / 3, 0.2)],
)
def test_a_weighted_loss_has_the_gradient_of_the_beta_elbo_up_to_one_factor(
    error_weight: float, kl_weight: float, sigma: float, generator: torch.Generator
) -> None:
    torch.manual_seed(0)
    model = VAE(SHAPE, 3, widths=(8,), likelihood="gaussian")
    model.likelihood = GaussianLikelihood(sigma)
    x = torch.rand(7, *SHAPE, generator=generator)
    q = model.encode(x)
    p = model.decode(q.rsample(generator=generator))
    squared = (x - p.mean).square().flatten(1).sum(-1)
    kl = gaussian_kl(q.mean, q.log_var).sum(-1)
    weighted = (error_weight * squared + kl_weight * kl).mean()
    beta = effective_beta(error_weight, kl_weight, sigma)
    proper = (-p.log_prob(x) + beta * kl).mean()
    weights = [w for w in model.parameters() if w.requires_grad]
    ours = torch.autograd.grad(weighted, weights, retain_graph=True)
    theirs = torch.autograd.grad(proper, weights)
    for one, other in zip(ours, theirs, strict=True):
        assert_close(one, 2 * error_weight * sigma**2 * other, rtol=1e-4, atol=1e-6)


def test_effective_beta_of_known_losses() -> None:
    assert effective_beta(0.5, 1.0) == 1.0  # ½‖x − x̂‖² + KL is the ELBO of a unit Gaussian
    assert effective_beta(1.0, 1.0) == 0.5
    assert effective_beta(1 / 784, 1.0) == pytest.approx(392)
    assert effective_beta(1 / 12288, 0.00025) == pytest.approx(1.536)
    assert effective_beta(0.5 / 0.2**2, 1.0) == pytest.approx(0.2**2)  # β = σ²


@pytest.mark.parametrize("weights", [(0.0, 1.0, 1.0), (-1.0, 1.0, 1.0), (1.0, 1.0, 0.0)])
def test_effective_beta_refuses_weights_that_hide_nothing(weights: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="positive"):
        effective_beta(*weights)


def test_dequantize_fills_each_gray_level_evenly_and_never_leaves_it(
    generator: torch.Generator,
) -> None:
    levels = torch.arange(256, dtype=torch.uint8).expand(2000, -1)
    x = dequantize(levels, generator)
    inside = 256 * x.double() - levels
    assert x.dtype == torch.float32
    assert float(inside.min()) >= 0
    assert float(inside.max()) < 1
    assert float(x.max()) < 1
    assert float(inside.mean()) == pytest.approx(0.5, abs=0.003)
    assert float(inside.var()) == pytest.approx(1 / 12, abs=0.001)
    again = dequantize(levels, torch.Generator().manual_seed(0))
    assert torch.equal(x, again)


def test_dequantize_refuses_what_was_scaled_before(generator: torch.Generator) -> None:
    with pytest.raises(TypeError, match="uint8"):
        dequantize(to_unit(torch.zeros(2, 1, 3, 3, dtype=torch.uint8)), generator)
