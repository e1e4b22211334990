"""The grid against closed forms: log p(x), the posterior, divergences."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import MultivariateNormal, kl_divergence
from torch.testing import assert_close

from vae_course.distributions import DiagonalGaussian
from vae_course.evidence import (
    grid_kl,
    grid_log_joint,
    grid_log_marginal,
    grid_log_posterior,
    latent_grid,
)
from vae_course.models import VAE, LinearGaussian, random_linear_gaussian
from vae_course.objectives import gaussian_kl


def model_and_data(latent: int, n: int = 6) -> tuple[LinearGaussian, torch.Tensor]:
    generator = torch.Generator().manual_seed(latent)
    model = random_linear_gaussian(5, latent, 0.8, generator)
    z = model.prior().sample((n,), generator)
    noise = torch.randn(n, 5, generator=generator, dtype=torch.float64)
    return model, model.decode(z).mean + model.sigma * noise


@given(
    latent=st.integers(1, 3),
    points=st.integers(1, 9),
    bound=st.floats(0.1, 10),
)
def test_cells_tile_the_cube(latent: int, points: int, bound: float) -> None:
    grid = latent_grid(latent, bound, points)
    assert grid.points.shape == (points**latent, latent)
    assert grid.cell_volume * len(grid.points) == pytest.approx((2 * bound) ** latent)
    assert_close(grid.points.mean(0), torch.zeros(latent, dtype=torch.float64))
    assert float(grid.points.abs().max()) <= bound
    side = grid.cell_volume ** (1 / latent)
    assert float(grid.axis[0]) == pytest.approx(-bound + side / 2, abs=1e-6)
    last = grid.points[:points, -1]
    assert_close(last, grid.axis)


@pytest.mark.parametrize(("latent", "points"), [(1, 200), (2, 100), (3, 48)])
def test_log_marginal_is_the_closed_form(latent: int, points: int) -> None:
    model, x = model_and_data(latent)
    grid = latent_grid(latent, 8.0, points)
    on_grid = grid_log_marginal(grid_log_joint(model, x, grid), grid)
    tolerance = 1e-9 if latent < 3 else 1e-4
    assert_close(on_grid, model.marginal().log_prob(x), atol=tolerance, rtol=0)


def test_log_marginal_is_trapezoidal_integration() -> None:
    """One latent, against torch's own rule on other points."""
    model, x = model_and_data(1)
    z = torch.linspace(-9, 9, 2001, dtype=torch.float64)[:, None]
    joint = model.decode(z[:, None]).log_prob(x) + model.prior().log_prob(z)[:, None]
    wanted = torch.trapezoid(joint.exp(), z[:, 0], dim=0).log()
    grid = latent_grid(1, 9.0, 700)
    assert_close(grid_log_marginal(grid_log_joint(model, x, grid), grid), wanted)


def test_a_bound_that_cuts_the_posterior_off_loses_probability() -> None:
    model, _ = model_and_data(1)
    x = model.decode(torch.tensor([[3.0]], dtype=torch.float64)).mean
    grid = latent_grid(1, 1.0, 500)
    lost = grid_log_marginal(grid_log_joint(model, x, grid), grid)
    assert float(model.marginal().log_prob(x) - lost) > 1


@pytest.mark.parametrize("chunk", [1, 7, 64, 4096])
def test_chunks_change_nothing(chunk: int) -> None:
    model, x = model_and_data(2)
    grid = latent_grid(2, 4.0, 9)
    assert_close(grid_log_joint(model, x, grid, chunk=chunk), grid_log_joint(model, x, grid))


def test_the_posterior_is_the_closed_forms_density() -> None:
    model, x = model_and_data(2)
    grid = latent_grid(2, 8.0, 100)
    log_post = grid_log_posterior(grid_log_joint(model, x, grid), grid)
    assert_close(log_post, model.posterior(x).log_prob(grid.points[:, None]).T)
    assert_close(log_post.exp().sum(-1) * grid.cell_volume, torch.ones(6).double())


def test_divergences_are_torchs() -> None:
    model, x = model_and_data(2)
    grid = latent_grid(2, 8.0, 160)
    log_post = grid_log_posterior(grid_log_joint(model, x, grid), grid)
    identity = torch.eye(2, dtype=torch.float64)
    prior = MultivariateNormal(torch.zeros(2).double(), identity)
    to_prior = grid_kl(log_post, model.prior().log_prob(grid.points), grid)
    assert_close(to_prior, kl_divergence(model.posterior(x), prior))
    q = model.encode(x)
    log_q = q.log_prob(grid.points[:, None]).T
    full = MultivariateNormal(q.mean, torch.diag_embed(q.variance))
    assert_close(grid_kl(log_q, log_post, grid), kl_divergence(full, model.posterior(x)))


def test_a_density_that_underflows_is_no_nan() -> None:
    narrow = DiagonalGaussian(torch.zeros(1).double(), torch.full((1,), -6.0).double())
    grid = latent_grid(1, 8.0, 4000)
    log_p = -0.5 * (grid.points.square().sum(-1) + math.log(2 * math.pi))
    measured = grid_kl(narrow.log_prob(grid.points), log_p, grid)
    assert_close(measured, gaussian_kl(narrow.mean, narrow.log_var).sum())


def test_the_gradient_of_log_p_is_fishers_identity() -> None:
    model, x = model_and_data(2)
    weight = model.weight.clone().requires_grad_()
    model = LinearGaussian(weight, model.bias, model.sigma)
    grid = latent_grid(2, 8.0, 100)
    (wanted,) = torch.autograd.grad(model.marginal().log_prob(x).sum(), weight)
    total = grid_log_marginal(grid_log_joint(model, x, grid), grid).sum()
    (gradient,) = torch.autograd.grad(total, weight)
    assert_close(gradient, wanted)


def test_images_keep_their_shape_and_type() -> None:
    torch.manual_seed(0)
    vae = VAE((1, 4, 4), 2, widths=(8,))
    x = torch.randint(0, 2, (3, 1, 4, 4)).float()
    grid = latent_grid(2, 6.0, 60)
    with torch.no_grad():
        joint = grid_log_joint(vae, x, grid)
        assert joint.shape == (3, 3600)
        first = grid.points[7].float()
        assert_close(joint[:, 7], vae.decode(first).log_prob(x) + vae.prior().log_prob(first))
    log_px = grid_log_marginal(joint, grid)
    assert log_px.dtype == torch.float32
    assert log_px.shape == (3,)


@pytest.mark.parametrize("latent", [0, 4, 64])
def test_a_grid_over_many_latents_is_refused(latent: int) -> None:
    with pytest.raises(ValueError, match="log_marginal"):
        latent_grid(latent, 5.0, 100)


@pytest.mark.parametrize(("bound", "points"), [(0.0, 10), (-1.0, 10), (math.nan, 10), (1.0, 0)])
def test_a_grid_of_nothing_is_refused(bound: float, points: int) -> None:
    with pytest.raises(ValueError, match="at least one point"):
        latent_grid(1, bound, points)


def test_a_grid_that_is_not_the_models_is_refused() -> None:
    model, x = model_and_data(2)
    with pytest.raises(ValueError, match="1 latents but the model 2"):
        grid_log_joint(model, x, latent_grid(1, 5.0, 10))
