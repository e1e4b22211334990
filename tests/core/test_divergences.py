"""KL in closed form: by torch's dispatch, against torch's own and samples, or refused by name."""

import importlib
import re
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.distributions import Distribution, MultivariateNormal, kl_divergence
from torch.testing import assert_close

from vae_course.distributions import DiagonalGaussian, FullGaussian, StandardNormal, kl
from vae_course.distributions.divergences import full_gaussian_kl, gaussian_kl
from vae_course.priors import LatentMixture

LATENT = 3


def draw(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def diagonal(seed: int, *batch: int) -> DiagonalGaussian:
    return DiagonalGaussian(draw(seed, *batch, LATENT), 0.5 * draw(seed + 1, *batch, LATENT))


def root(seed: int, *batch: int) -> Tensor:
    return draw(seed, *batch, LATENT, LATENT).tril(-1) + 0.7 * torch.eye(LATENT).double()


def full(seed: int, *batch: int) -> FullGaussian:
    return FullGaussian(draw(seed, *batch, LATENT), root(seed + 1, *batch))


def by_torch(seed: int, *batch: int) -> MultivariateNormal:
    return MultivariateNormal(draw(seed, *batch, LATENT), scale_tril=root(seed + 1, *batch))


def standard(seed: int, *batch: int) -> StandardNormal:
    return StandardNormal((*batch, LATENT), dtype=torch.float64)


KINDS = [diagonal, standard, full, by_torch]


def as_torchs(p: Distribution) -> MultivariateNormal:
    if isinstance(p, MultivariateNormal):
        return MultivariateNormal(p.mean, p.covariance_matrix)
    return MultivariateNormal(p.mean, torch.diag_embed(p.variance))


@pytest.mark.parametrize("batches", [((5,), (5,)), ((5,), ()), ((), (5,)), ((2, 1), (4,))])
@pytest.mark.parametrize("p_kind", KINDS)
@pytest.mark.parametrize("q_kind", KINDS)
def test_every_pair_of_gaussians_has_the_divergence_of_their_covariances(
    q_kind: Callable[..., Distribution],
    p_kind: Callable[..., Distribution],
    batches: tuple[tuple[int, ...], tuple[int, ...]],
) -> None:
    q, p = q_kind(1, *batches[0]), p_kind(7, *batches[1])
    wanted = kl_divergence(as_torchs(q), as_torchs(p))
    assert kl(q, p).shape == torch.broadcast_shapes(q.batch_shape, p.batch_shape)
    assert_close(kl(q, p), wanted.expand(kl(q, p).shape))
    assert torch.equal(kl(q, p), kl_divergence(q, p))
    assert_close(kl(q, q), torch.zeros(q.batch_shape).double(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("p_kind", KINDS)
@pytest.mark.parametrize("q_kind", [diagonal, full])
def test_the_divergence_is_the_mean_of_the_log_ratio(
    q_kind: Callable[..., Distribution], p_kind: Callable[..., Distribution]
) -> None:
    q, p = q_kind(1, 4), p_kind(7)
    z = q.rsample((50_000,), torch.Generator().manual_seed(0))
    ratio = q.log_prob(z) - p.log_prob(z)
    error = ratio.std(0) / len(z) ** 0.5
    assert ((ratio.mean(0) - kl(q, p)).abs() < 5 * error).all()


def test_to_the_standard_normal_it_is_the_formula_to_the_bit_in_value_and_gradient() -> None:
    numbers = [draw(1, 64, 16).float(), 3 * draw(2, 64, 16).float()]
    results = []
    for divergence in (
        lambda mean, log_var: gaussian_kl(mean, log_var).sum(-1),
        lambda mean, log_var: kl(DiagonalGaussian(mean, log_var), StandardNormal(16)),
        lambda mean, log_var: kl(
            DiagonalGaussian(mean, log_var), DiagonalGaussian(torch.zeros(16), torch.zeros(16))
        ),
    ):
        inputs = [number.clone().requires_grad_() for number in numbers]
        value = divergence(*inputs)
        results.append([value, *torch.autograd.grad(value.sum(), inputs)])
    for other in results[1:]:
        assert all(map(torch.equal, results[0], other))
    q = full(3, 64)
    assert torch.equal(kl(q, standard(0)), full_gaussian_kl(q.mean, q.scale_tril))


@pytest.mark.parametrize("components", [diagonal(1, 2), by_torch(1, 2)])
@pytest.mark.parametrize("q_kind", KINDS)
def test_a_mixture_is_refused_by_name_and_the_way_out_is_there(
    q_kind: Callable[..., Distribution], components: DiagonalGaussian | MultivariateNormal
) -> None:
    mixture = LatentMixture(torch.ones(2).double(), components)
    for q, p in ((q_kind(1), mixture), (mixture, q_kind(1)), (mixture, mixture)):
        names = rf"KL\({type(q).__name__} ‖ {type(p).__name__}\) has no closed form: .* samples"
        with pytest.raises(TypeError, match=names) as caught:
            kl(q, p)
        (room, name) = re.findall(r"(vae_course\.\w+)\.(\w+)", str(caught.value))[0]
        assert hasattr(importlib.import_module(room), name)


@pytest.mark.parametrize("p_kind", KINDS)
@pytest.mark.parametrize("q_kind", KINDS)
def test_events_of_other_sizes_are_refused_even_where_they_broadcast(
    q_kind: Callable[..., Distribution], p_kind: Callable[..., Distribution]
) -> None:
    def narrowed(kind: Callable[..., Distribution]) -> Distribution:
        if kind is diagonal:
            return DiagonalGaussian(draw(1, 1), draw(2, 1))
        if kind is standard:
            return StandardNormal(1, dtype=torch.float64)
        return (FullGaussian if kind is full else MultivariateNormal)(
            draw(1, 1), scale_tril=torch.ones(1, 1).double()
        )

    for q, p in ((q_kind(1), narrowed(p_kind)), (narrowed(q_kind), p_kind(1))):
        with pytest.raises(ValueError, match=r"event shapes|compares distributions"):
            kl(q, p)


def test_a_standard_normal_expands_to_itself_and_keeps_its_dtype() -> None:
    p = StandardNormal(LATENT, dtype=torch.float64)
    wide = p.expand((5, 2))
    assert isinstance(wide, StandardNormal)
    assert (wide.batch_shape, wide.event_shape) == (torch.Size([5, 2]), torch.Size([LATENT]))
    assert wide.sample().dtype == torch.float64
    same = DiagonalGaussian(torch.zeros(LATENT).double(), torch.zeros(LATENT).double())
    z = draw(1, 6, LATENT)
    assert torch.equal(p.log_prob(z), same.log_prob(z))
    one, two = (d.sample((4,), torch.Generator().manual_seed(1)) for d in (p, same))
    assert torch.equal(one, two)
