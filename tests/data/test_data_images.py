import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vae_course.data import binarize, to_unit

EVERY_PIXEL = torch.arange(256, dtype=torch.uint8)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def test_binarize_has_probability_pixel_over_255():
    draws = 20_000
    x = binarize(EVERY_PIXEL.repeat(draws, 1), seeded(0))
    p = EVERY_PIXEL.double() / 255
    frequency = x.double().mean(dim=0)
    z = (frequency - p)[1:-1] / (p * (1 - p) / draws).sqrt()[1:-1]
    assert z.abs().max() < 4.5  # 254 standard normals
    assert 0.85 < z.std() < 1.15
    assert abs(z.mean()) < 0.25


def test_black_is_never_and_white_always_drawn():
    ends = torch.tensor([0, 255], dtype=torch.uint8).repeat(500_000, 1)
    x = binarize(ends, seeded(1))
    assert x[:, 0].max() == 0
    assert x[:, 1].min() == 1


def test_pixels_are_drawn_independently():
    x = binarize(torch.full((20_000, 16), 128, dtype=torch.uint8), seeded(2))
    off_diagonal = torch.corrcoef(x.T) - torch.eye(16)
    assert off_diagonal.abs().max() < 0.04  # 120 of standard deviation 0.007


@settings(deadline=None)
@given(
    shape=st.lists(st.integers(0, 5), min_size=1, max_size=4),
    seed=st.integers(0, 2**32),
)
def test_binarize_is_deterministic_for_every_shape(shape, seed):
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=seeded(seed))
    x = binarize(images, seeded(seed))
    assert x.shape == images.shape and x.dtype == torch.float32
    assert torch.equal(x, binarize(images, seeded(seed)))
    assert ((x == 0) | (x == 1)).all()


def test_binarize_moves_its_generator_on_and_leaves_the_images_and_the_global_one():
    images = EVERY_PIXEL.clone()
    generator = seeded(3)
    before = torch.get_rng_state()
    assert not torch.equal(binarize(images, generator), binarize(images, generator))
    assert torch.equal(images, EVERY_PIXEL)
    assert torch.equal(torch.get_rng_state(), before)


def test_to_unit_ends_at_exactly_zero_and_one():
    x = to_unit(EVERY_PIXEL)
    assert x.dtype == torch.float32 and x[0] == 0 and x[255] == 1
    assert torch.equal((x.double() * 255).round().to(torch.uint8), EVERY_PIXEL)


@pytest.mark.parametrize("dtype", [torch.float32, torch.int64, torch.bool])
def test_only_uint8_is_taken(dtype):
    images = torch.ones(1, 1, 2, 2).to(dtype)
    with pytest.raises(TypeError, match="uint8"):
        to_unit(images)
    with pytest.raises(TypeError, match=str(dtype)):
        binarize(images, seeded(0))


def test_generator_of_another_device_is_named():
    images = torch.zeros(2, dtype=torch.uint8, device="meta")
    with pytest.raises(ValueError, match=r"images are on meta and the generator on cpu"):
        binarize(images, seeded(0))
