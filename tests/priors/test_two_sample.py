"""Two-sample tests: closed forms, their null, and their power."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from vae_course.priors import classifier_two_sample_test, median_distance, mmd, mmd_test, rbf_kernel


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def mmd_of_gaussians(shift: float, variance: float, dim: int, s: float) -> float:
    """MMD² of N(0, I), N(shift, variance · I): E k = (s²/(s²+v))^{d/2} exp(−‖Δ‖²/2(s²+v))."""

    def mean_kernel(delta: float, v: float) -> torch.Tensor:
        total = torch.tensor(s**2 + v)
        return (s**2 / total) ** (dim / 2) * torch.exp(-dim * delta**2 / (2 * total))

    same = mean_kernel(0, 2.0) + mean_kernel(0, 2 * variance)
    return float(same - 2 * mean_kernel(shift, 1 + variance))


@pytest.mark.parametrize(("shift", "variance"), [(0.0, 1.0), (0.7, 1.0), (0.0, 3.0), (0.4, 0.5)])
def test_mmd_has_the_closed_forms_mean(shift: float, variance: float) -> None:
    generator, values = seeded(0), []
    for _ in range(300):
        a = torch.randn(30, 2, generator=generator)
        b = shift + variance**0.5 * torch.randn(40, 2, generator=generator)
        values.append(mmd(a, b, 1.3))
    found = torch.tensor(values)
    error = found.std() / len(found) ** 0.5
    assert abs(found.mean() - mmd_of_gaussians(shift, variance, 2, 1.3)) < 4 * error


def test_mmd_is_the_double_sum_without_the_diagonal() -> None:
    a, b = torch.randn(5, 2, generator=seeded(1)), torch.randn(4, 2, generator=seeded(2))
    k_aa, k_bb, k_ab = (rbf_kernel(u, v, 0.8) for u, v in ((a, a), (b, b), (a, b)))
    aa = sum(float(k_aa[i, j]) for i in range(5) for j in range(5) if i != j) / 20
    bb = sum(float(k_bb[i, j]) for i in range(4) for j in range(4) if i != j) / 12
    assert mmd(a, b, 0.8) == pytest.approx(aa + bb - 2 * float(k_ab.mean()), abs=1e-5)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.3, 3.0))
def test_mmd_is_symmetric_and_blind_to_order_and_to_a_common_shift(seed: int, s: float) -> None:
    a, b = torch.randn(2, 9, 3, generator=seeded(seed))
    found = mmd(a, b, s)
    assert mmd(b, a, s) == pytest.approx(found, abs=1e-6)
    assert mmd(a.flip(0), b, s) == pytest.approx(found, abs=1e-6)
    assert mmd(a + 1.5, b + 1.5, s) == pytest.approx(found, abs=1e-4)


def test_mmd_is_calibrated_under_the_null_and_finds_a_difference() -> None:
    generator, p_values = seeded(3), []
    for _ in range(100):
        a, b = torch.randn(2, 40, 2, generator=generator)
        p_values.append(mmd_test(a, b, 1.5, permutations=99, generator=generator).p_value)
    rejected = torch.tensor(p_values) <= 0.1
    assert 0.02 < rejected.float().mean() < 0.2
    assert min(p_values) >= 0.01  # 1 / (1 + permutations)
    a, b = torch.randn(2, 300, 2, generator=generator)
    found = mmd_test(a, 1.6 * b, 1.5, permutations=99, generator=generator)
    assert found.p_value == 0.01
    assert found.null[0] < 0 < found.null[1] < found.statistic


def test_the_permutation_null_is_centered_at_zero() -> None:
    a, b = torch.randn(2, 200, 2, generator=seeded(4))
    low, high = mmd_test(a, b + 1, 1.5, permutations=400, generator=seeded(5)).null
    assert abs(low + high) < 0.5 * (high - low)


def test_the_classifier_is_at_chance_under_the_null() -> None:
    accuracies, p_values = [], []
    for seed in range(30):
        a, b = torch.randn(2, 200, 2, generator=seeded(seed))
        result = classifier_two_sample_test(a, b, seed=seed)
        accuracies.append(result.statistic)
        p_values.append(result.p_value)
    found = torch.tensor(accuracies)
    assert abs(found.mean() - 0.5) < 4 * 0.5 / 200**0.5 / 30**0.5
    assert_close(found.std(), torch.tensor(0.5 / 200**0.5), rtol=0.5, atol=0)
    assert sum(p < 0.1 for p in p_values) <= 8


def test_the_classifier_sees_what_means_and_variances_do_not_show() -> None:
    generator = seeded(6)
    a = torch.randn(1000, 2, generator=generator)
    signs = torch.randint(0, 2, (1000, 2), generator=generator) * 2 - 1
    b = 0.97 * signs + (1 - 0.97**2) ** 0.5 * torch.randn(1000, 2, generator=generator)
    result = classifier_two_sample_test(a, b)
    assert result.statistic > 0.65 and result.p_value < 1e-6
    assert result.null == pytest.approx((0.5 - 0.98 / 1000**0.5, 0.5 + 0.98 / 1000**0.5))


def test_sets_of_different_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(8, 2\) and \(9, 2\)"):
        classifier_two_sample_test(torch.zeros(8, 2), torch.zeros(9, 2))


def test_the_median_distance_leaves_out_a_points_distance_to_itself() -> None:
    assert median_distance(torch.tensor([[0.0], [1.0]]), torch.tensor([[3.0]])) == 2.0
