"""Families on points in the plane: against integrals, autograd and closed forms."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal, Normal

from vae_course.families import (
    GAN,
    AdversarialLoss,
    ConditionalTable,
    CouplingFlow,
    Diffusion,
    FiniteMixture,
    Grid,
    Histogram,
    NoiseNetwork,
    Pinwheel,
    mixture_conditional,
    simple_loss,
    twist,
)
from vae_course.models import VAE
from vae_course.objectives import ELBOLoss, negative_log_likelihood
from vae_course.training import fit

# Points -------------------------------------------------------------------------------------------


def integral(log_prob, grid):
    """∫ p over the grid's square."""
    return float(log_prob(grid.points()).double().exp().sum() * grid.cell)


@given(st.floats(-3, 3), st.integers(0, 1000))
def test_twist_keeps_areas_and_is_undone_by_its_opposite(rate, seed):
    x = torch.randn(2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda point: twist(point, rate), x)
    assert torch.linalg.det(jacobian) == pytest.approx(1, abs=1e-9)
    assert torch.allclose(twist(twist(x, rate), -rate), x)


def test_twist_turns_by_rate_times_radius():
    assert torch.allclose(
        twist(torch.tensor([2.0, 0.0]), math.pi / 4), torch.tensor([0.0, 2.0]), atol=1e-5
    )


@pytest.mark.parametrize("arms", [1, 3, 5])
def test_pinwheel_is_a_density(arms):
    assert integral(Pinwheel(arms=arms).log_prob, Grid(6.0, 601)) == pytest.approx(1, abs=1e-5)


def test_pinwheel_without_a_twist_is_a_gaussian_mixture(generator):
    wheel = Pinwheel(arms=2, rate=0.0)
    means = torch.tensor([[wheel.radius, 0.0], [-wheel.radius, 0.0]])
    blob = torch.diag(torch.tensor([wheel.length, wheel.width])).square()
    mixture = MixtureSameFamily(Categorical(torch.ones(2)), MultivariateNormal(means, blob))
    x = torch.randn(50, 2, generator=generator)
    assert torch.allclose(wheel.log_prob(x), mixture.log_prob(x), atol=1e-4)


def test_pinwheels_samples_have_its_density(generator):
    wheel, grid = Pinwheel(), Grid(6.0, 601)
    x, arm = wheel.sample(40_000, generator)
    error = wheel.log_prob(x).std() / math.sqrt(len(x))
    assert abs(float(wheel.log_prob(x).mean()) + wheel.entropy()) < 4 * float(error)
    # Squares of the plane hold the share of points that the density gives them.
    mass = wheel.log_prob(grid.points()).exp() * grid.cell
    for lower in ((0.0, 0.0), (-2.0, 0.5), (0.5, -1.5)):
        corner = torch.tensor(lower)
        expected = float(mass[_inside(grid.points(), corner)].sum())
        share = float(_inside(x, corner).float().mean())
        assert share == pytest.approx(expected, abs=0.01)
    assert torch.allclose(torch.bincount(arm) / len(x), torch.full((3,), 1 / 3), atol=0.01)


def _inside(x, corner):
    return ((x >= corner) & (x < corner + 1.0)).all(-1)


def test_pinwheels_entropy_of_one_blob_is_gaussian():
    wheel = Pinwheel(arms=1)
    exact = math.log(2 * math.pi * math.e * wheel.length * wheel.width)
    assert wheel.entropy() == pytest.approx(exact, abs=1e-5)


