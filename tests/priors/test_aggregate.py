"""The aggregate posterior: its density, and the KL it divides."""

import math

import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal
from torch.testing import assert_close

from vae_course.distributions import DiagonalGaussian
from vae_course.objectives import gaussian_kl
from vae_course.priors import elbo_surgery, log_aggregate


def posteriors(n: int, latent: int, seed: int = 0) -> DiagonalGaussian:
    generator = torch.Generator().manual_seed(seed)
    mean = torch.randn(n, latent, generator=generator)
    return DiagonalGaussian(mean, torch.randn(n, latent, generator=generator) - 1)


@pytest.mark.parametrize("chunk", [1, 4, 1000])
def test_the_density_is_that_of_torchs_mixture_whatever_the_chunk(chunk: int) -> None:
    q = posteriors(20, 3)
    reference = MixtureSameFamily(
        Categorical(probs=torch.ones(20)), Independent(Normal(q.mean, q.stddev), 1)
    )
    z = 2 * torch.randn(9, 3, generator=torch.Generator().manual_seed(1))
    assert_close(log_aggregate(z, q, chunk=chunk), reference.log_prob(z), rtol=1e-5, atol=1e-5)


def test_the_density_integrates_to_one_on_a_grid() -> None:
    axis = torch.linspace(-12, 12, 481)
    z = torch.cartesian_prod(axis, axis)
    total = log_aggregate(z, posteriors(7, 2)).exp().sum() * (axis[1] - axis[0]) ** 2
    assert float(total) == pytest.approx(1, abs=1e-4)


def test_far_codes_do_not_underflow() -> None:
    assert torch.isfinite(log_aggregate(torch.full((1, 3), 100.0), posteriors(5, 3))).all()


def test_surgery_adds_up_and_its_kl_is_the_closed_form_on_average() -> None:
    few = posteriors(6, 2)
    many = DiagonalGaussian(few.mean.repeat(4000, 1), few.log_var.repeat(4000, 1))
    z = many.sample(generator=torch.Generator().manual_seed(0))
    parts = elbo_surgery(few, 6, torch.Generator().manual_seed(0))
    assert_close(parts.kl, parts.mutual_information + parts.marginal_kl)
    sampled = many.log_prob(z) + 0.5 * (z.square().sum(-1) + 2 * math.log(2 * math.pi))
    exact = gaussian_kl(few.mean, few.log_var).sum(-1).mean()
    assert abs(sampled.mean() - exact) < 4 * sampled.std() / len(z) ** 0.5


def test_surgery_of_a_gaussian_aggregate_is_the_textbooks() -> None:
    """q(z|x) = N(a x, s²) with x ~ N(0, 1): I = ½ log(1 + a²/s²), and q(z) = N(0, a² + s²)."""
    a, s, n = 1.5, 0.8, 4000
    x = torch.distributions.Normal(0.0, 1.0).icdf((torch.arange(n) + 0.5) / n).unsqueeze(1)
    q = DiagonalGaussian(a * x, torch.full_like(x, 2 * math.log(s)))
    parts = elbo_surgery(q, n, torch.Generator().manual_seed(0))
    variance = a**2 + s**2
    for found, exact in (
        (parts.mutual_information, 0.5 * math.log(variance / s**2)),
        (parts.marginal_kl, 0.5 * (variance - 1 - math.log(variance))),
    ):
        assert abs(found.mean() - exact) < 4 * found.std() / n**0.5 + 0.01


def test_identical_posteriors_hold_no_information_and_separate_ones_log_n() -> None:
    same = DiagonalGaussian(torch.ones(50, 2), torch.zeros(50, 2))
    assert_close(
        elbo_surgery(same, 50, torch.Generator().manual_seed(0)).mutual_information,
        torch.zeros(50),
        rtol=0,
        atol=1e-5,
    )
    apart = DiagonalGaussian(100 * torch.arange(50.0).view(50, 1), torch.zeros(50, 1))
    information = elbo_surgery(apart, 50, torch.Generator().manual_seed(0)).mutual_information
    assert_close(information, torch.full((50,), math.log(50)), rtol=0, atol=1e-3)


def test_codes_of_some_images_are_held_against_the_aggregate_of_all() -> None:
    q = posteriors(30, 2)
    parts = elbo_surgery(q, 4, torch.Generator().manual_seed(0))
    first = DiagonalGaussian(q.mean[:4], q.log_var[:4])
    z = first.sample(generator=torch.Generator().manual_seed(0))
    assert_close(parts.mutual_information, first.log_prob(z) - log_aggregate(z, q))
