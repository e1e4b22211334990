"""Distributions of ours to their last digits, and what torch's own tests ask beside moments."""

import importlib
import math
import pkgutil
from collections.abc import Callable
from decimal import Decimal, localcontext

import pytest
import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal
from torch.testing import assert_close

import vae_course
from vae_course.distributions import (
    BernoulliImages,
    ContinuousBernoulliImages,
    DiagonalGaussian,
    DiscretizedLogistic,
    FullGaussian,
    StandardNormal,
)
from vae_course.distributions.sampling import Reparameterized
from vae_course.likelihoods import ImagesOf
from vae_course.priors import LatentMixture


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=seeded(seed))


def root(*batch: int) -> Tensor:
    return normal(3, *batch, 2, 2).tril(-1) + torch.eye(2).double()


def weights(*shape: int) -> Tensor:
    return normal(4, *shape).exp()


def check(p: type[Distribution]) -> Callable[..., Distribution]:
    """Make a `p` that validates its values."""
    return lambda *numbers: p(*numbers, validate_args=True)


EXAMPLES: dict[str, Distribution] = {
    "diagonal": check(DiagonalGaussian)(normal(1, 3, 2), normal(2, 3, 2)),
    "standard": StandardNormal((3, 2), dtype=torch.float64),
    "full": check(FullGaussian)(normal(1, 3, 2), root(3)),
    "mixture of diagonal": check(LatentMixture)(
        weights(4), DiagonalGaussian(normal(1, 4, 2), normal(2, 4, 2))
    ),
    "mixture of full": check(LatentMixture)(weights(4), FullGaussian(normal(1, 4, 2), root(4))),
    "mixtures": check(LatentMixture)(
        weights(3, 4), DiagonalGaussian(normal(1, 3, 4, 2), normal(2, 3, 4, 2))
    ),
    "mixtures of torch's": check(LatentMixture)(
        weights(3, 4), MultivariateNormal(normal(1, 3, 4, 2), scale_tril=root(3, 4))
    ),
    "Bernoulli": BernoulliImages(logits=normal(1, 3, 2), validate_args=True),
    "continuous Bernoulli": check(ContinuousBernoulliImages)(20 * normal(1, 3, 2)),
    "images": ImagesOf(Normal(normal(1, 3, 1, 2, 2), normal(2, 3, 1, 2, 2).exp())),
    "discretized logistic": check(DiscretizedLogistic)(normal(1, 3, 2), normal(2, 2) - 2),
}
every = pytest.mark.parametrize("p", EXAMPLES.values(), ids=EXAMPLES.keys())
MIXTURES = [p for p in EXAMPLES.values() if isinstance(p, LatentMixture)]


def test_every_distribution_of_the_package_has_an_example() -> None:
    for module in pkgutil.walk_packages(vae_course.__path__, "vae_course."):
        importlib.import_module(module.name)
    found, new = set(), {Distribution}
    while new:
        new = {kind for parent in new for kind in parent.__subclasses__()} - found
        found |= new
    ours = {kind for kind in found if kind.__module__.startswith("vae_course.")}
    assert ours == {type(p) for p in EXAMPLES.values()} | {Reparameterized}


@every
def test_parameters_meet_their_constraints_and_its_name_is_in_its_repr(p: Distribution) -> None:
    for name, constraint in p.arg_constraints.items():
        if name in vars(p):
            assert constraint.check(getattr(p, name)).all(), name
    assert repr(p).startswith(type(p).__name__)


@every
def test_a_subclass_expands_to_itself_and_expands_with_what_it_has(p: Distribution) -> None:
    kind = type("Sub", (type(p),), {})
    child = p.expand(p.batch_shape)
    child.__class__ = kind
    wide = child.expand((5, *p.batch_shape))
    assert type(wide) is kind
    assert wide._validate_args == p._validate_args
    for statistic in ("mean", "variance", "stddev"):
        assert_close(getattr(wide, statistic)[4], getattr(p, statistic))
    for name, value in vars(p).items():
        if isinstance(value, Tensor) and value.dim():  # log_var too, which no statistic reads
            assert_close(vars(wide)[name].broadcast_to(5, *value.shape)[4], value)
    if not isinstance(p, LatentMixture):
        assert_close(wide.entropy()[4], p.entropy())