def test_the_same_generator_gives_the_same_points():
    first, second = (Pinwheel().sample(5, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first[0], second[0])


def test_grid_integrates():
    grid = Grid(6.0, 41)
    assert grid.points().shape == (41 * 41, 2)
    assert torch.allclose(grid.points()[1] - grid.points()[0], torch.tensor([grid.spacing, 0.0]))
    density = MultivariateNormal(torch.zeros(2), torch.eye(2))
    assert integral(density.log_prob, grid) == pytest.approx(1, abs=1e-6)


# Histogram ----------------------------------------------------------------------------------------


def test_histogram_counts():
    points = torch.tensor([[0.5, 0.5], [0.6, 0.1], [-0.5, 0.5], [-0.5, -0.5]])
    plain = Histogram(points, bins=2, extent=1.0, pseudo_count=0.0)
    x = torch.tensor([[0.9, 0.9], [-0.9, 0.1], [0.1, -0.9], [1.5, 0.0]])
    assert torch.equal(plain.log_prob(x).exp(), torch.tensor([0.5, 0.25, 0.0, 0.0]))
    smoothed = Histogram(points, bins=2, extent=1.0, pseudo_count=1.0)
    assert torch.allclose(smoothed.log_prob(x).exp(), torch.tensor([3, 2, 1, 0]) / 8)


def test_histogram_is_a_density(generator):
    points = torch.randn(200, 2, generator=generator)
    histogram = Histogram(points, bins=10, extent=2.0, pseudo_count=0.1)
    centers = Grid(1.8, 10).points()
    assert float(histogram.log_prob(centers).exp().sum() * 0.4**2) == pytest.approx(1, abs=1e-5)


# Flow ---------------------------------------------------------------------------------------------


@pytest.fixture
def flow():
    """Untrained, but far from the identity."""
    torch.manual_seed(0)
    model = CouplingFlow(layers=5, width=16)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2)
    return model


def test_flow_goes_there_and_back(flow, generator):
    x = 2 * torch.randn(100, 2, generator=generator)
    with torch.no_grad():
        assert torch.allclose(flow.inverse(flow(x)[0]), x, atol=1e-3)


def test_flows_log_det_is_autograds(flow, generator):
    x = torch.randn(6, 2, generator=generator)
    jacobian = torch.func.vmap(torch.func.jacrev(lambda point: flow(point[None])[0][0]))(x)
    with torch.no_grad():
        assert torch.allclose(flow(x)[1], torch.linalg.slogdet(jacobian).logabsdet, atol=1e-4)


@torch.no_grad()
def test_flow_is_a_density_and_every_coordinate_moves(flow, generator):
    assert integral(flow.log_prob, Grid(12.0, 1001)) == pytest.approx(1, abs=5e-3)
    x = torch.randn(4, 2, generator=generator)
    assert bool((flow(x)[0] != x).all())


@torch.no_grad()
def test_flows_samples_have_its_density(flow, generator):
    grid = Grid(12.0, 801)
    points = grid.points()
    mean = (flow.log_prob(points).exp()[:, None] * points).sum(0) * grid.cell
    x = flow.sample(20_000, generator)
    assert torch.allclose(x.mean(0), mean, atol=0.05)


def test_flow_learns(generator):
    torch.manual_seed(0)
    points = Pinwheel().sample(1000, generator)[0]
    model = CouplingFlow(layers=4, width=16)
    history = fit(
        model, points, negative_log_likelihood, epochs=12, batch_size=100, learning_rate=5e-3
    )
    assert history.train["loss"][-1] < history.train["loss"][0] - 0.2


# Diffusion ----------------------------------------------------------------------------------------


class ExactNoise(nn.Module):
    """E[ε | x_t] when the data are N(m, s² I): what a perfect network would answer."""

    def __init__(self, mean, sigma, steps):
        super().__init__()
        self.mean, self.sigma = mean, sigma
        self.alpha_bar = Diffusion(nn.Identity(), steps).alpha_bar

    def forward(self, x, t):
        alpha_bar = self.alpha_bar[t, None]
        variance = alpha_bar * self.sigma**2 + 1 - alpha_bar
        return (1 - alpha_bar).sqrt() * (x - alpha_bar.sqrt() * self.mean) / variance


MEAN, SIGMA = torch.tensor([1.0, -0.5]), 0.4


@pytest.fixture(scope="module")
def perfect():
    return Diffusion(ExactNoise(MEAN, SIGMA, 400), 400)


def test_many_small_steps_of_noise_are_one(generator):
    model = Diffusion(nn.Identity(), 60)
    x = start = torch.tensor([[1.0, -2.0]]).expand(20_000, 2)
    for t in range(1, 31):
        noise = torch.randn(x.shape, generator=generator)
        x = (1 - model.beta[t]).sqrt() * x + model.beta[t].sqrt() * noise
    t = torch.full((len(x),), 30)
    at_once = model.noisy(start, t, torch.randn(x.shape, generator=generator))
    assert torch.allclose(x.mean(0), at_once.mean(0), atol=0.03)
    assert torch.allclose(x.std(0), at_once.std(0), rtol=0.03)


