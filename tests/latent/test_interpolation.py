import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from vae_course.latent import geodesic, path_energy, path_length, slerp
from vae_course.models import interpolate


def codes(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@given(st.integers(0, 1000), st.integers(2, 9), st.integers(2, 20))
def test_slerp_between_codes_of_one_norm_is_an_arc_at_constant_speed(
    seed: int, latent: int, steps: int
) -> None:
    start, end = codes(seed, 2, 3, latent)
    end = end * start.norm(dim=-1, keepdim=True) / end.norm(dim=-1, keepdim=True)
    path = slerp(start, end, steps)
    norm = start.norm(dim=-1)
    assert path.shape == (steps, 3, latent)
    assert_close(path[0], start)
    assert_close(path[-1], end)
    assert_close(path.norm(dim=-1), norm.expand(steps, 3))
    omega = torch.arccos(((start * end).sum(-1) / norm**2).clamp(-1, 1))
    chord = 2 * norm * torch.sin(omega / (2 * (steps - 1)))  # of equal steps of the angle
    assert_close(path.diff(dim=0).norm(dim=-1), chord.expand(steps - 1, 3), rtol=1e-4, atol=1e-6)


def test_slerp_by_hand_on_a_quarter_circle() -> None:
    path = slerp(torch.tensor([2.0, 0.0]), torch.tensor([0.0, 2.0]), 4)
    angle = torch.tensor([0, 30, 60, 90]) * math.pi / 180
    assert_close(path, 2 * torch.stack([angle.cos(), angle.sin()], -1), atol=1e-6, rtol=0)


def test_slerp_of_parallel_codes_is_the_straight_line() -> None:
    z = codes(0, 4, 5)
    assert_close(slerp(z, z, 6), z.expand(6, 4, 5))
    assert_close(slerp(z, 3 * z, 6), interpolate(z, 3 * z, 6))
    close = z + 1e-5 * codes(1, 4, 5)
    assert_close(slerp(z, close, 6), interpolate(z, close, 6), atol=1e-9, rtol=0)


def test_slerp_scales_with_its_codes_and_runs_backwards() -> None:
    start, end = codes(2, 2, 4, 3)
    path = slerp(start, end, 5)
    assert_close(slerp(7 * start, 7 * end, 5), 7 * path)
    assert_close(slerp(end, start, 5), path.flip(0))


def test_slerp_between_codes_of_different_norm_uses_their_angle_alone() -> None:
    path = slerp(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 4.0]), 3)
    assert_close(path[1], torch.tensor([1.0, 4.0]) * math.sqrt(0.5))


def test_slerp_refuses_codes_without_an_arc() -> None:
    z = torch.tensor([[1.0, 2.0]])
    with pytest.raises(ValueError, match="opposite"):
        slerp(z, -2 * z, 5)
    with pytest.raises(ValueError, match="zero"):
        slerp(z, 0 * z, 5)


def test_length_and_energy_by_hand() -> None:
    path = torch.tensor([[[0.0, 0.0]], [[3.0, 4.0]], [[3.0, 10.0]]])  # steps of 5 and 6
    assert_close(path_length(path), torch.tensor([11.0]))
    assert_close(path_energy(path), torch.tensor([2 * (25.0 + 36.0)]))


@given(st.integers(0, 1000))
def test_squared_length_is_at_most_the_energy(seed: int) -> None:
    path = codes(seed, 6, 4, 2, 3)
    assert (path_length(path) ** 2 <= path_energy(path) + 1e-9).all()
    even = interpolate(path[0], path[-1], 6)
    assert_close(path_length(even) ** 2, path_energy(even))


def test_geodesic_of_a_linear_decoder_is_the_straight_line() -> None:
    weight = codes(3, 3, 8)
    start, end = codes(4, 2, 5, 3)
    path = geodesic(lambda z: z @ weight, start, end, 7, iterations=50)
    assert_close(path, interpolate(start, end, 7), atol=1e-3, rtol=0)


def on_sphere(z: Tensor) -> Tensor:
    """(longitude, latitude) => the unit sphere."""
    longitude, latitude = z.unbind(-1)
    flat = torch.cos(latitude)
    return torch.stack(
        [flat * torch.cos(longitude), flat * torch.sin(longitude), torch.sin(latitude)], -1
    )


def test_geodesic_on_the_sphere_is_the_great_circle() -> None:
    start = torch.tensor([[0.0, 0.9], [0.0, 0.0]], dtype=torch.float64)
    end = torch.tensor([[1.8, 0.9], [1.2, -0.7]], dtype=torch.float64)
    steps = 21
    straight = on_sphere(interpolate(start, end, steps))
    path = geodesic(on_sphere, start, end, steps, iterations=600)
    found = on_sphere(path)
    arc = slerp(on_sphere(start), on_sphere(end), steps)
    assert_close(path[[0, -1]], torch.stack([start, end]))
    assert_close(found, arc, atol=5e-3, rtol=0)
    angle = torch.arccos((on_sphere(start) * on_sphere(end)).sum(-1))
    assert_close(path_length(found), angle, rtol=2e-3, atol=0)
    assert path_length(straight)[0] > 1.05 * angle[0]  # along the parallel it is a detour


def test_geodesic_never_ends_above_the_straight_line_and_pairs_do_not_meet() -> None:
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(2, 16), torch.nn.Tanh(), torch.nn.Linear(16, 5))
    start, end = torch.randn(2, 6, 2)
    line = interpolate(start, end, 9)
    wild = geodesic(net, start, end, 9, iterations=3, learning_rate=50.0)
    assert (path_energy(net(wild)) <= path_energy(net(line))).all()
    together = geodesic(net, start, end, 9, iterations=40)
    gain = path_energy(net(line)) - path_energy(net(together))
    assert (gain >= 0).all() and gain.max() > 0.01
    alone = geodesic(net, start[2:3], end[2:3], 9, iterations=40)
    assert_close(together[:, 2:3], alone, atol=1e-4, rtol=1e-3)
    assert all(p.grad is None for p in net.parameters()) and not together.requires_grad


def test_geodesic_needs_a_point_to_move() -> None:
    with pytest.raises(ValueError, match="at least 3"):
        geodesic(on_sphere, torch.zeros(1, 2), torch.ones(1, 2), 2)
