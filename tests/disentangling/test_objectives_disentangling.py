"""Capacity, β-TCVAE, FactorVAE and DIP-VAE II: what is weighed, and whose weights learn from it."""

import math

import pytest
import torch
from torch.testing import assert_close

from vae_course.disentangling import (
    BetaTCLoss,
    CapacityLoss,
    DIPLoss,
    FactorLoss,
    FactorVAE,
    dip_penalty,
    minibatch_weights,
    permute_columns,
    stratified_weights,
    tc_decomposition,
)
from vae_course.distributions import DiagonalGaussian
from vae_course.models import VAE
from vae_course.networks import frozen
from vae_course.objectives import ELBOLoss
from vae_course.schedules import Constant, LinearWarmup
from vae_course.training import fit

SHAPE = (1, 8, 8)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def x() -> torch.Tensor:
    return (torch.rand(12, *SHAPE, generator=seeded()) < 0.4).float()


@pytest.fixture
def vae() -> VAE:
    torch.manual_seed(0)
    return VAE(SHAPE, 3, widths=(16,))


@pytest.fixture
def factor_vae() -> FactorVAE:
    torch.manual_seed(0)
    return FactorVAE(SHAPE, 3, widths=(16,), discriminator_widths=(8, 8))


def test_capacity_takes_the_mean_kl_and_its_schedule(vae: VAE, x: torch.Tensor) -> None:
    objective = CapacityLoss(LinearWarmup(10, 5.0), gamma=3.0)
    terms = objective(vae, x, 4, seeded())
    penalty = 3.0 * (terms.kl.mean() - 2.0).abs()
    assert_close(terms.loss, terms.reconstruction + penalty)


def test_beta_tc_with_beta_one_is_a_sampled_elbo(vae: VAE, x: torch.Tensor) -> None:
    terms = BetaTCLoss(Constant(1.0), n_data=100)(vae, x, 0, seeded())
    q = vae.encode(x)
    z = q.rsample(generator=seeded())
    sampled_kl = q.log_prob(z) - vae.prior().log_prob(z)
    assert_close(terms.loss, terms.reconstruction + sampled_kl, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "weights"), [("stratified", stratified_weights), ("minibatch", minibatch_weights)]
)
def test_beta_weighs_the_total_correlation_alone(
    vae: VAE, x: torch.Tensor, name: str, weights: object
) -> None:
    one, six = (BetaTCLoss(Constant(b), 100, name)(vae, x, 0, seeded()) for b in (1.0, 6.0))
    assert_close(six.loss - one.loss, 5 * one.total_correlation, rtol=1e-4, atol=1e-4)
    q = vae.encode(x)
    known = tc_decomposition(q.rsample(generator=seeded()), q.mean, q.log_var, weights(len(x), 100))
    assert_close(one.total_correlation, known.total_correlation)


def test_beta_tc_refuses_unknown_weights() -> None:
    with pytest.raises(ValueError, match="'even'; choose one of stratified, minibatch"):
        BetaTCLoss(Constant(1.0), 100, "even")


def test_factor_vae_without_gamma_is_the_vae(factor_vae: FactorVAE, x: torch.Tensor) -> None:
    terms = FactorLoss(0.0)(factor_vae, x, 0, seeded())
    plain = ELBOLoss()(factor_vae, x, 0, seeded())
    assert_close(terms.loss - terms.discriminator, plain.loss)


def test_each_network_learns_from_its_own_loss(factor_vae: FactorVAE, x: torch.Tensor) -> None:
    def gradients(pick: str) -> tuple[list[torch.Tensor | None], list[torch.Tensor | None]]:
        factor_vae.zero_grad()
        terms = FactorLoss(5.0)(factor_vae, x, 0, seeded())
        parts = {
            "all": terms.loss,
            "discriminator": terms.discriminator,
            "autoencoder": terms.loss - terms.discriminator,
        }
        parts[pick].mean().backward()
        judge = [p.grad for p in factor_vae.discriminator.parameters()]
        rest = [p.grad for n, p in factor_vae.named_parameters() if "discriminator" not in n]
        return judge, rest

    judge_all, rest_all = gradients("all")
    judge_own, rest_none = gradients("discriminator")
    judge_none, rest_own = gradients("autoencoder")
    assert all(g is None for g in rest_none)
    assert all(g is None or not g.any() for g in judge_none)
    assert_close(judge_all, judge_own)
    assert_close(rest_all, rest_own)


def test_the_total_correlation_reaches_the_encoder(factor_vae: FactorVAE, x: torch.Tensor) -> None:
    terms = FactorLoss(5.0)(factor_vae, x, 0, seeded())
    gradient = torch.autograd.grad(
        terms.total_correlation.sum(), next(factor_vae.encoder.parameters())
    )
    assert gradient[0].any()


