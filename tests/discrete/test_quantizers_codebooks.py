"""Quantizers as modules: what they return, how they learn, and that no code is lost."""

import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from vae_course.discrete import (
    QUANTIZERS,
    EMACodebook,
    FiniteScalar,
    GradientCodebook,
    GumbelCodebook,
    Quantizer,
    kmeans_codebook,
    perplexity,
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def z_e() -> torch.Tensor:
    return torch.randn(6, 3, 3, 4, generator=seeded())


def made(name: str) -> Quantizer:
    torch.manual_seed(0)
    if name == "finite-scalar":
        return QUANTIZERS[name](levels=[5, 4, 3, 2])
    return QUANTIZERS[name](codebook_size=8, dim=4)


@pytest.mark.parametrize("name", QUANTIZERS)
def test_every_quantizer_keeps_the_contract(name: str, z_e: torch.Tensor) -> None:
    quantizer = made(name).eval()
    z_e.requires_grad_()
    found = quantizer(z_e)
    assert found.z_q.shape == z_e.shape
    assert found.indices.shape == (6, 3, 3)
    assert found.indices.dtype == torch.int64
    assert found.indices.min() >= 0 and found.indices.max() < quantizer.codebook_size
    assert found.loss.shape == (6,)
    assert_close(quantizer.lookup(found.indices), found.z_q)


@pytest.mark.parametrize("name", QUANTIZERS)
def test_the_loss_is_per_image_and_independent_of_the_batch(name: str, z_e: torch.Tensor) -> None:
    quantizer = made(name).eval()
    once = quantizer(z_e).loss
    twice = quantizer(torch.cat([z_e, z_e])).loss
    assert_close(twice, torch.cat([once, once]))
    half = quantizer(z_e[:, :1]).loss + quantizer(z_e[:, 1:]).loss
    assert_close(half, once)


@pytest.mark.parametrize("name", ["gradient", "ema", "finite-scalar"])
def test_gradients_reach_the_encoder(name: str, z_e: torch.Tensor) -> None:
    z_e.requires_grad_()
    weight = torch.randn(z_e.shape, generator=seeded(1))
    (gradient,) = torch.autograd.grad((weight * made(name)(z_e).z_q).sum(), z_e)
    if name == "finite-scalar":
        assert torch.all((gradient * weight) >= 0) and gradient.any()
    else:
        assert_close(gradient, weight)


def test_commitment_is_on_the_encoders_term(z_e: torch.Tensor) -> None:
    z_e.requires_grad_()
    gentle, firm = GradientCodebook(8, 4, 0.25), GradientCodebook(8, 4, 1.0)
    firm.start(gentle.codebook.detach())
    grads = [torch.autograd.grad(q(z_e).loss.sum(), [z_e, q.codebook]) for q in (gentle, firm)]
    assert_close(grads[1][0], 4 * grads[0][0])
    assert_close(grads[1][1], grads[0][1])


def test_ema_moves_in_training_only_and_does_not_inflate(z_e: torch.Tensor) -> None:
    quantizer = EMACodebook(8, 4)
    quantizer.start(z_e.reshape(-1, 4)[:8])
    before = quantizer.codebook.clone()
    quantizer.eval()(z_e)
    assert torch.equal(quantizer.codebook, before)
    quantizer.train()(z_e)
    assert not torch.equal(quantizer.codebook, before)
    assert quantizer.codebook.norm(dim=-1).max() <= z_e.norm(dim=-1).max() + 1e-5


def test_dead_codes_restart_on_encodings_and_live_ones_stay(z_e: torch.Tensor) -> None:
    far = torch.full((8, 4), 1e3)
    far[0] = 0.0
    quiet, restarting = EMACodebook(8, 4), EMACodebook(8, 4, restart_below=0.5)
    for quantizer in (quiet, restarting):
        quantizer.start(far)
        quantizer.train()
        for step in range(3):
            quantizer(z_e, seeded(step))
    assert torch.all(quiet.codebook[1:] == 1e3)
    assert len(quiet.eval()(z_e).indices.unique()) == 1
    assert restarting.codebook.norm(dim=-1).max() <= z_e.norm(dim=-1).max() + 1e-5
    assert len(restarting.eval()(z_e).indices.unique()) == 8
    assert torch.isfinite(restarting.codebook).all()


def test_live_codes_are_not_restarted(z_e: torch.Tensor) -> None:
    start = kmeans_codebook(z_e, 8)
    plain, guarded = EMACodebook(8, 4), EMACodebook(8, 4, restart_below=0.01)
    for quantizer in (plain, guarded):
        quantizer.start(start)
        quantizer.train()
        for step in range(5):
            quantizer(z_e, seeded(step))
    assert_close(guarded.codebook, plain.codebook)


def test_kmeans_starts_in_the_clusters() -> None:
    centers = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    points = centers.repeat_interleave(20, 0) + 0.1 * torch.randn(60, 2, generator=seeded())
    found = kmeans_codebook(points.view(6, 10, 2), 3)
    nearest = torch.cdist(centers, found).min(1).values
    assert nearest.max() < 0.1
    with pytest.raises(ValueError, match="60 encodings cannot start 61 codes"):
        kmeans_codebook(points, 61)


@pytest.mark.parametrize("levels", [[2], [3], [8, 5, 5, 5], [4, 4, 7]])
def test_finite_scalars_reach_every_code_and_no_other(levels: list[int]) -> None:
    quantizer = FiniteScalar(levels)
    z = 1.5 * torch.randn(200_000, 1, len(levels), generator=seeded())
    found = quantizer(z)
    assert quantizer.codebook_size == math.prod(levels)
    assert torch.equal(found.indices.unique(), torch.arange(quantizer.codebook_size))
    grid = quantizer.lookup(torch.arange(quantizer.codebook_size))
    assert len(grid.unique(dim=0)) == quantizer.codebook_size
    assert grid.abs().max() <= 1
    for axis, level in enumerate(levels):
        steps = grid[:, axis].unique().diff()
        assert_close(steps, torch.full((level - 1,), 1 / (level // 2)))


@pytest.mark.parametrize("level", [999, 1000, 1001, 1002, 4000, 4001])
def test_many_levels_are_not_overshot(level: int) -> None:
    found = FiniteScalar([level])(torch.tensor([[[-50.0]], [[50.0]]]))
    assert found.indices.flatten().tolist() == [0, level - 1]


def test_finite_scalars_keep_zero_and_refuse_one_level() -> None:
    assert torch.equal(FiniteScalar([5, 4])(torch.zeros(1, 1, 2)).z_q, torch.zeros(1, 1, 2))
    with pytest.raises(ValueError, match="at least two"):
        FiniteScalar([5, 1])


def test_the_relaxed_choice_is_charged_its_distance_from_uniform(z_e: torch.Tensor) -> None:
    quantizer = GumbelCodebook(8, 4)
    with torch.no_grad():
        quantizer.to_logits.weight.zero_()
        quantizer.to_logits.bias.zero_()
    assert_close(quantizer(z_e, seeded()).loss, torch.zeros(6))
    with torch.no_grad():
        quantizer.to_logits.bias[2] = 100.0
    found = quantizer(z_e, seeded())
    assert_close(found.loss, torch.full((6,), 9 * math.log(8)))
    assert torch.all(found.indices == 2)
    assert_close(found.z_q, quantizer.codebook[2].expand(6, 3, 3, 4))


def test_the_relaxed_choice_hardens_as_the_temperature_falls(z_e: torch.Tensor) -> None:
    quantizer = GumbelCodebook(8, 4, temperature=1e-3).train()
    distance = torch.cdist(quantizer(z_e, seeded()).z_q.reshape(-1, 4), quantizer.codebook)
    assert distance.min(1).values.max() < 0.5


TWO = """
import sys
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from vae_course.discrete import EMACodebook, perplexity


def run(rank, path):
    dist.init_process_group("gloo", init_method=f"file://{path}/meet", rank=rank, world_size=2)
    z = torch.randn(8, 5, 4, generator=torch.Generator().manual_seed(0))
    shown = []
    for restart_below in (0.0, 0.2):
        torch.manual_seed(0)
        codebook = EMACodebook(6, 4, restart_below=restart_below).train()
        for step in range(3):
            found = codebook(z[rank::2], torch.Generator().manual_seed(rank))
        shown += [float(codebook.codebook.sum()), float(perplexity(found.indices, 6))]
    with open(f"{path}/shown{rank}", "w") as file:
        print(*(f"{value:.5f}" for value in shown), file=file)
    dist.destroy_process_group()


if __name__ == "__main__":
    mp.spawn(run, args=(sys.argv[1],), nprocs=2)
"""


def test_two_processes_share_one_codebook(tmp_path: Path) -> None:
    script = tmp_path / "two.py"
    script.write_text(TWO)
    subprocess.run([sys.executable, str(script), str(tmp_path)], check=True)
    first, second = ((tmp_path / f"shown{rank}").read_text() for rank in range(2))
    assert first == second  # one codebook, and one perplexity of both halves, with restarts too
    z = torch.randn(8, 5, 4, generator=seeded())
    torch.manual_seed(0)
    alone = EMACodebook(6, 4).train()
    for _ in range(3):
        found = alone(z)
    known = [float(alone.codebook.sum()), float(perplexity(found.indices, 6))]
    assert [float(value) for value in first.split()[:2]] == pytest.approx(known, abs=1e-4)