@every
def test_independent_sums_what_is_one_event_now(p: Distribution) -> None:
    if not p.batch_shape:
        p = p.expand((3,))
    whole, value = Independent(p, 1), p.sample((4,))
    assert_close(whole.log_prob(value), p.log_prob(value).sum(-1))
    assert whole.sample((2,)).shape == (2, *p.batch_shape, *p.event_shape)


@every
def test_values_that_it_does_not_give_are_refused_where_it_validates(p: Distribution) -> None:
    nan = torch.full_like(p.sample(), math.nan)
    pixels = p.event_shape == ()
    if isinstance(p, StandardNormal):  # Never validates: its parameters cannot be wrong.
        assert p.log_prob(nan).isnan().all()
        return
    for value in (nan, *((nan.nan_to_num(-0.5), nan.nan_to_num(1.5)) if pixels else ())):
        with pytest.raises(ValueError, match="support"):
            p.log_prob(value)


CODES = [name for name, p in EXAMPLES.items() if p.event_shape]


@pytest.mark.parametrize("name", CODES)
def test_codes_of_another_size_are_refused_though_they_would_broadcast(name: str) -> None:
    for value in (torch.zeros(3, 1).double(), torch.zeros(3, 4).double(), torch.tensor(0.0)):
        with pytest.raises(ValueError, match=r"(codes|images) have shape .* over (2 l|im)"):
            EXAMPLES[name].log_prob(value)


@pytest.mark.parametrize("p", [EXAMPLES["diagonal"], EXAMPLES["full"], EXAMPLES["standard"]])
def test_detached_it_is_the_same_and_no_gradient_reaches_it(
    p: DiagonalGaussian | FullGaussian,
) -> None:
    mean = p.mean.clone().requires_grad_()
    spread = p.scale_tril if isinstance(p, FullGaussian) else p.log_var
    live = (FullGaussian if isinstance(p, FullGaussian) else DiagonalGaussian)(mean, spread)
    z = p.sample((4,))
    assert live.log_prob(z).requires_grad
    assert not live.detach().log_prob(z).requires_grad
    assert torch.equal(live.detach().log_prob(z), live.log_prob(z))


@pytest.mark.parametrize("p", MIXTURES)
def test_a_batch_of_mixtures_draws_each_from_its_own(p: LatentMixture) -> None:
    wide = p if p.batch_shape else p.expand((3,))
    z = wide.sample((100, 300), seeded()).flatten(0, 1)
    error = (wide.variance / len(z)).sqrt()
    assert ((z.mean(0) - wide.mean).abs() < 5 * error).all()
    if not p.batch_shape:
        assert_close(wide.log_prob(z[:, :1].expand(-1, 3, -1))[:, 2], p.log_prob(z[:, 0]))


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan])
def test_a_mixture_refuses_a_weight_that_is_none(bad: float) -> None:
    with pytest.raises(ValueError, match="every component needs a positive one"):
        LatentMixture(
            torch.tensor([1.0, bad]), DiagonalGaussian(torch.zeros(2, 1), torch.ones(2, 1))
        )


def test_a_discretized_logistic_is_what_its_256_masses_make_it() -> None:
    p = EXAMPLES["discretized logistic"]
    levels = p.enumerate_support()
    assert levels.shape == (256, 3, 2)
    assert p.enumerate_support(expand=False).shape == (256, 1, 1)
    assert p.support.check(levels).all()
    mass = p.log_prob(levels).exp()
    assert_close(mass.sum(0), torch.ones(3, 2).double())
    assert_close(p.cdf(levels), mass.cumsum(0))
    assert_close(p.cdf(levels.float().double()), mass.cumsum(0))
    assert_close(p.cdf(levels + 0.5 / 255)[:-1], mass.cumsum(0)[:-1])
    assert_close(
        p.cdf(torch.tensor([-0.1, 1.1]).double()), torch.tensor([0.0, 1.0]).double().expand(3, 2)
    )
    assert_close(p.variance, (mass * levels**2).sum(0) - (mass * levels).sum(0) ** 2)