@pytest.mark.parametrize("t", [2, 30, 60])
def test_posterior_is_bayes_rule(t, generator):
    """q(x_{t−1}|x_t, x) ∝ q(x_t|x_{t−1}) q(x_{t−1}|x), by multiplying two Gaussians."""
    model = Diffusion(nn.Identity(), 60)
    time = torch.tensor([t])
    x, noise = (torch.randn(1, 2, generator=generator) for _ in range(2))
    x_t = model.noisy(x, time, noise)
    beta, before = model.beta[t].double(), model.alpha_bar[t - 1].double()
    precision = (1 - beta) / beta + 1 / (1 - before)
    mean = ((1 - beta).sqrt() / beta * x_t + before.sqrt() / (1 - before) * x) / precision
    assert float(model.posterior_variance(time)) == pytest.approx(float(1 / precision), rel=1e-3)
    assert torch.allclose(model.posterior_mean(x_t, time, noise), mean.float(), atol=1e-4)


def test_the_chain_ends_in_noise_and_starts_at_the_point(generator):
    model = Diffusion(nn.Identity(), 100)
    assert float(model.alpha_bar[-1]) < 1e-4
    x, noise = (torch.randn(5, 2, generator=generator) for _ in range(2))
    first = torch.ones(5, dtype=torch.long)
    assert torch.allclose(
        model.posterior_mean(model.noisy(x, first, noise), first, noise), x, atol=1e-4
    )
    with pytest.raises(ValueError, match="60"):
        Diffusion(nn.Identity(), 20)


def test_perfect_denoiser_generates_the_data(perfect, generator):
    x = perfect.sample(20_000, generator)
    assert torch.allclose(x.mean(0), MEAN, atol=0.02)
    assert torch.allclose(x.std(0), torch.full((2,), SIGMA), rtol=0.04)


def test_perfect_denoisers_elbo_approaches_log_p_from_below(generator):
    x = MEAN + SIGMA * torch.randn(20_000, 2, generator=generator)
    exact = Normal(MEAN, SIGMA).log_prob(x).sum(-1)
    gaps = {
        steps: exact - Diffusion(ExactNoise(MEAN, SIGMA, steps), steps).elbo(x, generator)
        for steps in (60, 240)
    }
    error = {steps: float(gap.std()) / math.sqrt(len(x)) for steps, gap in gaps.items()}
    few, many = float(gaps[60].mean()), float(gaps[240].mean())
    assert 4 * error[60] < few < 0.5  # The price of 60 Gaussian steps of variance β.
    assert -4 * error[240] < many < few / 2


def test_a_worse_denoiser_has_a_worse_elbo(perfect, generator):
    x = MEAN + SIGMA * torch.randn(500, 2, generator=generator)
    worse = Diffusion(ExactNoise(MEAN + 0.5, SIGMA, 400), 400)
    assert worse.elbo(x, generator).mean() < perfect.elbo(x, generator).mean() - 0.3


def test_simple_loss_is_the_error_in_the_noise(generator):
    class Silent(nn.Module):
        def forward(self, x, t):
            assert int(t.min()) >= 1 and int(t.max()) <= 60
            return torch.zeros_like(x)

    loss = simple_loss(Diffusion(Silent(), 60), torch.ones(20_000, 2), 0, generator)
    assert loss.shape == (20_000,)
    assert float(loss.mean()) == pytest.approx(2, abs=0.05)


def test_noise_network_depends_on_point_and_time():
    torch.manual_seed(0)
    network = NoiseNetwork(steps=60, width=8)
    x = torch.randn(3, 2)
    early, late = network(x, torch.full((3,), 1)), network(x, torch.full((3,), 60))
    assert early.shape == (3, 2)
    assert not torch.allclose(early, late)
    assert not torch.allclose(early, network(x + 1, torch.full((3,), 1)))


# GAN ----------------------------------------------------------------------------------------------


def gradients(model, loss):
    model.zero_grad()
    loss.mean().backward(retain_graph=True)
    return {
        name: None if p.grad is None else p.grad.clone() for name, p in model.named_parameters()
    }


