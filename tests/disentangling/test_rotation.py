"""Turned latent spaces, against torch's Gaussians."""

import math

import pytest
import torch
from torch.distributions import MultivariateNormal, kl_divergence
from torch.testing import assert_close

from vae_course.disentangling import diagonal_gap, plane_rotation


def test_a_rotation_keeps_lengths_and_other_latents() -> None:
    u = plane_rotation(4, 1, 3, 0.7)
    assert_close(u @ u.T, torch.eye(4))
    assert float(torch.linalg.det(u)) == pytest.approx(1)
    z = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    assert_close((z @ u.T)[:, [0, 2]], z[:, [0, 2]])


def test_a_quarter_turn_moves_the_first_latent_to_the_second() -> None:
    z = torch.tensor([[2.0, 0.0, 5.0]])
    assert_close(z @ plane_rotation(3, 0, 1, math.pi / 2).T, torch.tensor([[0.0, 2.0, 5.0]]))


def test_a_plane_takes_two_latents() -> None:
    with pytest.raises(ValueError, match="latent 1 twice"):
        plane_rotation(3, 1, 1, 0.2)
    with pytest.raises(IndexError):
        plane_rotation(3, 0, 3, 0.2)


def test_the_gap_is_the_smallest_divergence_of_a_diagonal_gaussian() -> None:
    log_var = torch.tensor([[0.0, -2.0, 1.0], [-3.0, 0.5, 0.0]])
    u = plane_rotation(3, 0, 1, 0.6) @ plane_rotation(3, 1, 2, -0.3)
    gap = diagonal_gap(log_var, u)
    covariance = u @ torch.diag_embed(log_var.exp()) @ u.T
    turned = MultivariateNormal(torch.zeros(2, 3), covariance)
    best = 1 / torch.linalg.inv(covariance).diagonal(dim1=-2, dim2=-1)

    def divergence(variance: torch.Tensor) -> torch.Tensor:
        return kl_divergence(
            MultivariateNormal(torch.zeros(2, 3), torch.diag_embed(variance)), turned
        )

    assert_close(gap, divergence(best), rtol=1e-4, atol=1e-5)
    for factor in (0.9, 1.1):
        assert bool((divergence(factor * best) > gap).all())


def test_equal_widths_and_no_turn_cost_nothing() -> None:
    u = plane_rotation(3, 0, 2, 0.4)
    assert_close(diagonal_gap(torch.full((2, 3), -1.3), u), torch.zeros(2), atol=1e-6, rtol=0)
    widths = torch.tensor([[0.0, -2.0, 1.0]])
    assert_close(diagonal_gap(widths, torch.eye(3)), torch.zeros(1), atol=1e-6, rtol=0)
