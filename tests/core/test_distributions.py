import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Independent, Normal, kl_divergence
from torch.testing import assert_close

from vae_course.distributions import (
    DiagonalGaussian,
    DiscretizedLogistic,
    gumbel_softmax,
    log_standard_normal,
    reparameterize,
)
from vae_course.objectives import gaussian_kl

GRID = torch.arange(256) / 255


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_gaussian(*shape: int) -> DiagonalGaussian:
    generator = seeded(5)
    mean = torch.randn(*shape, generator=generator)
    return DiagonalGaussian(mean, torch.randn(*shape, generator=generator))


def test_reparameterize_has_the_moments_of_its_gaussian() -> None:
    n = 100_000
    mean, log_var = torch.tensor([1.0, -2.0]), torch.tensor([0.5, -3.0])
    z = reparameterize(mean.expand(n, 2), log_var.expand(n, 2), seeded())
    sigma = torch.exp(log_var / 2)
    assert torch.all((z.mean(0) - mean).abs() < 5 * sigma / math.sqrt(n))
    assert torch.all((z.std(0) / sigma - 1).abs() < 5 / math.sqrt(2 * n))
    standardized = ((z - mean) / sigma).T
    assert abs(float(torch.corrcoef(standardized)[0, 1])) < 5 / math.sqrt(n)


def test_reparameterize_gradient_is_one_for_the_mean_and_half_sigma_noise_for_log_var() -> None:
    mean = torch.randn(4, 3, dtype=torch.float64, generator=seeded(), requires_grad=True)
    log_var = torch.randn(4, 3, dtype=torch.float64, generator=seeded(1), requires_grad=True)
    z = reparameterize(mean, log_var, seeded(2))
    z.sum().backward()
    assert_close(mean.grad, torch.ones_like(mean))
    assert_close(log_var.grad, ((z - mean) / 2).detach())
    assert torch.autograd.gradcheck(lambda m, v: reparameterize(m, v, seeded(2)), (mean, log_var))


def test_reparameterize_repeats_with_its_generator_and_leaves_the_global_one_alone() -> None:
    zeros = torch.zeros(7)
    before = torch.get_rng_state()
    assert torch.equal(
        reparameterize(zeros, zeros, seeded(3)), reparameterize(zeros, zeros, seeded(3))
    )
    assert not torch.equal(
        reparameterize(zeros, zeros, seeded(3)), reparameterize(zeros, zeros, seeded(4))
    )
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("shape", [(3,), (5, 4), (2, 9, 16)])
def test_samples_equal_those_of_torch_to_the_bit(shape: tuple[int, ...]) -> None:
    q = random_gaussian(*shape)
    torch.manual_seed(11)
    ours = q.rsample((3,))
    torch.manual_seed(11)
    theirs = Independent(Normal(q.mean, torch.exp(0.5 * q.log_var)), 1).rsample((3,))
    assert torch.equal(ours, theirs)


def test_diagonal_gaussian_is_torchs_normal_in_density_and_divergence() -> None:
    q, p = random_gaussian(5, 4), DiagonalGaussian(torch.zeros(5, 4), torch.zeros(5, 4))
    reference = Independent(Normal(q.mean, torch.exp(0.5 * q.log_var)), 1)
    z = torch.randn(6, 5, 4, generator=seeded())
    assert q.log_prob(z).shape == (6, 5)
    assert_close(q.log_prob(z), reference.log_prob(z))
    assert_close(q.entropy(), reference.entropy())
    assert_close(kl_divergence(q, p), gaussian_kl(q.mean, q.log_var).sum(-1))
    assert_close(p.log_prob(z), log_standard_normal(z))


def test_diagonal_gaussian_shapes_expand_and_stop_the_gradient_in_sample() -> None:
    mean = torch.zeros(4, requires_grad=True)
    q = DiagonalGaussian(mean, torch.zeros(4))
    assert (q.batch_shape, q.event_shape) == (torch.Size(), torch.Size([4]))
    wide = q.expand((3, 2))
    assert isinstance(wide, DiagonalGaussian)
    assert (wide.batch_shape, wide.event_shape) == (torch.Size([3, 2]), torch.Size([4]))
    assert wide.rsample((7,), seeded()).shape == (7, 3, 2, 4)
    assert q.rsample().requires_grad
    assert not q.sample().requires_grad
    assert torch.equal(q.sample((5,), seeded(1)), q.rsample((5,), seeded(1)))


def test_diagonal_gaussian_refuses_shapes_that_differ() -> None:
    with pytest.raises(ValueError, match=r"\(2, 3\) but log_var \(2, 4\)"):
        DiagonalGaussian(torch.zeros(2, 3), torch.zeros(2, 4))


# Location and log-scale from far outside the image to the middle of a bin, as wide as the clamps.
logistics = st.tuples(st.floats(-20, 20), st.floats(-7, 7)).map(
    lambda p: DiscretizedLogistic(torch.tensor(p[0]), torch.tensor(p[1]))
)


@given(logistics)
def test_the_256_masses_of_a_discretized_logistic_sum_to_one(p: DiscretizedLogistic) -> None:
    # float32 knows (x − μ)/s to |μ| · 6e-8 / s: at e⁷ steps and |μ| = 20 that is 1e-3.
    tolerance = 1e-5 + 2e-7 * (1 + abs(float(p.location))) * math.exp(-float(p.log_scale))
    assert abs(float(p.log_prob(GRID).exp().sum()) - 1) < tolerance