@pytest.fixture
def game(generator):
    torch.manual_seed(0)
    model = GAN(latent_dim=3, width=8)
    return model, AdversarialLoss(0.1)(model, torch.randn(6, 2, generator=generator), 0, generator)


def reached(model, loss):
    return {name for name, gradient in gradients(model, loss).items() if gradient is not None}


def test_each_players_loss_reaches_its_own_weights_only(game):
    model, terms = game
    names = {name for name, _ in model.named_parameters()}
    own = {name for name in names if name.startswith("generator")}
    assert reached(model, terms.generator) == own
    assert reached(model, terms.discriminator) == names - own
    assert reached(model, terms.penalty) <= names - own
    assert any(bool(g.any()) for g in gradients(model, terms.penalty).values() if g is not None)


def test_the_generator_rests_between_its_turns(generator):
    torch.manual_seed(0)
    model, x = GAN(width=8), torch.randn(6, 2, generator=generator)
    for step in range(6):
        terms = AdversarialLoss(k=3)(model, x, step, generator)
        moved = any(name.startswith("generator") for name in reached(model, terms.loss))
        assert moved == (step in (0, 3))
        assert bool((terms.generator > 0).all())


def test_the_sum_gives_each_player_its_own_gradient(game):
    model, terms = game
    total = gradients(model, terms.loss)
    own = gradients(model, terms.generator)
    other = gradients(model, terms.discriminator + terms.penalty)
    for name, gradient in total.items():
        expected = own[name] if name.startswith("generator") else other[name]
        assert torch.allclose(gradient, expected, atol=1e-6)


def test_the_losses_are_cross_entropies(game, generator):
    model, _ = game
    x = torch.randn(6, 2, generator=generator)
    generator.manual_seed(7)
    terms = AdversarialLoss(0.5)(model, x, 0, generator)
    generator.manual_seed(7)
    fake = model(torch.randn(6, 3, generator=generator))
    real_chance = torch.sigmoid(model.discriminator(x)).squeeze(-1)
    fake_chance = torch.sigmoid(model.discriminator(fake)).squeeze(-1)
    assert torch.allclose(terms.generator, -fake_chance.log(), atol=1e-5)
    assert torch.allclose(terms.discriminator, -real_chance.log() - (1 - fake_chance).log())
    slope = torch.func.vmap(torch.func.grad(lambda p: model.discriminator(p[None])[0, 0]))(x)
    assert torch.allclose(terms.penalty, 0.25 * slope.square().sum(-1), atol=1e-6)


def test_gan_samples_come_from_the_generator(generator):
    torch.manual_seed(0)
    model = GAN(latent_dim=2, width=8)
    x = model.sample(10, generator)
    generator.manual_seed(0)
    assert torch.equal(x, model(torch.randn(10, 2, generator=generator)))
    assert not x.requires_grad


# Conditionals -------------------------------------------------------------------------------------

WEIGHTS = torch.tensor([0.3, 0.7])
MEANS = torch.tensor([[-1.0, 1.0], [0.5, -1.0]])
COVARIANCES = torch.tensor([[[0.5, 0.2], [0.2, 0.3]], [[0.4, -0.3], [-0.3, 0.6]]])
VALUES = torch.linspace(-6, 6, 1201)


def by_integration(log_prob, x1):
    """p(x₁, x₂) over the grid of x₂, normalized row by row."""
    pairs = torch.stack(torch.broadcast_tensors(x1[:, None], VALUES), dim=-1)
    return ConditionalTable(VALUES, log_prob(pairs.view(-1, 2)).view(len(x1), -1).exp())


def test_conditional_of_a_mixture_is_joint_over_marginal():
    mixture = MixtureSameFamily(Categorical(WEIGHTS), MultivariateNormal(MEANS, COVARIANCES))
    x1 = torch.tensor([-1.5, 0.0, 0.8])
    exact = mixture_conditional(WEIGHTS, MEANS, COVARIANCES, x1)
    expected = by_integration(mixture.log_prob, x1)
    found = exact.log_prob(VALUES[:, None]).exp().T
    assert torch.allclose(found, expected.density, atol=1e-4)
    assert torch.allclose(exact.mean, expected.mean(), atol=1e-3)