def exact(eta: float) -> dict[str, float]:
    """Mean, variance, entropy and log-normalizer in sixty digits, from their definitions.

    A(η) = log ∫ e^{ηx} dx = log((e^η − 1) / η); mean A', variance A'', entropy A − η A'.
    """
    with localcontext(prec=60):
        e, one = Decimal(eta), Decimal(1)
        if not e:
            return {"mean": 0.5, "variance": 1 / 12, "entropy": 0.0, "log_normalizer": 0.0}
        log_normalizer = ((e.exp() - one) / e).ln()
        mean = one / (one - (-e).exp()) - one / e
        variance = one / e**2 - one / (e.exp() + (-e).exp() - 2)
        return {
            "mean": float(mean),
            "variance": float(variance),
            "entropy": float(log_normalizer - e * mean),
            "log_normalizer": float(log_normalizer),
        }


SIZES = [1e-6, 1e-3, 0.0099, 0.0101, 0.0999, 0.1001, 0.4999, 0.5001]  # Where a series ends.
SIZES += [1.0, 5.0, 17.0, 40.0, 79.0, 81.0, 89.0, 200.0, 1e3, 1e4]
ETAS = [0.0, *SIZES, *(-size for size in SIZES)]
precise = pytest.mark.parametrize(
    ("dtype", "digits"), [(torch.float64, 1e-9), (torch.float32, 1e-5)], ids=["double", "single"]
)


@precise
@pytest.mark.parametrize("eta", ETAS)
def test_the_continuous_bernoulli_has_its_moments_to_the_last_digits(
    eta: float, dtype: torch.dtype, digits: float
) -> None:
    logits = torch.tensor(eta, dtype=dtype)
    p = ContinuousBernoulliImages(logits)
    wanted = exact(float(logits))
    # Where the series ends the forms are differences of 1/η and 1/η²: digits of those are lost.
    assert float(p.mean) == pytest.approx(wanted["mean"], rel=digits)
    assert float(p.variance) == pytest.approx(wanted["variance"], rel=3 * digits)
    assert float(p.stddev) == pytest.approx(math.sqrt(wanted["variance"]), rel=3 * digits)
    assert float(p.entropy()) == pytest.approx(wanted["entropy"], rel=digits, abs=0.1 * digits)
    for x in (0.0, 0.25, 1.0):
        log_prob = float(p.log_prob(torch.tensor(x, dtype=dtype)))
        rounding = 0.1 * digits * max(1, abs(eta))  # of η x
        assert log_prob == pytest.approx(float(logits) * x - wanted["log_normalizer"], abs=rounding)


@precise
@pytest.mark.parametrize("eta", ETAS)
def test_the_continuous_bernoullis_cdf_is_its_integral_and_icdf_its_inverse(
    eta: float, dtype: torch.dtype, digits: float
) -> None:
    logits = torch.tensor(eta, dtype=dtype)
    p = ContinuousBernoulliImages(logits)
    width = min(1.0, 30 / abs(eta)) if eta else 1.0  # where nearly all of the mass is
    x = torch.linspace(0, width, 11, dtype=dtype)
    x = 1 - x if eta > 0 else x
    with localcontext(prec=60):
        e = Decimal(float(logits))
        wanted = [
            float(((e * Decimal(v)).exp() - 1) / (e.exp() - 1)) if e else v for v in x.tolist()
        ]
    # Near 1, x itself has only so many digits: e^{ηx} knows η of them fewer.
    loss = 3 * torch.finfo(dtype).eps * abs(eta) if eta > 0 else 0
    assert_close(p.cdf(x).tolist(), wanted, rtol=digits + loss, atol=1e-30)
    u = torch.tensor([0.0, 1e-6, 0.1, 0.5, 0.9, 1.0], dtype=dtype)
    roundtrip = p.icdf(u)
    assert ((roundtrip >= 0) & (roundtrip <= 1)).all()
    assert float(roundtrip[0]) == 0 and float(roundtrip[-1]) == 1
    assert_close(p.cdf(roundtrip), u, rtol=10 * digits, atol=digits + loss)


