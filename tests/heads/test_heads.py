"""Heads: full Gaussians, variance heads, and what networks cost."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.distributions import MultivariateNormal, kl_divergence
from torch.testing import assert_close

from vae_course.distributions import DiagonalGaussian, FullGaussian, StandardNormal, kl
from vae_course.heads import (
    VARIANCE_HEADS,
    FullCovarianceVAE,
    VarianceHeadVAE,
    cholesky_head,
    cholesky_outputs,
)
from vae_course.metrics import (
    count_flops,
    count_parameters,
    estimate_elbo,
    layer_costs,
    log_marginal,
)
from vae_course.models import VAE, load_model, rotated_linear_gaussian, save_model
from vae_course.objectives import ELBOLoss, full_gaussian_kl, gaussian_kl

SHAPE = (1, 8, 8)


def random_full(generator: torch.Generator, batch: int = 4, latent: int = 3) -> FullGaussian:
    outputs = torch.randn(batch, cholesky_outputs(latent), generator=generator, dtype=torch.float64)
    return cholesky_head(outputs, latent)


@given(st.lists(st.floats(-3, 3), min_size=9, max_size=9))
def test_any_nine_numbers_are_a_gaussian_of_three_latents(numbers: list[float]) -> None:
    outputs = torch.tensor([numbers], dtype=torch.float64)
    q = cholesky_head(outputs, 3)
    assert_close(q.mean, outputs[:, :3])
    assert torch.equal(q.scale_tril, q.scale_tril.tril())
    assert_close(torch.diagonal(q.scale_tril[0]), torch.exp(0.5 * outputs[0, 3:6]))
    prior = MultivariateNormal(torch.zeros(3).double(), torch.eye(3).double())
    expected = kl_divergence(MultivariateNormal(q.mean, scale_tril=q.scale_tril), prior)
    assert_close(full_gaussian_kl(q.mean, q.scale_tril), expected, rtol=1e-9, atol=1e-9)
    assert float(expected) >= -1e-12


def test_the_factor_is_filled_below_its_diagonal_row_by_row() -> None:
    q = cholesky_head(torch.tensor([0.0, 0, 0, 0, 0, 0, 1, 2, 3]), 3)
    expected = torch.tensor([[1.0, 0, 0], [1, 1, 0], [2, 3, 1]])
    assert torch.equal(q.scale_tril, expected)


def test_with_zeros_below_the_diagonal_it_is_the_diagonal_gaussian(
    generator: torch.Generator,
) -> None:
    mean, log_var = torch.randn(2, 5, 3, generator=generator, dtype=torch.float64)
    full = cholesky_head(torch.cat([mean, log_var, torch.zeros(5, 3).double()], -1), 3)
    diagonal = DiagonalGaussian(mean, log_var)
    z = torch.randn(7, 5, 3, generator=generator, dtype=torch.float64)
    assert_close(full.log_prob(z), diagonal.log_prob(z))
    prior = StandardNormal(3, dtype=torch.float64)
    assert_close(kl(full, prior), kl(diagonal, prior))
    assert_close(kl(diagonal, prior), gaussian_kl(mean, log_var).sum(-1))
    seeds = [torch.Generator().manual_seed(3) for _ in range(2)]
    assert_close(full.rsample((2,), seeds[0]), diagonal.rsample((2,), seeds[1]))


def test_a_full_gaussian_samples_with_its_covariance(generator: torch.Generator) -> None:
    q = random_full(generator, batch=2, latent=2)
    z = q.sample((40_000,), generator)
    assert z.shape == (40_000, 2, 2) and not z.requires_grad
    error = 5 * q.covariance_matrix.abs().max() * math.sqrt(2 / len(z))
    for i in range(2):
        assert (z[:, i].T.cov() - q.covariance_matrix[i]).abs().max() < error
    assert (z.mean(0) - q.mean).abs().max() < 5 * q.stddev.max() / math.sqrt(len(z))


def test_a_full_gaussian_passes_gradients_and_repeats_with_its_generator() -> None:
    outputs = torch.randn(4, cholesky_outputs(3), requires_grad=True)
    q = cholesky_head(outputs, 3)
    one, two = (q.rsample((2,), torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(one, two)
    (one.square().sum() + kl(q, StandardNormal(3)).sum()).backward()
    assert outputs.grad is not None and bool((outputs.grad != 0).all())


def test_a_full_gaussian_expands_and_refuses_a_matrix_of_another_size() -> None:
    q = FullGaussian(torch.zeros(3), torch.eye(3)).expand((2, 4))
    assert isinstance(q, FullGaussian)
    assert (q.batch_shape, q.event_shape) == ((2, 4), (3,))
    assert q.sample().shape == (2, 4, 3)
    with pytest.raises(ValueError, match=r"\(5, 3\) .* \(5, 2, 2\)"):
        FullGaussian(torch.zeros(5, 3), torch.eye(2).expand(5, 2, 2))
    with pytest.raises(ValueError, match=r"8 outputs.* 3 latents takes 9"):
        cholesky_head(torch.zeros(5, 8), 3)


def test_a_full_gaussian_reaches_log_px_where_the_posterior_is_one(
    generator: torch.Generator,
) -> None:
    """ELBO = log p(x) for every x if q is the exact posterior, tilted as it is."""
    model = rotated_linear_gaussian((3.0, 0.6), 30.0)
    x = model.marginal().sample((6,))
    posterior = model.posterior(x)
    model.encode = (
        lambda x: FullGaussian(  # type: ignore[assignment]
            model.posterior_mean(x), posterior.scale_tril[: len(x)]
        )
    )
    assert_close(log_marginal(model, x, 3, generator=generator), model.marginal().log_prob(x))
    estimate = estimate_elbo(model, x, samples=20_000, chunk=60_000, generator=generator)
    assert_close(estimate.elbo, model.marginal().log_prob(x), atol=0.05, rtol=0)


@given(st.floats(0, 90))
def test_a_turn_of_the_latents_leaves_px_and_tilts_the_posterior(degrees: float) -> None:
    model, straight = (rotated_linear_gaussian((3.0, 0.6), a) for a in (degrees, 0.0))
    assert_close(model.marginal().covariance_matrix, straight.marginal().covariance_matrix)
    stiff, soft = 10.0, 1.36
    cos2, sin2 = math.cos(math.radians(degrees)) ** 2, math.sin(math.radians(degrees)) ** 2
    product = (stiff * cos2 + soft * sin2) * (stiff * sin2 + soft * cos2)
    gap = model.marginal().log_prob(torch.zeros(2).double()) - model.optimal_elbo(
        torch.zeros(1, 2).double()
    )
    assert_close(gap.item(), 0.5 * math.log(product / (stiff * soft)), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("network", ["mlp", "conv"])
def test_a_full_covariance_vae_trains_and_comes_back_from_disk(network: str, tmp_path) -> None:
    torch.manual_seed(0)
    model = FullCovarianceVAE(SHAPE, 3, network=network, widths=(6, 4))
    x = torch.randint(0, 2, (5, *SHAPE)).float()
    terms = ELBOLoss()(model, x, 0, torch.Generator().manual_seed(0))
    q = model.encode(x)
    assert_close(terms.kl, full_gaussian_kl(q.mean, q.scale_tril))
    terms.loss.mean().backward()
    assert all(bool(p.grad.isfinite().all()) for p in model.encoder.parameters())
    torch.manual_seed(0)
    plain = VAE(SHAPE, 3, network=network, widths=(6, 4)).encode(x)
    assert_close(q.mean, plain.mean)
    assert_close(q.scale_tril, torch.diag_embed(plain.stddev))
    save_model(model, tmp_path / "model.safetensors")
    again = load_model(tmp_path / "model.safetensors")
    assert isinstance(again, FullCovarianceVAE)
    assert torch.equal(again.encode(x).scale_tril, q.scale_tril)


@pytest.mark.parametrize("head", VARIANCE_HEADS)
def test_every_variance_head_gives_the_variance_it_says_and_starts_at_one(head: str) -> None:
    expected = {
        "log-variance": torch.exp,
        "softplus": nn.functional.softplus,
        "relu": nn.functional.relu,
        "relu + 1e-6": lambda raw: nn.functional.relu(raw) + 1e-6,
        "raw": lambda raw: raw,
    }[head]
    to_log_var, start = VARIANCE_HEADS[head]
    raw = torch.linspace(0.1, 3, 20)
    assert_close(to_log_var(raw).exp(), expected(raw))
    assert to_log_var(torch.tensor(start)).item() == pytest.approx(0, abs=1e-5)
    torch.manual_seed(0)
    model = VarianceHeadVAE(SHAPE, 3, widths=(6,), head=head)
    torch.manual_seed(0)
    plain = VAE(SHAPE, 3, widths=(6,))
    x = torch.rand(5, *SHAPE)
    assert_close(model.encode(x).mean, plain.encode(x).mean)
    raw = plain.encode(x).log_var + start
    assert_close(model.encode(x).log_var, to_log_var(raw), equal_nan=True)


def test_a_dead_relu_variance_makes_the_kl_infinite_and_a_negative_one_nan() -> None:
    raw = torch.tensor([-0.5])
    zero = torch.zeros(1)
    assert gaussian_kl(zero, VARIANCE_HEADS["relu"][0](raw)).item() == math.inf
    assert math.isnan(gaussian_kl(zero, VARIANCE_HEADS["raw"][0](raw)).item())
    with pytest.raises(ValueError, match=r"unknown head 'tanh'.*softplus"):
        VarianceHeadVAE(SHAPE, 3, head="tanh")


def test_parameters_and_flops_of_layers_known_by_hand() -> None:
    linear = nn.Sequential(nn.Linear(7, 5), nn.ReLU(), nn.Linear(5, 2))
    assert count_parameters(linear) == 8 * 5 + 6 * 2
    costs = layer_costs(linear, torch.zeros(3, 7))
    assert [(c.layer, c.shape, c.parameters, c.flops) for c in costs] == [
        ("Linear", (5,), 40, 2 * 3 * 7 * 5),
        ("Linear", (2,), 12, 2 * 3 * 5 * 2),
    ]
    conv = nn.Conv2d(2, 3, 3, padding=1)
    (cost,) = layer_costs(conv, torch.zeros(1, 2, 6, 4))
    assert (cost.shape, cost.parameters) == ((3, 6, 4), 3 * (2 * 9 + 1))
    assert cost.flops == 2 * (6 * 4) * 3 * (2 * 9)
    linear[0].weight.requires_grad_(False)
    assert count_parameters(linear) == 5 + 12


def test_flops_grow_with_the_batch_and_count_the_backward_pass() -> None:
    layer = nn.Linear(6, 4)
    x = torch.zeros(5, 6, requires_grad=True)
    forward = count_flops(lambda: layer(x))
    assert forward == 2 * 5 * 6 * 4
    assert count_flops(lambda: layer(torch.cat([x, x]))) == 2 * forward
    # Two more products of the same size: the gradient of the weights and that of the input.
    assert count_flops(lambda: layer(x).sum().backward()) == 3 * forward
