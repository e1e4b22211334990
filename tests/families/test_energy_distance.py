"""The energy distance against its definition and its closed form on the line."""

import math

import pytest
import torch

from vae_course.families import energy_distance


def test_is_its_definition():
    x, y = torch.tensor([[0.0], [1.0]]), torch.tensor([[2.0], [5.0]])
    # Means of |x − y| = (2 + 5 + 1 + 4) / 4, of the one other distance in each cloud: 1 and 3.
    assert energy_distance(x, y) == pytest.approx(2 * 3 - 1 - 3)


def test_of_two_gaussians_on_the_line(generator):
    """For N(0, 1) and N(m, 1): 2 E|N(m, 2)| − 2 · 2/√π, with the mean of a folded normal."""
    m = 1.5
    x = torch.randn(4000, 1, generator=generator)
    y = m + torch.randn(4000, 1, generator=generator)
    scale = math.sqrt(2)
    folded = scale * math.sqrt(2 / math.pi) * math.exp(-(m**2) / 4) + m * math.erf(m / 2)
    assert energy_distance(x, y) == pytest.approx(2 * folded - 4 / math.sqrt(math.pi), abs=0.05)


def test_is_unbiased_for_equal_distributions(generator):
    clouds = torch.randn(200, 2, 40, 2, generator=generator)
    values = torch.tensor([energy_distance(*pair) for pair in clouds])
    assert abs(float(values.mean())) < 4 * float(values.std()) / math.sqrt(200)
    assert float(values.min()) < 0


def test_needs_two_points():
    with pytest.raises(ValueError, match="two"):
        energy_distance(torch.zeros(1, 2), torch.zeros(5, 2))
