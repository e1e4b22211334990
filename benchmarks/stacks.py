"""What is left of a stack's gain when everything trains longer: log p(x) over epochs and seeds.

    python benchmarks/stacks.py --epochs 7 --epochs 21 --epochs 63 --seeds 3

The models, data and settings are those of chapter 15's `quick` profile. The record
(`results/benchmarks/stacks.json`) has an entry for each number of epochs and seed, written when it
ends; what is recorded is not run again.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import torch
from records import record, this_run
from torch import Tensor
from typer import Option, run

from vae_course.data import binarize, load
from vae_course.hierarchical import HierarchicalLoss, HierarchicalVAE, SkipVAE, estimate_stack
from vae_course.metrics import log_marginal
from vae_course.schedules import LinearWarmup
from vae_course.training import count_steps, fit

Stack = HierarchicalVAE | SkipVAE
SHAPE = (1, 28, 28)
LATENTS, WIDTHS = (32, 16, 8), ((256,), (64,), (32,))
MODELS: dict[str, Callable[[], Stack]] = {
    "one layer": lambda: HierarchicalVAE(SHAPE, (32,), widths=((273,),)),
    "bottom-up": lambda: HierarchicalVAE(SHAPE, LATENTS, widths=WIDTHS, inference="bottom-up"),
    "ladder": lambda: HierarchicalVAE(SHAPE, LATENTS, widths=WIDTHS),
    "skip": lambda: SkipVAE(SHAPE, LATENTS, width=128),
}


def measured(name: str, images: Tensor, x: Tensor, epochs: int, seed: int) -> dict[str, float]:
    """ELBO and log p(x) of test images after so many epochs, nats per image."""
    torch.manual_seed(seed)
    model = MODELS[name]()
    steps = count_steps(images, epochs=epochs, batch_size=200)
    fit(
        model,
        images,
        HierarchicalLoss(LinearWarmup(steps // 2)),
        epochs=epochs,
        batch_size=200,
        learning_rate=4e-3,
        transform=binarize,
        seed=seed,
    )
    noise = torch.Generator().manual_seed(seed)
    elbo = estimate_stack(model, x, generator=noise).elbo.mean().item()
    log_px = log_marginal(model, x, 50, generator=noise).mean().item()
    return {"elbo": elbo, "log_px": log_px}


def main(
    epochs: Annotated[list[int], Option(min=1)],
    seeds: Annotated[int, Option(min=1)] = 3,
    train_images: int = 10_000,
    test_images: int = 1000,
    out: Path = Path("results/benchmarks/stacks.json"),
) -> None:
    """Train and measure all four models for each number of epochs and each seed."""
    images = load("fashion-mnist-mini", "train").images[:train_images]
    test = load("fashion-mnist-mini", "test").images[:test_images]
    x = binarize(test, torch.Generator().manual_seed(2026))
    for count in epochs:
        for seed in range(seeds):
            name = f"{count} epochs, seed {seed}"
            if out.exists() and name in json.loads(out.read_text(encoding="utf-8")):
                continue
            found = {model: measured(model, images, x, count, seed) for model in MODELS}
            record(out, name, {"models": found, **this_run(seed)})
            print(name, {model: round(v["log_px"], 2) for model, v in found.items()}, flush=True)


if __name__ == "__main__":
    run(main)
