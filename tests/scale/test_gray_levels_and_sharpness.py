import math

import pytest
import torch
from torch.distributions import Beta, Normal
from torch.testing import assert_close

from vae_course.likelihoods import likelihood
from vae_course.metrics import bits_per_dim, sharpness
from vae_course.scale import clamped_gaussian_log_px, dequantize, dequantized_bits_per_dim


def test_a_uniform_density_costs_eight_bits() -> None:
    log_px = torch.zeros(3)  # log 1, for any number of pixels
    assert_close(dequantized_bits_per_dim(log_px, (3, 5, 7)), torch.full((3,), 8.0))
    mass = torch.full((3,), -105 * math.log(256))
    assert_close(bits_per_dim(mass, (3, 5, 7)), torch.full((3,), 8.0))


def test_dequantized_bits_bound_the_bits_of_the_masses_from_above(
    generator: torch.Generator,
) -> None:
    pixels = torch.randint(0, 256, (1, 1, 1, 400), dtype=torch.uint8, generator=generator)
    p = Normal(0.4, 0.003)  # narrower than a gray level: the bound has something to lose
    edges = pixels.double() / 256
    mass = (p.cdf(edges + 1 / 256) - p.cdf(edges)).clamp(min=1e-300).log()
    density = torch.stack(
        [p.log_prob(dequantize(pixels, generator)).double() for _ in range(200)]
    ).mean(0)
    shape = pixels.shape[1:]
    bound = dequantized_bits_per_dim(density.sum((1, 2, 3)), shape)
    near = (edges - 0.4).abs() < 0.02
    assert bool(near.any())
    assert float(density[near].sum() - math.log(256) * near.sum() - mass[near].sum()) < -0.1
    assert float(bound) > float(bits_per_dim(mass.sum((1, 2, 3)), shape))


def test_the_bound_is_tight_for_a_density_that_is_flat_over_a_gray_level(
    generator: torch.Generator,
) -> None:
    pixels = torch.randint(0, 256, (1, 1, 1, 5000), dtype=torch.uint8, generator=generator)
    p = Beta(torch.tensor(1.0), torch.tensor(2.0))  # 2 (1 − x), with mass in closed form
    left = pixels.double() / 256
    mass = ((1 - left) ** 2 - (1 - left - 1 / 256) ** 2).log().sum()
    # With D pixels and one draw of u each the noise of the mean is small against the tolerance.
    log_px = p.log_prob(dequantize(pixels, generator).double()).sum().view(1)
    shape = (1, 1, 5000)
    exact = bits_per_dim(mass.view(1), shape)
    assert_close(dequantized_bits_per_dim(log_px, shape), exact, rtol=0, atol=0.01)


def test_a_mass_function_and_a_density_of_the_same_logistic_cost_the_same_bits(
    generator: torch.Generator,
) -> None:
    """The two conventions of gray levels, v/255 and (v + u)/256, are on one scale."""
    pixels = torch.randint(60, 200, (1, 1, 20, 20), dtype=torch.uint8, generator=generator)
    outputs = torch.zeros(1, 2, 20, 20)
    outputs[:, 0], outputs[:, 1] = 0.5, math.log(0.1)
    mass = likelihood("discretized-logistic")(outputs).log_prob(pixels / 255)
    y = (dequantize(pixels, generator).double() * 256 - 0.5) / 255  # the logistic's own scale
    u = (y - 0.5) / 0.1
    density = -u - 2 * torch.nn.functional.softplus(-u) - math.log(0.1) + math.log(256 / 255)
    shape = (1, 20, 20)
    assert_close(
        dequantized_bits_per_dim(density.sum((1, 2, 3)), shape).float(),
        bits_per_dim(mass, shape),
        rtol=0,
        atol=2e-3,
    )


def test_sharpness_is_zero_for_a_ramp_and_twenty_times_the_variance_for_noise(
    generator: torch.Generator,
) -> None:
    ramp = torch.linspace(0, 1, 16).view(1, 1, 1, 16).expand(2, 3, 16, 16)
    assert_close(sharpness(ramp), torch.zeros(2), rtol=0, atol=1e-10)
    noise = 0.3 * torch.randn(4, 1, 200, 200, generator=generator)
    assert_close(sharpness(noise), torch.full((4,), 20 * 0.09), rtol=0.03, atol=0)


def test_sharpness_falls_with_blur_and_is_quadratic_in_contrast(
    generator: torch.Generator,
) -> None:
    images = torch.rand(3, 1, 20, 20, generator=generator)
    blurred = torch.nn.functional.avg_pool2d(images, 3, stride=1, padding=1)
    assert bool((sharpness(blurred) < 0.2 * sharpness(images)).all())
    assert_close(sharpness(2 * images + 5), 4 * sharpness(images), rtol=1e-3, atol=1e-4)


def test_sharpness_treats_images_and_channels_apart(generator: torch.Generator) -> None:
    images = torch.rand(4, 3, 9, 8, generator=generator)
    each = torch.stack([sharpness(images[:, [c]]) for c in range(3)]).mean(0)
    assert_close(sharpness(images), each)
    assert_close(sharpness(images.flip(0)), sharpness(images).flip(0))


@pytest.mark.parametrize("shape", [(3, 8, 8), (2, 1, 2, 8), (8, 8)])
def test_sharpness_refuses_what_is_no_batch_of_images(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="sharpness takes"):
        sharpness(torch.zeros(shape))


@pytest.mark.parametrize(("mean", "sigma"), [(0.4, 0.1), (-0.5, 0.05), (1.0, 3.0), (0.2, 1e-3)])
def test_clamped_gaussian_gives_256_masses_that_add_up_to_one(mean: float, sigma: float) -> None:
    levels = torch.arange(256, dtype=torch.uint8).view(256, 1, 1, 1)
    log_px = clamped_gaussian_log_px(levels, torch.full((256, 1, 1, 1), mean), sigma)
    assert log_px.shape == (256,)
    assert float(log_px.exp().sum()) == pytest.approx(1, abs=1e-9)
    p = Normal(torch.tensor(mean).double(), sigma)
    assert float(log_px[0].exp()) == pytest.approx(float(p.cdf(torch.tensor(1 / 256))), abs=1e-9)
    inner = p.cdf(torch.tensor(101 / 256)) - p.cdf(torch.tensor(100 / 256))
    assert float(log_px[100].exp()) == pytest.approx(float(inner), abs=1e-9)


def test_clamped_gaussian_stays_finite_far_out_and_sums_over_pixels() -> None:
    images = torch.tensor([[0, 255], [128, 7]], dtype=torch.uint8).view(2, 1, 1, 2)
    mean = torch.tensor([[3.0, -3.0], [0.5, 0.9]]).view(2, 1, 1, 2)
    log_px = clamped_gaussian_log_px(images, mean, 0.02)
    assert bool(torch.isfinite(log_px).all())
    single = clamped_gaussian_log_px(images[1:, ..., :1], mean[1:, ..., :1], 0.02)
    other = clamped_gaussian_log_px(images[1:, ..., 1:], mean[1:, ..., 1:], 0.02)
    assert_close(log_px[1:], single + other)
    several = clamped_gaussian_log_px(images, mean.expand(3, -1, -1, -1, -1), 0.02)
    assert several.shape == (3, 2)