@pytest.mark.parametrize("eta", ETAS)
def test_the_continuous_bernoullis_gradients_are_those_of_the_closed_forms(eta: float) -> None:
    logits = torch.tensor(eta, requires_grad=True)
    p, wanted = ContinuousBernoulliImages(logits), exact(float(torch.tensor(eta)))

    def slope(value: Tensor) -> float:
        (gradient,) = torch.autograd.grad(value, logits)
        return float(gradient)

    # dA'/dη = A'', d(A − ηA')/dη = −η A'', d log p/dη = x − A'; where a form is a difference of
    # 1/η's, its derivative is one of 1/η²'s.
    assert slope(p.mean) == pytest.approx(wanted["variance"], rel=1e-3)
    assert slope(p.entropy()) == pytest.approx(-eta * wanted["variance"], rel=1e-3, abs=1e-4)
    x = torch.tensor(0.25)
    assert slope(p.log_prob(x)) == pytest.approx(0.25 - wanted["mean"], rel=1e-4, abs=1e-5)
    assert math.isfinite(slope(p.variance)) and math.isfinite(slope(p.cdf(x)))
    for end in (0.0, 1.0):  # Both ends stay where they are.
        assert slope(p.icdf(torch.tensor(end))) == pytest.approx(0, abs=1e-6)
    # ∂F(x)/∂η + p(x) ∂x/∂η = 0 along x = F⁻¹(u).
    u = torch.tensor([0.1, 0.5, 0.9])
    moved = torch.stack([torch.autograd.grad(p.icdf(v), logits)[0] for v in u])
    at = p.icdf(u).detach()
    pushed = torch.stack([torch.autograd.grad(p.cdf(v), logits)[0] for v in at])
    density = p.log_prob(at).exp().detach()
    assert_close(-moved * density, pushed, rtol=1e-2, atol=1e-4)


@pytest.mark.parametrize("eta", [-200.0, -40.0, 3.0, 60.0])
def test_the_mean_of_reparameterized_gradients_is_the_gradient_of_the_mean(eta: float) -> None:
    logits = torch.full((100_000,), eta, dtype=torch.float64, requires_grad=True)
    draws = ContinuousBernoulliImages(logits).rsample(generator=seeded())
    (gradient,) = torch.autograd.grad(draws.sum(), logits)
    error = gradient.std() / math.sqrt(len(gradient))
    assert abs(float(gradient.mean()) - exact(eta)["variance"]) < 5 * float(error)


@pytest.mark.parametrize("eta", [-200.0, -40.0, -0.05, 3.0, 60.0])
def test_draws_follow_the_distribution_function(eta: float) -> None:
    p = ContinuousBernoulliImages(torch.tensor(eta))
    n = 50_000
    at = p.cdf(p.sample((n,), seeded()).sort().values).double()
    steps = torch.arange(n + 1).double() / n
    distance = torch.maximum(at - steps[:-1], steps[1:] - at).max()  # Kolmogorov and Smirnov
    assert float(distance) < 2.2 / math.sqrt(n)  # one time in 16,000


def test_a_torch_divergence_that_clamps_is_not_inherited() -> None:
    """torch's KL of two continuous Bernoullis clamps λ; a subclass would have got it silently."""
    p = ContinuousBernoulliImages(torch.tensor([-40.0]))
    assert not isinstance(p, torch.distributions.ContinuousBernoulli)
    with pytest.raises(NotImplementedError):
        torch.distributions.kl_divergence(p, p)
