"""Steps around codes: their units, their directions, and the overlap of two clouds."""

import math

import matplotlib as mpl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from vae_course.distributions import DiagonalGaussian
from vae_course.figures import add_ellipses, one_axes
from vae_course.latent import fit_whitening, nearest_code, neighborhood, overlap, unit_directions


def seeded(number: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(number)


@pytest.fixture
def codes() -> Tensor:
    """Draw correlated codes of very different scales, away from the origin."""
    mixing = torch.tensor([[3.0, 0, 0], [-20.0, 4.0, 0], [0.01, 0.02, 0.05]])
    return torch.randn(500, 3, generator=seeded()) @ mixing.T + torch.tensor([100.0, 0, -3])


def test_whitened_codes_have_mean_zero_and_the_identity_as_covariance(codes: Tensor) -> None:
    whitened = fit_whitening(codes).whiten(codes)
    assert whitened.dtype == torch.float32
    assert_close(whitened.mean(0), torch.zeros(3), rtol=0, atol=1e-3)
    assert_close(torch.cov(whitened.T), torch.eye(3), rtol=0, atol=1e-3)


def test_restoring_is_the_inverse_of_whitening_for_any_leading_shape(codes: Tensor) -> None:
    unit = fit_whitening(codes)
    there = torch.randn(4, 5, 3, generator=seeded(1))
    assert_close(unit.whiten(unit.restore(there)), there, rtol=1e-3, atol=2e-3)
    assert unit.restore(there[0, 0]).shape == (3,)


def test_whitened_distances_do_not_change_with_the_coordinates(codes: Tensor) -> None:
    """What makes the unit fair: the codes may be mapped by any invertible affine map."""
    codes = codes.double()
    other = codes @ torch.randn(3, 3, generator=seeded(2)).double() * 10 + 7
    distances = [torch.cdist(w, w) for w in (fit_whitening(c).whiten(c) for c in (codes, other))]
    assert_close(*distances, rtol=1e-6, atol=1e-6)


def test_one_latent_is_divided_by_its_standard_deviation() -> None:
    codes = torch.tensor([[1.0], [3.0], [8.0]])
    expected = (codes - codes.mean()) / codes.std()
    assert_close(fit_whitening(codes).whiten(codes), expected)


@pytest.mark.parametrize("direction", [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0)])
def test_codes_without_spread_in_some_direction_have_no_unit(
    direction: tuple[float, float],
) -> None:
    flat = torch.arange(10.0)[:, None] * torch.tensor(direction)
    with pytest.raises(ValueError, match="10 codes of size 2 is singular"):
        fit_whitening(flat)


@given(latent=st.integers(1, 64), seed=st.integers(0, 1000))
def test_directions_have_length_one(latent: int, seed: int) -> None:
    directions = unit_directions(7, latent, seeded(seed))
    assert_close(directions.norm(dim=-1), torch.ones(7))


def test_directions_are_uniform_on_the_sphere() -> None:
    """First moments are 0, second ones I / d; normalized uniform cubes fail the fourth moment."""
    directions = unit_directions(200_000, 3, seeded())
    assert_close(directions.mean(0), torch.zeros(3), rtol=0, atol=0.01)
    second = directions.T @ directions / len(directions)
    assert_close(second, torch.eye(3) / 3, rtol=0, atol=0.01)
    fourth = directions.pow(4).mean(0)
    assert_close(fourth, torch.full((3,), 1 / 5), rtol=0, atol=0.005)  # 3 / (d (d + 2))


def test_a_neighborhood_is_a_ray_of_the_given_radii_from_each_code() -> None:
    start = torch.randn(6, 4, generator=seeded())
    radii = torch.tensor([0.0, 0.5, 2.0])
    rays = neighborhood(start, radii, seeded(1))
    assert rays.shape == (3, 6, 4)
    assert torch.equal(rays[0], start)
    assert_close((rays - start).norm(dim=-1), radii[:, None].expand(3, 6))
    assert_close(rays[2] - start, 4 * (rays[1] - start))  # on one ray
    assert_close(rays[1] - start, 0.5 * unit_directions(6, 4, seeded(1)))


def test_a_neighborhood_repeats_with_its_generator_and_only_with_it() -> None:
    start, radii = torch.zeros(5, 3), torch.ones(1)
    assert torch.equal(neighborhood(start, radii, seeded(1)), neighborhood(start, radii, seeded(1)))
    first, second = (neighborhood(start, radii, seeded(s))[0] for s in (1, 2))
    assert not torch.equal(first, second)
    assert len(first.unique(dim=0)) == 5  # a direction for each code


