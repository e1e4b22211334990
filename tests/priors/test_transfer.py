import pytest
import torch
from torch.testing import assert_close

from vae_course.priors import class_means, transfer


def test_class_means_are_the_means_of_the_classes() -> None:
    codes, labels = torch.randn(30, 4), torch.arange(30) % 3
    means = class_means(codes, labels, 3)
    assert_close(means, torch.stack([codes[labels == c].mean(0) for c in range(3)]))


def test_a_class_without_codes_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\[1, 0, 1\]"):
        class_means(torch.zeros(2, 4), torch.tensor([0, 2]), 3)
    with pytest.raises(ValueError, match="at least one"):
        class_means(torch.zeros(2, 4), torch.tensor([0, 1]), 1)


def test_transfer_moves_means_onto_means_keeps_offsets_and_can_be_undone() -> None:
    torch.manual_seed(0)
    means, codes = torch.randn(3, 4), torch.randn(6, 4)
    a, b = torch.tensor([0, 0, 1, 1, 2, 2]), torch.tensor([1, 2, 0, 2, 0, 2])
    assert_close(transfer(means[a], a, b, means), means[b])
    moved = transfer(codes, a, b, means)
    assert_close(moved - means[b], codes - means[a])
    assert_close(transfer(moved, b, a, means), codes)
    assert_close(moved[5], codes[5])