def test_finite_mixture_is_a_mixture(generator):
    centers, sigma = torch.randn(7, 2, generator=generator), 0.3
    log_weights = torch.log_softmax(torch.randn(7, generator=generator), 0)
    mixture = FiniteMixture(log_weights, centers, sigma)
    torchs = MixtureSameFamily(
        Categorical(logits=log_weights),
        MultivariateNormal(centers, sigma**2 * torch.eye(2)),
    )
    x = torch.randn(300, 2, generator=generator)
    assert torch.allclose(mixture.log_prob(x), torchs.log_prob(x), atol=1e-3)
    table = mixture.conditional(x[:3, 0], VALUES)
    assert torch.allclose(
        table.density, by_integration(torchs.log_prob, x[:3, 0]).density, atol=1e-3
    )


class LinearDecoder(nn.Module):
    """x|z ~ N(A z, σ² I): its marginal is N(0, A Aᵀ + σ² I)."""

    matrix = torch.tensor([[1.0, 0.5], [-0.3, 0.8]])

    def decode(self, z):
        mean = (z @ self.matrix.T).view(-1, 1, 1, 2)
        return torch.distributions.Independent(Normal(mean, torch.full_like(mean, 0.4)), 3)


def test_integrating_over_codes_gives_the_marginal(generator):
    mixture = FiniteMixture.from_decoder(LinearDecoder(), Grid(6.0, 81), "cpu")
    covariance = LinearDecoder.matrix @ LinearDecoder.matrix.T + 0.16 * torch.eye(2)
    exact = MultivariateNormal(torch.zeros(2), covariance)
    x = torch.randn(50, 2, generator=generator)
    assert torch.allclose(mixture.log_prob(x), exact.log_prob(x), atol=2e-3)


def test_from_decoder_takes_a_vae():
    torch.manual_seed(0)
    model = VAE((1, 1, 2), 2, widths=(8,), likelihood="shared-gaussian")
    mixture = FiniteMixture.from_decoder(model, Grid(5.0, 21), "cpu")
    assert mixture.sigma == pytest.approx(1)
    assert not mixture.centers.requires_grad
    assert integral(mixture.log_prob, Grid(8.0, 161)) == pytest.approx(1, abs=1e-3)


def test_table_of_a_gaussian():
    table = ConditionalTable(VALUES, 7 * Normal(0.5, 0.8).log_prob(VALUES).exp()[None])
    assert float(table.mean()) == pytest.approx(0.5, abs=1e-4)
    assert float(table.length(0.9)) == pytest.approx(2 * 1.6449 * 0.8, abs=0.02)
    assert float(table.log_prob(torch.tensor([1.0]))) == pytest.approx(
        float(Normal(0.5, 0.8).log_prob(torch.tensor(1.0))), abs=1e-4
    )
    edges = torch.tensor([[0.5 + 1.6 * 0.8], [0.5 - 1.7 * 0.8]])
    assert [bool(table.covers(edge, 0.9)) for edge in edges] == [True, False]


def test_highest_density_set_of_two_peaks_leaves_the_valley_out():
    density = sum(Normal(m, 0.3).log_prob(VALUES).exp() for m in (-2.0, 2.0))
    table = ConditionalTable(VALUES, density[None])
    assert float(table.mean()) == pytest.approx(0, abs=1e-4)
    assert not bool(table.covers(torch.zeros(1), 0.9))
    assert float(table.length(0.9)) == pytest.approx(4 * 1.6449 * 0.3, abs=0.03)


def test_highest_density_set_holds_its_mass_of_draws(generator):
    wheel = Pinwheel()
    x = wheel.sample(4000, generator)[0]
    table = by_integration(wheel.log_prob, x[:, 0])
    for mass in (0.5, 0.9):
        drawn = table.covers(table.sample(generator), mass).float().mean()
        true = table.covers(x[:, 1], mass).float().mean()
        assert float(drawn) == pytest.approx(mass, abs=0.02)
        assert float(true) == pytest.approx(mass, abs=0.02)


def test_a_vae_takes_points(generator):
    torch.manual_seed(0)
    points = Pinwheel().sample(400, generator)[0].view(-1, 1, 1, 2)
    model = VAE((1, 1, 2), 2, widths=(8,), likelihood="shared-gaussian")
    history = fit(model, points, ELBOLoss(), epochs=2, batch_size=100)
    assert history.epochs == 2
