import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.distributions import Bernoulli, ContinuousBernoulli
from torch.testing import assert_close

from vae_course.likelihoods import (
    LIKELIHOODS,
    BernoulliImages,
    ContinuousBernoulliImages,
    GaussianLikelihood,
    SharedGaussianLikelihood,
    likelihood,
)


def unit_grid(points: int) -> torch.Tensor:
    return torch.linspace(0, 1, points, dtype=torch.float64)


@pytest.mark.parametrize("leading", [(5,), (3, 5)])
@pytest.mark.parametrize("name", LIKELIHOODS)
def test_every_likelihood_gives_one_number_an_image(name: str, leading: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    p_of = likelihood(name)
    channels = 3 * p_of.parameters_per_pixel
    p = p_of(torch.randn(*leading, channels, 4, 6))
    x = torch.randint(0, 2, (5, 3, 4, 6)).float()
    assert p.batch_shape == leading
    assert p.event_shape == (3, 4, 6)
    assert p.log_prob(x).shape == leading
    assert p.mean.shape == (*leading, 3, 4, 6)
    assert p.sample().shape == (*leading, 3, 4, 6)


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_log_prob_sums_over_pixels_in_float32_whatever_comes_in(name: str) -> None:
    torch.manual_seed(0)
    p_of = likelihood(name)
    outputs = torch.randn(2, p_of.parameters_per_pixel, 4, 4).bfloat16()
    x = torch.randint(0, 2, (2, 1, 4, 4)).float()
    whole = p_of(outputs).log_prob(x)
    halves = [
        p_of(o).log_prob(v) for o, v in zip(outputs.split(2, -1), x.split(2, -1), strict=True)
    ]
    assert whole.dtype == p_of(outputs).mean.dtype == torch.float32
    assert_close(whole, sum(halves))


# Every value of a pixel with its weight in the sum or integral over it.
VALUES = {
    "bernoulli": (torch.tensor([0.0, 1.0]), 1.0),
    "continuous-bernoulli": ((torch.arange(20_000) + 0.5) / 20_000, 1 / 20_000),
    "gaussian": (torch.linspace(-12, 12, 20_001), 24 / 20_000),
    "shared-gaussian": (torch.linspace(-12, 12, 20_001), 24 / 20_000),
    "discretized-logistic": (torch.arange(256) / 255, 1.0),
}


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_every_likelihood_is_normalized_over_the_values_it_is_for(name: str) -> None:
    p_of = likelihood(name)
    outputs = torch.tensor([0.7, -0.4])[: p_of.parameters_per_pixel].view(-1, 1, 1)
    values, weight = VALUES[name]
    log_px = p_of(outputs).log_prob(values.view(-1, 1, 1, 1)).detach()
    assert float(log_px.double().exp().sum() * weight) == pytest.approx(1, abs=1e-4)


def test_unknown_likelihood_lists_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"'poisson'.*bernoulli.*discretized-logistic"):
        likelihood("poisson")


