import zlib

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import kl_divergence
from torch.testing import assert_close

from vae_course.distributions import DiagonalGaussian
from vae_course.latent import (
    auroc,
    compressed_nats,
    coverage,
    precision_at_k,
    rank_among,
    symmetric_kl,
)


def test_rank_by_hand_with_ties_broken_evenly(generator: torch.Generator) -> None:
    draws = torch.tensor([[1.0], [2.0], [5.0]])
    for truth, rank in ((0.0, 0), (1.5, 1), (4.0, 2), (9.0, 3)):
        assert rank_among(draws, torch.tensor([truth])).item() == rank
    tied = torch.tensor([1.0, 2.0, 2.0, 5.0])[:, None].expand(4, 9000)
    ranks = rank_among(tied, torch.full((9000,), 2.0), generator)
    assert_close(ranks.bincount() / 9000, torch.tensor([0, 1, 1, 1]) / 3, atol=0.02, rtol=0)


@given(st.sampled_from([(19, 0.9), (199, 0.9), (9, 0.8), (39, 0.5)]), st.booleans())
def test_honest_draws_cover_as_often_as_they_say(case: tuple[int, float], discrete: bool) -> None:
    n, level = case
    generator = torch.Generator().manual_seed(n)
    scale = torch.rand(20_000, generator=generator) * 3
    draws = torch.randn(n + 1, 20_000, generator=generator) * scale
    draws = draws.round() if discrete else draws
    assert abs(coverage(draws[1:], draws[0], level, generator).float().mean() - level) < 0.01


def test_draws_too_narrow_wide_or_shifted_are_found_out(generator: torch.Generator) -> None:
    draws = torch.randn(199, 20_000, generator=generator)
    truth = torch.randn(20_000, generator=generator)
    share = {s: coverage(s * draws, truth).float().mean().item() for s in (0.5, 1.0, 2.0)}
    assert abs(share[0.5] - 0.589) < 0.02  # P(|N(0, 1)| < 1.645 / 2)
    assert abs(share[1.0] - 0.9) < 0.01
    assert abs(share[2.0] - 0.999) < 0.002
    assert coverage(draws + 1, truth).float().mean() < 0.8


@pytest.mark.parametrize(("n", "level"), [(18, 0.9), (5, 0.9), (100, 0.9)])
def test_a_level_that_ranks_cannot_give_is_refused(n: int, level: float) -> None:
    with pytest.raises(ValueError, match="not a whole number"):
        coverage(torch.zeros(n, 3), torch.zeros(3), level)


def test_auroc_counts_pairs() -> None:
    inside, outside = torch.tensor([3.0, 1.0, 2.0]), torch.tensor([2.0, 0.0])
    pairs = [1.0, 0.0, 0.5, 1.0, 1.0, 1.0]  # (3, 2), (1, 2), (2, 2), and all against 0
    assert_close(auroc(inside, outside), sum(pairs) / 6)
    assert_close(auroc(outside, inside), 1 - sum(pairs) / 6)
    assert auroc(inside, inside) == 0.5
    assert auroc(inside + 10, outside) == 1.0
    assert_close(auroc(inside.exp(), outside.exp()), sum(pairs) / 6)  # only order counts


def test_compressed_length_orders_images_by_their_complexity(generator: torch.Generator) -> None:
    flat = torch.full((2, 1, 28, 28), 90, dtype=torch.uint8)
    ramp = torch.arange(28, dtype=torch.uint8).mul(9).expand(2, 1, 28, 28)
    noise = torch.randint(0, 256, (2, 1, 28, 28), generator=generator, dtype=torch.uint8)
    lengths = [compressed_nats(images) for images in (flat, ramp, noise)]
    assert all(length.shape == (2,) and length.dtype == torch.float32 for length in lengths)
    assert lengths[0].max() < 150 and lengths[1].max() < 300
    assert_close(lengths[2] / (784 * torch.tensor(256.0).log()), torch.ones(2), atol=0.03, rtol=0)
    untouched = zlib.compress(bytes(784), 9)  # black: differences of black are black
    black = compressed_nats(torch.zeros(1, 1, 28, 28, dtype=torch.uint8))
    assert_close(black, torch.tensor([len(untouched)]) * 8 * torch.tensor(2.0).log())
    with pytest.raises(TypeError, match="uint8"):
        compressed_nats(flat.float())


def test_symmetric_kl_is_both_divergences_of_every_pair(generator: torch.Generator) -> None:
    def posteriors(n: int) -> DiagonalGaussian:
        mean, log_var = torch.randn(2, n, 4, generator=generator, dtype=torch.float64)
        return DiagonalGaussian(mean, log_var)

    q, r = posteriors(3), posteriors(5)
    got = symmetric_kl(q, r)
    assert got.shape == (3, 5)
    for i in range(3):
        for j in range(5):
            one = DiagonalGaussian(q.mean[i], q.log_var[i])
            two = DiagonalGaussian(r.mean[j], r.log_var[j])
            assert_close(got[i, j], kl_divergence(one, two) + kl_divergence(two, one))
    assert_close(symmetric_kl(q, q).diagonal(), torch.zeros(3).double())
    assert_close(got, symmetric_kl(r, q).T)


def test_precision_at_k_by_hand() -> None:
    neighbors = torch.tensor([[1, 1, 2, 0], [3, 3, 3, 3], [0, 1, 2, 3]])
    got = precision_at_k(neighbors, torch.tensor([1, 3, 4]))
    assert_close(got, torch.tensor([0.5, 1.0, 0.0]))
