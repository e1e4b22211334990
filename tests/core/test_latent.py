import pytest
import torch
from torch.distributions import Normal
from torch.testing import assert_close

from vae_course.models import VAE, interpolate, manifold_grid, sample_images, traverse


def test_interpolation_starts_and_ends_where_told_and_is_straight() -> None:
    torch.manual_seed(0)
    start, end = torch.randn(2, 5, 3)
    path = interpolate(start, end, 7)
    assert path.shape == (7, 5, 3)
    assert torch.equal(path[0], start) and torch.equal(path[-1], end)
    assert_close(path[3], (start + end) / 2)
    steps = path.diff(dim=0)
    assert_close(steps, steps[:1].expand_as(steps), rtol=1e-4, atol=1e-5)
    assert interpolate(start[0], end[0], 4).shape == (4, 3)


def test_traversal_changes_one_coordinate_and_not_the_code_it_starts_from() -> None:
    z, values = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([-2.0, 0.0, 5.0])
    codes = traverse(z, 1, values)
    assert torch.equal(codes[:, 1], values)
    assert torch.equal(codes[:, [0, 2]], z[[0, 2]].expand(3, 2))
    assert z.tolist() == [1, 2, 3]


@pytest.mark.parametrize("dim", [-1, 3])
def test_traversal_of_a_latent_that_is_not_there_is_refused(dim: int) -> None:
    with pytest.raises(IndexError, match=f"dim = {dim}.*0 to 2"):
        traverse(torch.zeros(3), dim, torch.zeros(2))


def test_manifold_grid_is_even_in_probability_with_up_and_right_as_in_a_plot() -> None:
    side = 5
    grid = manifold_grid(side).view(side, side, 2)
    expected = (torch.arange(side) + 0.5) / side
    probability = Normal(0.0, 1.0).cdf(grid)
    assert_close(probability[0, :, 0], expected)  # to the right
    assert_close(probability[:, 0, 1], expected.flip(0))  # upwards: the top row is the largest
    assert torch.equal(grid[:, :, 0], grid[:1, :, 0].expand(side, side))
    assert torch.equal(grid[:, :, 1], grid[:, :1, 1].expand(side, side))
    assert_close(grid[2, 2], torch.zeros(2), rtol=0, atol=1e-6)


@pytest.mark.parametrize("likelihood", ["bernoulli", "discretized-logistic"])
def test_sampled_images_are_mean_images_that_repeat_with_their_generator(likelihood: str) -> None:
    torch.manual_seed(0)
    model = VAE((3, 8, 8), 2, widths=(8,), likelihood=likelihood)
    images = sample_images(model, 6, torch.Generator().manual_seed(1))
    assert images.shape == (6, 3, 8, 8) and not images.requires_grad
    assert images.min() >= 0 and images.max() <= 1
    assert torch.equal(images, sample_images(model, 6, torch.Generator().manual_seed(1)))
    assert not torch.equal(images, sample_images(model, 6, torch.Generator().manual_seed(2)))
    z = torch.randn(6, 2, generator=torch.Generator().manual_seed(1))
    assert_close(images, model.decode(z).mean.detach())
