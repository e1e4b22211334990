"""What holds for every distribution of ours, as torch's own generic tests ask of torch's."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.testing import assert_close

from vae_course.distributions import (
    BernoulliImages,
    ContinuousBernoulliImages,
    DiagonalGaussian,
    DiscretizedLogistic,
    FullGaussian,
    StandardNormal,
)
from vae_course.priors import LatentMixture

Make = Callable[[torch.dtype], Distribution]


def mixture(dtype: torch.dtype) -> LatentMixture:
    means = torch.tensor([[-2.0, 0.0], [1.0, 1.0]], dtype=dtype)
    spread = torch.tensor([[0.0, -1.0], [-1.0, 0.5]], dtype=dtype)
    return LatentMixture(torch.tensor([0.3, 0.7], dtype=dtype), DiagonalGaussian(means, spread))


MAKES: dict[str, Make] = {
    "DiagonalGaussian": lambda dtype: DiagonalGaussian(
        torch.tensor([[0.5, -1.0], [2.0, 0.0]], dtype=dtype),
        torch.tensor([[0.0, -2.0], [1.0, 0.3]], dtype=dtype),
    ),
    "StandardNormal": lambda dtype: StandardNormal((2, 2), dtype=dtype),
    "FullGaussian": lambda dtype: FullGaussian(
        torch.tensor([0.5, -1.0], dtype=dtype),
        torch.tensor([[1.0, 0.0], [-0.7, 0.5]], dtype=dtype),
    ),
    "LatentMixture": mixture,
    "BernoulliImages": lambda dtype: BernoulliImages(
        logits=torch.tensor([-3.0, 0.0, 2.0], dtype=dtype)
    ),
    "ContinuousBernoulliImages": lambda dtype: ContinuousBernoulliImages(
        torch.tensor([-40.0, -3.0, 0.01, 2.0, 30.0], dtype=dtype)
    ),
    "DiscretizedLogistic": lambda dtype: DiscretizedLogistic(
        torch.tensor([0.1, 0.5, 0.95], dtype=dtype), torch.tensor([-3.0, -1.0, -5.0], dtype=dtype)
    ),
}
every = pytest.mark.parametrize("make", MAKES.values(), ids=MAKES.keys())
continuous = pytest.mark.parametrize(
    "make",
    [MAKES[name] for name in MAKES if name not in ("BernoulliImages", "DiscretizedLogistic")],
    ids=[name for name in MAKES if name not in ("BernoulliImages", "DiscretizedLogistic")],
)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shapes_dtype_and_support_of_draws(make: Make, dtype: torch.dtype) -> None:
    p = make(dtype)
    for shape in ((), (1,), (4, 3)):
        draws = p.sample(shape)
        assert draws.shape == p._extended_shape(torch.Size(shape))
        assert draws.dtype == dtype
        assert p.support.check(draws).all()
        log_prob = p.log_prob(draws)
        assert log_prob.shape == torch.Size(shape) + p.batch_shape
        assert log_prob.dtype == dtype
        assert log_prob.isfinite().all()


@every
def test_expand_is_the_same_distribution_repeated(make: Make) -> None:
    p = make(torch.float64)
    wide = p.expand(torch.Size([5, *p.batch_shape]))
    assert type(wide) is type(p)
    assert wide.batch_shape == (5, *p.batch_shape)
    assert wide.event_shape == p.event_shape
    value = p.sample()
    assert_close(wide.log_prob(value), p.log_prob(value).expand(wide.batch_shape))
    assert_close(wide.mean, p.mean.expand_as(wide.mean))
    assert_close(wide.variance, p.variance.expand_as(wide.variance))
    assert wide.sample((2,)).shape == (2, 5, *p.batch_shape, *p.event_shape)
    again = wide.expand(torch.Size([2, *wide.batch_shape]))
    assert again.batch_shape == (2, 5, *p.batch_shape)


@every
def test_draws_have_the_mean_and_the_variance(make: Make) -> None:
    p = make(torch.float64)
    n = 40_000
    draws = p.sample((n,))
    error = (draws.mean(0) - p.mean) / (p.variance / n).sqrt()
    # The mean of a discretized logistic is exact to half a gray level, by its docstring.
    slack = 0.5 / 255 / (p.variance / n).sqrt() if isinstance(p, DiscretizedLogistic) else 0
    assert (error.abs() < 5 + slack).all()
    squares = (draws - draws.mean(0)).square()
    error = (squares.mean(0) - p.variance) / (squares.std(0) / math.sqrt(n))
    assert (error.abs() < 5).all()


@every
def test_entropy_is_minus_the_mean_log_probability(make: Make) -> None:
    p = make(torch.float64)
    if isinstance(p, LatentMixture):
        with pytest.raises(NotImplementedError):
            p.entropy()
        return
    n = 40_000
    surprise = -p.log_prob(p.sample((n,)))
    error = (surprise.mean(0) - p.entropy()) / (surprise.std(0) / math.sqrt(n)).clamp(min=1e-12)
    assert (error.abs() < 5).all()


@continuous
def test_draws_follow_the_density(make: Make) -> None:
    """The mean of f/p over draws of p is the integral of f: 1, for a narrow normal f inside."""
    p = make(torch.float64)
    if p.support is torch.distributions.constraints.unit_interval:
        x = torch.linspace(0, 1, 20_001, dtype=torch.float64)[:, None]
        assert_close(
            torch.trapezoid(p.log_prob(x.expand(-1, *p.batch_shape)).exp(), x, dim=0),
            torch.ones(p.batch_shape, dtype=torch.float64),
            atol=1e-4,
            rtol=0,
        )
        return
    f = DiagonalGaussian(p.mean, torch.log(0.3 * p.variance))
    z = p.sample((40_000,))
    ratio = (f.log_prob(z) - p.log_prob(z)).exp()
    error = (ratio.mean(0) - 1) / (ratio.std(0) / 200)
    assert (error.abs() < 5).all()


@every
def test_gradients_of_the_log_probability_are_finite(make: Make) -> None:
    """In the parameters that a decoder gives, in codes otherwise."""
    p = make(torch.float32)
    value = p.sample((3,))
    name = next((name for name in ("logits", "location") if name in vars(p)), None)
    leaf = (value if name is None else getattr(p, name)).detach().clone().requires_grad_(True)
    if name is None:
        value = leaf
    else:
        setattr(p, name, leaf)
    (gradient,) = torch.autograd.grad(p.log_prob(value).sum(), leaf)
    assert gradient.isfinite().all()
    assert gradient.abs().sum() > 0


# torch's Bernoulli, which BernoulliImages is, draws from torch's own generator.
@pytest.mark.parametrize("name", [name for name in MAKES if name != "BernoulliImages"])
def test_a_generator_is_all_the_randomness(name: str) -> None:
    p = MAKES[name](torch.float32)
    before = torch.get_rng_state()
    first, second = (p.sample((7,), torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), before)


ETAS = [-1e4, -200.0, -88.8, -40.0, -16.0, -1.0, -0.1, 0.0, 1e-3, 0.099, 0.5, 30.0, 90.0, 1e4]


def exact_mean(eta: float) -> float:
    """E[x] by quadrature in the log domain, in float64, on a grid that follows the density."""
    size = abs(eta)
    span = min(1.0, 60 / size) if size else 1.0
    x = torch.linspace(0, span, 200_001, dtype=torch.float64)
    weight = torch.exp(-size * x)
    near = float(torch.trapezoid(weight * x, x) / torch.trapezoid(weight, x))
    return near if eta < 0 else 1 - near


@pytest.mark.parametrize("eta", ETAS)
def test_every_method_of_the_continuous_bernoulli_is_corrected(eta: float) -> None:
    logits = torch.tensor(eta, requires_grad=True)
    p = ContinuousBernoulliImages(logits)
    mean = exact_mean(eta)
    assert float(p.mean.detach()) == pytest.approx(mean, abs=1e-5, rel=1e-4)
    draws = p.sample((20_000,))
    assert abs(float(draws.mean()) - mean) < 5 * float(draws.std()) / math.sqrt(20_000) + 1e-7
    u = torch.linspace(0.001, 0.999, 99)
    assert_close(p.cdf(p.icdf(u)).detach(), u, atol=2e-3, rtol=1e-3)
    for statistic in (p.mean, p.variance, p.entropy(), p.rsample(), p.log_prob(torch.tensor(0.3))):
        assert statistic.isfinite()
        (gradient,) = torch.autograd.grad(statistic, logits, retain_graph=True)
        assert gradient.isfinite()


def test_dark_pixels_are_drawn_dark() -> None:
    """torch's own draws average .063 for means of .025 and .005, and chapter 6 showed gray snow."""
    p = ContinuousBernoulliImages(torch.tensor([-40.0, -200.0]))
    means: Tensor = p.sample((100_000,)).mean(0)
    assert_close(means, torch.tensor([0.025, 0.005]), rtol=0.02, atol=0)
