import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from vae_course.discrete import (
    EMAState,
    code_counts,
    codebook_loss,
    commitment_loss,
    ema_update,
    perplexity,
    quantize,
)


@pytest.fixture
def codebook(generator: torch.Generator) -> torch.Tensor:
    return torch.randn(16, 4, generator=generator)


@pytest.fixture
def z_e(generator: torch.Generator) -> torch.Tensor:
    return torch.randn(3, 5, 7, 4, generator=generator)


def test_quantize_takes_the_nearest_code(z_e: torch.Tensor, codebook: torch.Tensor) -> None:
    result = quantize(z_e, codebook)
    distances = (z_e.unsqueeze(-2) - codebook).square().sum(-1)
    assert torch.equal(result.indices, distances.argmin(-1))
    assert torch.equal(result.entries, codebook[result.indices])
    assert torch.equal(result.straight_through, result.entries)
    again = quantize(result.entries, codebook)
    assert torch.equal(again.indices, result.indices)


@pytest.mark.parametrize("offset", [10.0, 1000.0])
def test_the_nearest_code_is_found_far_from_the_origin(
    offset: float, generator: torch.Generator
) -> None:
    codebook = offset + torch.randn(512, 64, generator=generator)
    z_e = offset + torch.randn(2000, 64, generator=generator)
    exact = torch.cdist(z_e.double(), codebook.double()).sort(-1)
    found = quantize(z_e, codebook).indices
    clear = exact.values[:, 1] - exact.values[:, 0] > 1e-5 * offset  # no tie in float32
    assert clear.float().mean() > 0.8
    assert torch.equal(found[clear], exact.indices[clear, 0])


def test_the_gradient_goes_straight_through_to_the_encoder_and_past_the_codebook(
    z_e: torch.Tensor, codebook: torch.Tensor
) -> None:
    z_e.requires_grad_()
    codebook.requires_grad_()
    weight = torch.randn_like(z_e)
    (weight * quantize(z_e, codebook).straight_through).sum().backward()
    assert torch.equal(z_e.grad, weight)
    assert codebook.grad is None


def test_each_loss_is_a_sum_an_image_and_moves_only_its_own_side(
    z_e: torch.Tensor, codebook: torch.Tensor
) -> None:
    z_e.requires_grad_()
    codebook.requires_grad_()
    entries = quantize(z_e, codebook).entries
    squared = (z_e - entries).square().sum((1, 2, 3)).detach()
    for loss, moved, still in (
        (codebook_loss(z_e, entries), codebook, z_e),
        (commitment_loss(z_e, entries), z_e, codebook),
    ):
        assert_close(loss.detach(), squared)
        gradient, none = torch.autograd.grad(
            loss.sum(), [moved, still], retain_graph=True, allow_unused=True
        )
        assert none is None
        assert gradient.abs().sum() > 0


def codebook_gradient(z_e: torch.Tensor, codebook: torch.Tensor) -> torch.Tensor:
    codebook = codebook.clone().requires_grad_()
    loss = codebook_loss(z_e, quantize(z_e, codebook).entries).mean()
    return torch.autograd.grad(loss, codebook)[0]


def test_the_codebook_gradient_does_not_scale_with_the_batch(
    z_e: torch.Tensor, codebook: torch.Tensor
) -> None:
    once = codebook_gradient(z_e, codebook)
    assert_close(codebook_gradient(z_e.repeat(6, 1, 1, 1), codebook), once)
    # By hand: 2 Σ (e − z_e) over the encodings of a code, over the number of images.
    indices = quantize(z_e, codebook).indices
    members = z_e[indices == indices[0, 0, 0]]
    code = indices[0, 0, 0]
    assert_close(once[code], 2 * (codebook[code] - members).sum(0) / len(z_e))


def test_under_autocast_the_nearest_code_is_still_the_nearest() -> None:
    """Distances that differ by less than bfloat16 can tell decide the choice."""
    codebook = 10 + 0.01 * torch.arange(200.0).unsqueeze(1)
    z_e = codebook[torch.arange(199, -1, -1)].unsqueeze(0)
    with torch.autocast("cpu", torch.bfloat16):
        indices = quantize(z_e, codebook).indices
    assert (indices[0] - torch.arange(199, -1, -1)).abs().max() <= 1


def test_encodings_of_another_width_are_refused(codebook: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="last dimension"):
        quantize(torch.zeros(2, 4, 7), codebook)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=60))
def test_perplexity_lies_between_one_and_the_codes_in_use(indices: list[int]) -> None:
    value = float(perplexity(torch.tensor(indices), 10))
    assert 1 - 1e-5 <= value <= len(set(indices)) + 1e-5


def test_codes_are_counted() -> None:
    counts = code_counts(torch.tensor([[0, 3], [3, 3]]), 5)
    assert counts.tolist() == [1, 0, 0, 3, 0]


def test_perplexity_extremes() -> None:
    assert float(perplexity(torch.full((3, 4), 7), 512)) == pytest.approx(1)
    assert float(perplexity(torch.arange(512).repeat(3), 512)) == pytest.approx(512, rel=1e-4)
    assert float(perplexity(torch.tensor([0, 0, 1, 1]), 100)) == pytest.approx(2)


def test_the_first_ema_step_puts_a_code_at_the_mean_of_its_encodings(
    z_e: torch.Tensor, codebook: torch.Tensor
) -> None:
    indices = quantize(z_e, codebook).indices
    after = ema_update(EMAState.start(codebook), z_e, indices, decay=0.99)
    for code in range(16):
        members = z_e[indices == code]
        expected = members.mean(0) if len(members) else codebook[code]
        assert_close(after.codebook[code], expected)
    assert after.codebook.norm(dim=1).max() <= z_e.norm(dim=-1).max() + 1e-5


def test_ema_of_a_steady_stream_is_the_mean_at_every_step(z_e: torch.Tensor) -> None:
    state = EMAState.start(torch.zeros(2, 4))
    indices = torch.zeros(3, 5, 7, dtype=torch.int64)
    for _ in range(5):
        state = ema_update(state, z_e, indices, decay=0.9)
        assert_close(state.codebook[0], z_e.mean((0, 1, 2)))


def test_ema_weighs_the_past_by_its_decay() -> None:
    state = EMAState.start(torch.zeros(1, 1))
    one = torch.zeros(1, 1, dtype=torch.int64)
    for value in (4.0, 10.0):
        state = ema_update(state, torch.full((1, 1, 1), value), one, decay=0.5)
    assert float(state.codebook) == pytest.approx((0.5 * 4 + 10) / 1.5)


def test_codes_nothing_chooses_stay_finite_and_where_they_were(codebook: torch.Tensor) -> None:
    state = EMAState.start(codebook)
    state = ema_update(state, torch.ones(1, 1, 4), torch.tensor([[3]]), decay=0.9)
    for _ in range(3000):
        state = ema_update(state, torch.zeros(1, 1, 4), torch.tensor([[0]]), decay=0.9)
    assert torch.isfinite(state.codebook).all()
    assert torch.equal(state.codebook[4:], codebook[4:])
    assert_close(state.codebook[3], torch.ones(4))


def test_ema_leaves_the_state_before_it_alone_and_refuses_a_decay_that_is_none(
    z_e: torch.Tensor, codebook: torch.Tensor
) -> None:
    state, indices = EMAState.start(codebook), quantize(z_e, codebook).indices
    ema_update(state, z_e, indices)
    assert torch.equal(state.counts, torch.zeros(16)) and torch.equal(state.codebook, codebook)
    with pytest.raises(ValueError, match=r"decay = 1.0"):
        ema_update(state, z_e, indices, decay=1.0)