@given(st.floats(-80, 80), st.sampled_from([0.0, 0.3, 1.0]))
def test_bernoulli_equals_torchs_in_value_and_gradient(logit: float, pixel: float) -> None:
    values, gradients = [], []
    for kind in (BernoulliImages, Bernoulli):
        logits = torch.tensor(logit, dtype=torch.float64, requires_grad=True)
        log_mass = kind(logits=logits, validate_args=False).log_prob(torch.tensor(pixel).double())
        log_mass.backward()
        values.append(log_mass.detach())
        gradients.append(logits.grad)
    assert_close(*values, rtol=1e-6, atol=1e-8)
    assert_close(*gradients, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("eta", [-200.0, -40.0, -16.0, -5.0, -0.1, -1e-4, 0, 0.099, 0.5, 16, 90])
def test_continuous_bernoulli_is_a_density_with_its_mean(eta: float) -> None:
    grid = unit_grid(400_001)
    p = ContinuousBernoulliImages(logits=torch.tensor(eta, dtype=torch.float64))
    density = p.log_prob(grid).exp()
    assert float(torch.trapezoid(density, grid)) == pytest.approx(1, abs=1e-6)
    assert float(p.mean) == pytest.approx(float(torch.trapezoid(density * grid, grid)), abs=1e-6)
    single = ContinuousBernoulliImages(logits=torch.tensor(float(eta)))
    digits = 1e-6 + 1e-7 * abs(eta)  # of η x in float32
    assert_close(single.log_prob(grid.float()), p.log_prob(grid).float(), rtol=2e-6, atol=digits)
    assert_close(single.mean, p.mean.float(), rtol=2e-5, atol=1e-6)


@given(st.floats(-12, 12))
def test_continuous_bernoulli_equals_torchs_where_that_is_sound(eta: float) -> None:
    logits, x = torch.tensor(eta, dtype=torch.float64), unit_grid(11)
    theirs = ContinuousBernoulli(logits=logits)
    assert_close(ContinuousBernoulliImages(logits=logits).log_prob(x), theirs.log_prob(x))


def test_continuous_bernoulli_gradient_is_that_of_its_value_on_both_sides_of_the_series() -> None:
    etas = torch.tensor(
        [-300.0, -3.0, -0.11, -0.09, 0.0, 0.05, 0.2, 30.0], dtype=torch.float64, requires_grad=True
    )
    assert torch.autograd.gradcheck(
        lambda eta: ContinuousBernoulliImages(logits=eta).log_prob(torch.tensor(0.3).double()), etas
    )
    # d log p / dη = x − E[x]: zero at the mean.
    p = ContinuousBernoulliImages(logits=etas)
    (slope,) = torch.autograd.grad(p.log_prob(p.mean.detach()).sum(), etas)
    assert_close(slope, torch.zeros_like(slope), rtol=0, atol=1e-6)


@pytest.mark.parametrize("sigma", [0.1, 1.0, 2.5])
def test_gaussian_is_squared_error_over_two_sigma_squared_plus_a_constant(sigma: float) -> None:
    torch.manual_seed(0)
    outputs, x = torch.randn(4, 1, 3, 5), torch.rand(4, 1, 3, 5)
    squared = (x - outputs).square().flatten(1).sum(1)
    constant = 15 * (math.log(sigma) + 0.5 * math.log(2 * math.pi))
    expected = -squared / (2 * sigma**2) - constant
    assert_close(GaussianLikelihood(sigma)(outputs).log_prob(x), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("sigma", [0.0, -1.0, math.nan])
def test_gaussian_refuses_a_sigma_that_is_none(sigma: float) -> None:
    with pytest.raises(ValueError, match="not positive"):
        GaussianLikelihood(sigma)


def test_only_the_shared_sigma_learns_and_it_learns_the_root_mean_square_error() -> None:
    torch.manual_seed(0)
    error = 0.2 * torch.randn(50, 1, 4, 4)
    outputs = torch.rand(50, 1, 4, 4)
    shared = SharedGaussianLikelihood()
    optimizer = torch.optim.Adam(shared.parameters(), lr=0.05)
    for _ in range(200):
        optimizer.zero_grad()
        (-shared(outputs).log_prob(outputs + error).mean()).backward()
        optimizer.step()
    rmse = float(error.square().mean().sqrt())
    assert float(shared.log_sigma.detach().exp()) == pytest.approx(rmse, rel=1e-3)
    assert not [p for p in GaussianLikelihood().parameters() if p.requires_grad]


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_a_likelihood_is_a_module_that_saves_and_loads(name: str) -> None:
    one, other = likelihood(name), likelihood(name)
    assert isinstance(one, nn.Module)
    other.load_state_dict(one.state_dict())


# A batch that a likelihood takes, and pixels that it does not.
GRAY = torch.arange(256).view(4, 1, 8, 8) / 255
INSIDE = {
    "bernoulli": [GRAY, GRAY.round(), GRAY.round().byte(), GRAY > 0.5],
    "continuous-bernoulli": [GRAY, GRAY * 0.999],
    "gaussian": [GRAY, 40 * GRAY - 20],
    "shared-gaussian": [GRAY, 40 * GRAY - 20],
    "discretized-logistic": [GRAY, GRAY.round(), GRAY.double(), GRAY * 255 * (1 / 255)],
}
NOT_FINITE = [math.nan, math.inf, -math.inf]
OUTSIDE = {
    "bernoulli": [-1.0, 255.0, 1.0001, *NOT_FINITE],
    "continuous-bernoulli": [-1.0, 255.0, 1.0001, *NOT_FINITE],
    "gaussian": NOT_FINITE,
    "shared-gaussian": NOT_FINITE,
    "discretized-logistic": [-1.0, 255.0, 1 + 1 / 255, 0.5, 100 / 256, *NOT_FINITE],
}


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_pixels_inside_the_support_pass_without_a_word(name: str) -> None:
    for x in INSIDE[name]:
        assert likelihood(name).check_support(x) is None
    likelihood(name).check_support(GRAY[:0])


@pytest.mark.parametrize(("name", "pixel"), [(n, v) for n in LIKELIHOODS for v in OUTSIDE[n]])
def test_a_pixel_outside_the_support_is_named_with_its_image_and_a_way_out(
    name: str, pixel: float
) -> None:
    x = GRAY.clone()
    x[2, 0, 3, 4] = pixel
    sentence = rf"^image 2 of the batch has a pixel {pixel:.6g}, which \w+Likelihood does not take"
    with pytest.raises(ValueError, match=sentence) as caught:
        likelihood(name).check_support(x)
    assert "ranges from" in str(caught.value)
    assert str(caught.value).endswith(likelihood(name).way_out)


@pytest.mark.parametrize("name", ["bernoulli", "continuous-bernoulli", "discretized-logistic"])
def test_the_way_out_leads_into_the_support(name: str) -> None:
    p_of, signed = likelihood(name), (torch.rand(4, 1, 8, 8) - 0.5) / 0.5  # Normalize(0.5, 0.5)
    with pytest.raises(ValueError, match=r"scale the images to \[0, 1\]"):
        p_of.check_support(signed)
    unit = signed / 2 + 0.5
    p_of.check_support((255 * unit).round() / 255)
    likelihood("continuous-bernoulli").check_support(unit)
    likelihood("gaussian").check_support(signed)


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_what_is_no_image_of_the_shape_is_refused_and_not_broadcast(name: str) -> None:
    p_of = likelihood(name)
    p = p_of(torch.zeros(8, p_of.parameters_per_pixel, 8, 8))
    x = torch.ones(8, 1, 8, 8)
    for wrong, sentence in (
        (x[:, 0], r"\(8, 8, 8\).*shape \(1, 8, 8\).*\.unsqueeze\(1\)"),
        (x.permute(0, 2, 3, 1), r"\(8, 8, 8, 1\)"),
        (x.expand(8, 3, 8, 8), r"\(8, 3, 8, 8\)"),
        (x[:, :, :1], r"\(8, 1, 1, 8\)"),
        (x.flatten(1), r"\(8, 64\)"),
        (x.sum(), r"shape \(\)"),
    ):
        with pytest.raises(ValueError, match=sentence):
            p.log_prob(wrong)
    with pytest.raises(TypeError, match=r"torch.uint8.*to_unit"):
        p.log_prob((255 * x).byte())
    with pytest.raises(TypeError, match="not a ndarray"):
        p.log_prob(x.numpy())
    assert_close(p.log_prob(x[0]), p.log_prob(x))  # one image under every code
    assert_close(p.expand((3, 8)).log_prob(x), p.log_prob(x).expand(3, 8))
    with pytest.raises(ValueError, match=r"\.unsqueeze\(1\)"):
        p.expand((3, 8)).log_prob(x[:, 0])