def test_a_trained_discriminator_estimates_a_known_total_correlation() -> None:
    """Two latents of correlation r share −½ log(1 − r²) nats."""
    r, n = 0.8, 4000
    torch.manual_seed(0)
    model = FactorVAE(SHAPE, 2, widths=(4,), discriminator_widths=(64, 64)).discriminator
    first, other = torch.randn(2, n, generator=seeded())
    z = torch.stack([first, r * first + math.sqrt(1 - r * r) * other], -1)
    adam = torch.optim.Adam(model.parameters(), 3e-3)
    generator = seeded(1)
    for _ in range(300):
        shuffled = permute_columns(z, generator)
        softplus = torch.nn.functional.softplus
        loss = softplus(-model(z)).mean() + softplus(model(shuffled)).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    known = -0.5 * math.log(1 - r * r)
    assert float(model(z).detach().mean()) == pytest.approx(known, abs=0.12)


def test_permuting_keeps_each_columns_values_and_breaks_the_rows() -> None:
    z = torch.randn(200, 3, generator=seeded())
    z[:, 1] = z[:, 0]
    shuffled = permute_columns(z, seeded(1))
    assert torch.equal(shuffled.sort(0).values, z.sort(0).values)
    assert abs(float(torch.corrcoef(shuffled[:, :2].T)[0, 1])) < 0.3


def test_frozen_networks_pass_gradients_to_their_input_only() -> None:
    network = torch.nn.Linear(3, 1)
    z = torch.randn(4, 3, generator=seeded(), requires_grad=True)
    assert_close(frozen(network, z), network(z))
    frozen(network, z).sum().backward()
    assert z.grad is not None and z.grad.any()
    assert network.weight.grad is None


def test_dip_penalty_sees_the_covariance_of_the_samples() -> None:
    """Cov_q(z) of posteriors (μ, σ²) drawn many times, against the closed form."""
    mean = torch.randn(50, 3, generator=seeded(), dtype=torch.float64) @ torch.tensor(
        [[1.0, 0.5, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.2]], dtype=torch.float64
    )
    log_var = -1 + torch.zeros_like(mean)
    z = DiagonalGaussian(mean, log_var).rsample((20_000,), seeded(1)).flatten(0, 1)
    off = torch.cov(z.T) - torch.eye(3)
    on = off.diagonal().square().sum()
    wanted = 2 * (off.square().sum() - on) + 5 * on
    assert_close(dip_penalty(mean, log_var, 2.0, 5.0), wanted, rtol=0.02, atol=0)


def test_dip_penalty_is_zero_where_the_codes_are_white() -> None:
    corners = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    half = torch.full((4, 2), math.log(0.5))
    assert_close(dip_penalty(math.sqrt(0.5) * corners, half, 1.0, 1.0), torch.tensor(0.0))


def test_dip_elbo_adds_its_penalty(vae: VAE, x: torch.Tensor) -> None:
    terms = DIPLoss(2.0, 5.0)(vae, x, 0, seeded())
    q = vae.encode(x)
    penalty = dip_penalty(q.mean, q.log_var, 2.0, 5.0)
    assert_close(terms.loss, terms.reconstruction + terms.kl + penalty)


@pytest.mark.parametrize(
    "objective",
    [CapacityLoss(Constant(2.0)), FactorLoss(2.0), DIPLoss(1.0, 1.0)],
    ids=lambda objective: type(objective).__name__,
)
def test_repeating_the_batch_keeps_what_has_no_noise(
    factor_vae: FactorVAE, x: torch.Tensor, objective: object
) -> None:
    """Penalties are properties of the batch's mean and not of its size."""
    with torch.no_grad():
        factor_vae.encoder.layers[-1].bias[3:] = -40.0  # σ ≈ 0: sampling changes nothing
    once = objective(factor_vae, x, 0, seeded())
    twice = objective(factor_vae, torch.cat([x, x]), 0, seeded())
    own = getattr(once, "discriminator", torch.zeros(len(x))).mean()
    own_twice = getattr(twice, "discriminator", torch.zeros(len(x))).mean()
    assert_close(once.loss.mean() - own, twice.loss.mean() - own_twice)


def test_fit_trains_them() -> None:
    images = (torch.rand(64, *SHAPE, generator=seeded()) < 0.4).float()
    model = FactorVAE(SHAPE, 3, widths=(16,), discriminator_widths=(8,))
    for objective in (FactorLoss(2.0), BetaTCLoss(Constant(4.0), 64), DIPLoss(1.0, 1.0)):
        history = fit(model, images, objective, epochs=2, batch_size=32)
        assert math.isfinite(history.train["loss"][-1])