def test_mean_squared_change_of_a_linear_decoder_is_the_variance_it_decodes(codes: Tensor) -> None:
    """Equation 3.8, exactly: with u over ± an orthonormal basis, E[u uᵀ] = I / d."""
    codes = codes.double()
    unit = fit_whitening(codes)
    decoder = torch.randn(5, 3, generator=seeded(3)).double()
    basis = torch.cat([torch.eye(3), -torch.eye(3)]).double()
    radius = 0.7
    steps = unit.restore(radius * math.sqrt(3) * basis) - unit.center
    changed = (steps @ decoder.T).square().sum(-1).mean()
    total = torch.cov((codes @ decoder.T).T).diagonal().sum()
    assert_close(changed, radius**2 * total)


@pytest.mark.parametrize("block", [1, 3, 100])
def test_the_nearest_code_is_found_whatever_the_block(block: int) -> None:
    others = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 5.0]])
    codes = torch.tensor([[9.0, 0.0], [0.0, 0.5], [1.0, 5.0], [0.0, 0.0]])
    distance, index = nearest_code(codes, others, block)
    assert index.tolist() == [1, 0, 2, 0]
    assert_close(distance, torch.tensor([1.0, 0.5, 1.0, 0.0]))


def gaussian(mean: float, sigma: float) -> DiagonalGaussian:
    mean_, log_var = torch.tensor([mean]).double(), torch.tensor([2 * math.log(sigma)]).double()
    return DiagonalGaussian(mean_, log_var)


parameters = st.tuples(st.floats(-2, 2), st.floats(0.2, 3), st.floats(-2, 2), st.floats(0.2, 3))


@given(parameters)
def test_overlap_is_the_integral_of_the_root_of_the_product(given_: tuple[float, ...]) -> None:
    p, q = gaussian(*given_[:2]), gaussian(*given_[2:])
    z = torch.linspace(-40, 40, 40_001, dtype=torch.float64)[:, None]
    integral = torch.trapezoid(torch.exp(0.5 * (p.log_prob(z) + q.log_prob(z))), z[:, 0])
    assert_close(overlap(p, q), integral, rtol=1e-6, atol=1e-9)


def test_overlap_is_one_for_equals_symmetric_and_a_product_over_latents() -> None:
    mean, log_var = torch.randn(2, 2, 6, 4, generator=seeded()).double()
    p, q = (DiagonalGaussian(m, v) for m, v in zip(mean, log_var, strict=True))
    assert_close(overlap(p, p), torch.ones(6).double())
    assert_close(overlap(p, q), overlap(q, p))
    each = [
        overlap(
            DiagonalGaussian(p.mean[:, [j]], p.log_var[:, [j]]),
            DiagonalGaussian(q.mean[:, [j]], q.log_var[:, [j]]),
        )
        for j in range(4)
    ]
    assert_close(overlap(p, q), torch.stack(each).prod(0))


def test_overlap_broadcasts_one_cloud_over_many_and_underflows_to_zero() -> None:
    many = DiagonalGaussian(torch.zeros(5, 2), torch.zeros(5, 2))
    one = DiagonalGaussian(torch.full((2,), 1e4), torch.zeros(2))
    assert torch.equal(overlap(many, one), torch.zeros(5))


def test_ellipses_have_the_sizes_and_colors_they_are_given() -> None:
    means = torch.tensor([[0.0, 1.0], [-4.0, 2.0]])
    sigmas = torch.tensor([[1.0, 0.5], [2.0, 3.0]])
    with one_axes() as (_, ax):
        add_ellipses(ax, means, sigmas, torch.tensor([0, 3]))
        (drawn,) = ax.collections
        ax.figure.draw_without_rendering()  # stretches a unit circle to each ellipse
    assert_close(torch.tensor(drawn.get_offsets().tolist()), means)
    stretched = torch.tensor(drawn.get_transforms()).float()
    assert_close(stretched.diagonal(dim1=1, dim2=2)[:, :2], sigmas)
    colors = mpl.colormaps["tab10"]([0, 3])
    assert_close(torch.tensor(drawn.get_edgecolors()), torch.tensor(colors))
    left, right = ax.get_xlim()
    bottom, top = ax.get_ylim()
    assert left <= -6 and right >= 1 and bottom <= -1 and top >= 5