def direct_masses(location: float, log_scale: float) -> torch.Tensor:
    """Differences of the logistic's distribution function in float64, as the definition says."""
    scale = math.exp(log_scale)
    edges = (torch.arange(255, dtype=torch.float64) + 0.5) / 255
    below = torch.sigmoid((edges - location) / scale)
    return torch.diff(below, prepend=torch.zeros(1), append=torch.ones(1)).double()


@pytest.mark.parametrize("log_scale", [-4.0, -2.0, 0.0, 3.0])
@pytest.mark.parametrize("location", [-0.3, 0.0, 0.5, 0.77, 1.2])
def test_log_masses_equal_direct_evaluation_where_that_has_digits(
    location: float, log_scale: float
) -> None:
    p = DiscretizedLogistic(torch.tensor(location), torch.tensor(log_scale))
    masses = direct_masses(location, log_scale)
    visible = masses > 1e-9
    assert_close(p.log_prob(GRID).double()[visible], masses[visible].log(), rtol=1e-4, atol=2e-4)


@given(logistics, st.integers(0, 255))
def test_log_mass_and_its_gradient_are_finite_everywhere(
    p: DiscretizedLogistic, level: int
) -> None:
    location = p.location.clone().requires_grad_()
    log_scale = p.log_scale.clone().requires_grad_()
    log_mass = DiscretizedLogistic(location, log_scale).log_prob(GRID[level])
    log_mass.backward()
    assert -math.inf < float(log_mass.detach()) <= 1e-6
    assert math.isfinite(float(location.grad)) and math.isfinite(float(log_scale.grad))


def test_discretized_logistic_gradient_is_that_of_its_value() -> None:
    location = torch.tensor([0.2, 0.9, -0.1], dtype=torch.float64, requires_grad=True)
    log_scale = torch.tensor([-3.0, -1.0, 0.5], dtype=torch.float64, requires_grad=True)
    pixels = torch.tensor([0.0, 1.0, 128 / 255], dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda m, s: DiscretizedLogistic(m, s).log_prob(pixels), (location, log_scale)
    )


@given(logistics)
def test_mean_is_within_half_a_gray_level_of_the_exact_sum(p: DiscretizedLogistic) -> None:
    exact = (direct_masses(float(p.location), float(p.log_scale)) * GRID.double()).sum()
    assert abs(float(p.mean) - float(exact)) < 0.5 / 255 + 1e-5


def test_samples_lie_on_the_grid_and_follow_the_masses() -> None:
    torch.manual_seed(0)
    n = 200_000
    p = DiscretizedLogistic(torch.tensor(0.1), torch.tensor(-2.0))
    levels = p.sample((n,)) * 255
    assert_close(levels, levels.round(), rtol=0, atol=1e-4)
    counts = torch.bincount(levels.round().long(), minlength=256).double()
    expected = n * direct_masses(0.1, -2.0)
    common = expected > 20
    chi_square = ((counts - expected).square() / expected)[common].sum()
    freedom = int(common.sum()) - 1
    assert float(chi_square) < freedom + 5 * math.sqrt(2 * freedom)


def test_discretized_logistic_broadcasts_and_expands() -> None:
    p = DiscretizedLogistic(torch.zeros(2, 1, 4), torch.zeros(3, 1))
    assert p.batch_shape == (2, 3, 4)
    assert p.expand((5, 2, 3, 4)).log_prob(torch.zeros(2, 3, 4)).shape == (5, 2, 3, 4)
    assert Independent(p, 2).sample((6,)).shape == (6, 2, 3, 4)


def test_gumbel_softmax_chooses_with_the_right_probability() -> None:
    generator = seeded()
    logits = torch.tensor([[0.5, -1.0, 1.5], [0.0, 0.0, 2.0]], dtype=torch.float64)
    for temperature in (0.05, 3.0):
        y = gumbel_softmax(logits, temperature, 40_000, generator)
        assert y.shape == (40_000, 2, 3)
        assert_close(y.sum(-1), torch.ones(40_000, 2, dtype=torch.float64))
        chosen = torch.nn.functional.one_hot(y.argmax(-1), 3).double().mean(0)
        p = torch.softmax(logits, -1)
        assert ((chosen - p).abs() < 5 * (p * (1 - p) / 40_000).sqrt()).all()
    cold = gumbel_softmax(logits, 1e-4, 1000, generator)
    assert (cold.max(-1).values > 0.99).double().mean() > 0.99


def test_gumbel_softmax_sends_a_gradient_and_refuses_a_temperature_of_zero() -> None:
    logits = torch.zeros(3, requires_grad=True)
    y = gumbel_softmax(logits, 0.7, 5, torch.Generator().manual_seed(0))
    (gradient,) = torch.autograd.grad(y[:, 0].sum(), logits)
    assert_close(gradient[0], (y[:, 0] * (1 - y[:, 0])).sum() / 0.7)
    with pytest.raises(ValueError, match="temperature"):
        gumbel_softmax(logits, 0.0, 1)
