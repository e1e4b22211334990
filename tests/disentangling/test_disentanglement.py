"""Disentanglement scores on codes whose score is known."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from vae_course.disentangling import (
    beta_vae_score,
    dci,
    factor_vae_score,
    information_by_chance,
    mutual_information_gap,
    normalized_information,
    sap,
)

SIZES = (2, 2, 2)
Codes = Callable[[Tensor], Tensor]


def perfect(factors: Tensor) -> Tensor:
    return 2.0 * factors - 1.0


def permuted(factors: Tensor) -> Tensor:
    """Other order, signs and scales: none of which a score may see."""
    return perfect(factors)[:, [2, 0, 1]] * torch.tensor([-3.0, 1.0, 0.5])


def rotated(factors: Tensor) -> Tensor:
    """The first two latents turned by 45 degrees: each now mixes two factors evenly."""
    z = perfect(factors)
    return torch.stack([z[:, 0] + z[:, 1], z[:, 0] - z[:, 1], z[:, 2]], -1) / math.sqrt(2)


def duplicated(factors: Tensor) -> Tensor:
    return perfect(factors).repeat(1, 2)


def noise(factors: Tensor) -> Tensor:
    return torch.randn(len(factors), 3, generator=torch.Generator().manual_seed(len(factors)))


def factors(n: int, seed: int, sizes: tuple[int, ...] = SIZES) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([torch.randint(k, (n,), generator=generator) for k in sizes], -1)


TRAIN, TEST = factors(2000, 0), factors(1000, 1)


@pytest.mark.parametrize(
    ("codes", "known"),
    # Turned by 45°: v_1 and v_2 are shared by two latents alike, so only v_3 has a gap.
    [(perfect, 1.0), (permuted, 1.0), (rotated, 1 / 3), (duplicated, 0.0), (noise, 0.0)],
)
def test_mig_on_known_codes(codes: Codes, known: float) -> None:
    assert mutual_information_gap(codes(TRAIN), TRAIN) == pytest.approx(known, abs=0.02)


def test_mig_divides_by_the_factors_entropy() -> None:
    many = factors(4000, 0, (2, 10))
    half = torch.stack([many[:, 0], many[:, 1] // 5], -1).float()  # one bit of log2(10)
    wanted = (1 + math.log(2) / math.log(10)) / 2
    assert mutual_information_gap(half, many) == pytest.approx(wanted, abs=0.02)


def test_information_is_a_share_of_each_factor() -> None:
    """Of a factor of ten values, one bit in a binary latent; nothing of an independent one."""
    many = factors(4000, 0, (2, 10))
    share = normalized_information(torch.stack([many[:, 1] // 5, many[:, 0]], -1).float(), many)
    wanted = torch.tensor([[0, 1], [math.log(2) / math.log(10), 0]])
    torch.testing.assert_close(share.float(), wanted, rtol=0, atol=0.01)


def test_noise_has_the_share_that_chance_gives_it() -> None:
    """Means over 100 latents of noise, of which one has a standard error below 2 %."""
    many = factors(4000, 0, (2, 10))
    latents = torch.rand(4000, 100, generator=torch.Generator().manual_seed(2))
    chance = information_by_chance(many, bins=20)
    assert chance.tolist() == pytest.approx(
        [19 / (8000 * math.log(2)), 19 * 9 / (8000 * math.log(10))], rel=0.01
    )
    found = normalized_information(latents, many).mean(1)
    torch.testing.assert_close(found.double(), chance, rtol=0.1, atol=0)


@pytest.mark.parametrize(
    ("codes", "known"),
    # Two values: the best latent classifies all images, the second best half of them.
    [(perfect, 0.5), (permuted, 0.5), (duplicated, 0.0), (noise, 0.0)],
)
def test_sap_on_known_codes(codes: Codes, known: float) -> None:
    assert sap(codes(TRAIN), TRAIN, codes(TEST), TEST) == pytest.approx(known, abs=0.05)


def test_sap_sees_a_rotation() -> None:
    assert sap(rotated(TRAIN), TRAIN, rotated(TEST), TEST) < 0.3


@pytest.mark.parametrize(
    ("codes", "disentanglement", "completeness", "informativeness"),
    [
        (perfect, 1.0, 1.0, 1.0),
        (permuted, 1.0, 1.0, 1.0),
        # Rows (½, ½, 0), (½, ½, 0), (0, 0, 1): each of the first two scores 1 − log 2 / log 3.
        (rotated, 1 - 2 / 3 * math.log(2) / math.log(3), None, 1.0),
        (duplicated, 1.0, None, 1.0),
        (noise, 0.0, 0.0, 0.5),
    ],
)
def test_dci_on_known_codes(
    codes: Codes,
    disentanglement: float,
    completeness: float | None,
    informativeness: float,
) -> None:
    found = dci(codes(TRAIN), TRAIN, codes(TEST), TEST, trees=20)
    assert found.disentanglement == pytest.approx(disentanglement, abs=0.1)
    assert found.informativeness == pytest.approx(informativeness, abs=0.05)
    if completeness is not None:
        assert found.completeness == pytest.approx(completeness, abs=0.1)


@pytest.mark.parametrize("score", [beta_vae_score, factor_vae_score])
@pytest.mark.parametrize(
    ("codes", "sizes", "low", "high"),
    [
        (perfect, SIZES, 0.99, 1.0),
        (permuted, SIZES, 0.99, 1.0),
        (duplicated, SIZES, 0.99, 1.0),
        (rotated, (2, 2, 1), 0.3, 0.7),  # which of v_1 and v_2 is held cannot be told
        (noise, SIZES, 0.2, 0.5),
        (perfect, (2, 1, 3), 0.99, 1.0),  # a factor that does not vary is never chosen
    ],
)
def test_scores_by_intervention(
    score: Callable[..., float], codes: Codes, sizes: tuple[int, ...], low: float, high: float
) -> None:
    generator = torch.Generator().manual_seed(0)
    found = score(codes, sizes, train=400, test=200, generator=generator)
    assert low <= found <= high


def test_factor_vae_score_leaves_dead_latents_out() -> None:
    generator = torch.Generator().manual_seed(0)

    def with_dead(values: Tensor) -> Tensor:
        return torch.cat([perfect(values), 0.001 * noise(values)], -1)

    assert factor_vae_score(with_dead, SIZES, train=400, test=200, generator=generator) > 0.99
    dead = factor_vae_score(
        lambda values: 0.001 * noise(values), SIZES, train=10, test=10, generator=generator
    )
    assert dead == 0


@pytest.mark.parametrize(("scale", "left_out"), [(0.06, False), (0.04, True)])
def test_factor_vae_score_leaves_out_by_standard_deviation(scale: float, left_out: bool) -> None:
    """As disentanglement_lib does: 0.05 is compared with the deviation, not with the variance."""
    generator = torch.Generator().manual_seed(0)
    found = factor_vae_score(
        lambda values: scale * perfect(values), SIZES, train=50, test=50, generator=generator
    )
    assert found == (0 if left_out else 1)


def test_scores_repeat_with_their_generator() -> None:
    scores = [
        factor_vae_score(
            noise, SIZES, train=50, test=50, generator=torch.Generator().manual_seed(3)
        )
        for _ in range(2)
    ]
    assert scores[0] == scores[1]


def test_what_does_not_fit_is_named() -> None:
    z = perfect(TRAIN)
    with pytest.raises(ValueError, match=r"codes \(1999, 3\) and factors \(2000, 3\)"):
        mutual_information_gap(z[1:], TRAIN)
    with pytest.raises(ValueError, match=r"factors \[1\] have one value only"):
        mutual_information_gap(z, TRAIN * torch.tensor([1, 0, 1]))
    with pytest.raises(ValueError, match="the codes have one"):
        mutual_information_gap(z[:, :1], TRAIN)
    with pytest.raises(ValueError, match="factor 1 has one value only"):
        information_by_chance(TRAIN * torch.tensor([1, 0, 1]))
    with pytest.raises(ValueError, match="the codes have one"):
        sap(z[:, :1], TRAIN, z[:, :1], TRAIN)
    with pytest.raises(ValueError, match="at least two of each"):
        dci(z, TRAIN[:, :1], z, TRAIN[:, :1])
    with pytest.raises(ValueError, match="at least two have to vary"):
        factor_vae_score(perfect, (3, 1), generator=torch.Generator())
