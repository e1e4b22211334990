"""Training throughput, images/s: `fit` beside the loop everyone writes, in one interleaved run.

    python benchmarks/throughput.py --threads 1 --threads 2
    python benchmarks/throughput.py --quality --images 60000    # what bfloat16 does to the ELBO

Everyone's loop: a torchvision data set, `ToTensor` for each image, a `DataLoader`, Adam,
`binary_cross_entropy_with_logits(reduction="sum")`, `.item()` at every step, float32. Network,
batch size, likelihood (Bernoulli) and binarization (drawn anew for each batch) are the same on both
sides. `fit` holds the images in memory; "streamed" is `fit` on everyone's `DataLoader`. Every way
to train takes its turn in every round, so that what else the machine does hits all of them alike;
the first round warms up, and the figure is the median of the others.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from PIL import Image
from records import write
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision.datasets import VisionDataset
from torchvision.transforms import ToTensor
from typer import Option, run

from vae_course.chapters import machine
from vae_course.data import ImageSet, binarize, load
from vae_course.metrics import estimate_elbo
from vae_course.models import VAE
from vae_course.objectives import ELBOLoss
from vae_course.training import default_fabric, fit

SIZES = {"mlp": (512, 256), "conv": (32, 64)}
LATENT = 32


class Images(VisionDataset):
    """As torchvision's own: an image goes through PIL and the transform each time it is taken."""

    def __init__(self, images: ImageSet) -> None:
        super().__init__("", transform=ToTensor())
        self.images, self.labels = images.images, images.labels

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = Image.fromarray(self.images[index, 0].numpy())
        return self.transform(image), int(self.labels[index])


def streamed(images: ImageSet, batch_size: int, workers: int) -> DataLoader[Any]:
    """Take, transform and stack image by image, in a new order."""
    return DataLoader(Images(images), batch_size, shuffle=True, num_workers=workers, drop_last=True)


def bernoulli(x: Tensor, generator: torch.Generator) -> Tensor:
    """Draw zeros and ones, as `binarize` does from bytes."""
    return torch.bernoulli(x, generator=generator)


def ours(network: str) -> VAE:
    torch.manual_seed(0)
    return VAE((1, 28, 28), LATENT, network=network, widths=SIZES[network])


def usual_convolutions() -> tuple[nn.Module, nn.Module]:
    """Build strided convolutions from one channel and transposed ones back to it."""
    encoder = nn.Sequential(
        nn.Conv2d(1, 32, 4, 2, 1), nn.ReLU(), nn.Conv2d(32, 64, 4, 2, 1), nn.ReLU(),
        nn.Flatten(), nn.Linear(64 * 7 * 7, 2 * LATENT),
    )  # fmt: skip
    decoder = nn.Sequential(
        nn.Linear(LATENT, 64 * 7 * 7), nn.ReLU(), nn.Unflatten(1, (64, 7, 7)),
        nn.ConvTranspose2d(64, 32, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(32, 1, 4, 2, 1),
    )  # fmt: skip
    return encoder, decoder


def usual_loop(
    encoder: nn.Module, decoder: nn.Module, images: ImageSet, batch_size: int, workers: int
) -> None:
    """Train for one epoch the way everyone does."""
    adam = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-3)
    total = 0.0
    for x, _ in streamed(images, batch_size, workers):
        x = torch.bernoulli(x)
        mean, log_var = encoder(x).chunk(2, dim=1)
        z = mean + torch.randn_like(mean) * torch.exp(0.5 * log_var)
        reconstruction = F.binary_cross_entropy_with_logits(decoder(z), x, reduction="sum")
        kl = -0.5 * torch.sum(1 + log_var - mean.pow(2) - log_var.exp())
        loss = (reconstruction + kl) / len(x)
        adam.zero_grad()
        loss.backward()
        adam.step()
        total += loss.item()


def ways(
    network: str, images: ImageSet, batch_size: int, compiled: bool
) -> dict[str, Callable[[], object]]:
    """Every way to train for one epoch that is compared."""

    def usual(networks: tuple[nn.Module, nn.Module], workers: int) -> Callable[[], object]:
        return lambda: usual_loop(*networks, images, batch_size, workers)

    def fitted(model: VAE, fabric: Callable[[], Fabric]) -> Callable[[], object]:
        size = {"epochs": 1, "batch_size": batch_size, "transform": binarize}
        return lambda: fit(model, images.images, ELBOLoss(), fabric=fabric(), **size)

    def from_loader(model: VAE, workers: int) -> Callable[[], object]:
        loader = streamed(images, batch_size, workers)
        return lambda: fit(model, loader, ELBOLoss(), epochs=1, transform=bernoulli)

    same = ours(network)
    found = {
        "everyone's loop": usual((same.encoder, same.decoder), 0),
        "everyone's loop, 2 workers": usual((same.encoder, same.decoder), 2),
    }
    if network == "conv":
        found["everyone's loop and network"] = usual(usual_convolutions(), 0)
    found["fit, float32"] = fitted(ours(network), float32)
    found["fit"] = fitted(ours(network), default_fabric)
    found["fit, streamed, 2 workers"] = from_loader(ours(network), 2)
    if compiled:
        faster = ours(network)
        faster.encoder.compile()
        faster.decoder.compile()
        found["fit, compiled"] = fitted(faster, default_fabric)
    return found


def float32() -> Fabric:
    return Fabric(accelerator="cpu", devices=1, precision="32-true")


def speed(way: Callable[[], object], count: int) -> float:
    """Images/s of one call, everything from the images in memory to the trained network counted."""
    started = time.perf_counter()
    way()
    return count / (time.perf_counter() - started)


def compare(
    images: ImageSet, threads: list[int], batches: list[int], rounds: int, compiled: bool
) -> list[dict[str, Any]]:
    """Measure every way to train, for both networks; one row for each."""
    rows = []
    for count, network, batch_size in product(threads, SIZES, batches):
        torch.set_num_threads(count)
        candidates = ways(network, images, batch_size, compiled)
        trained = len(images) // batch_size * batch_size
        measured = [
            {name: speed(way, trained) for name, way in candidates.items()}
            for _ in range(rounds + 1)
        ]
        speeds = {name: [turn[name] for turn in measured[1:]] for name in candidates}
        base = statistics.median(speeds["everyone's loop"])
        group = [
            {"network": network, "batch_size": batch_size, "threads": count, "loop": name}
            | {"images_per_second": round(median), "times_everyones": round(median / base, 2)}
            | {"lowest": round(min(values)), "highest": round(max(values))}
            for name, values in speeds.items()
            if (median := statistics.median(values))
        ]
        show(group)
        rows += group
    return rows


def precisions(images: ImageSet, test: ImageSet, epochs: int, seeds: int) -> list[dict[str, Any]]:
    """Test ELBO, nats per image, of the same training in bfloat16 autocast and in float32."""
    x = binarize(test.images, torch.Generator().manual_seed(0))
    rows = []
    for seed in range(seeds):
        for name, fabric in (("fit", default_fabric), ("fit, float32", float32)):
            torch.manual_seed(seed)
            model = VAE((1, 28, 28), LATENT, widths=SIZES["mlp"])
            settings = {"epochs": epochs, "transform": binarize, "seed": seed}
            fit(model, images.images, ELBOLoss(), fabric=fabric(), **settings)
            generator = torch.Generator().manual_seed(0)
            elbo = estimate_elbo(model, x, samples=8, generator=generator).elbo.mean().item()
            rows.append({"loop": name, "seed": seed, "epochs": epochs, "test_elbo": round(elbo, 3)})
    return rows


def show(rows: list[dict[str, Any]]) -> None:
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*map(str, row.values()))
    Console(width=120).print(table)


def main(
    quality: Annotated[bool, Option(help="measure the test ELBO, not the speed")] = False,
    threads: Annotated[list[int], Option(help="may be given several times")] = [2],  # noqa: B006
    batch_size: Annotated[list[int], Option(help="may be given several times")] = [128, 512],  # noqa: B006
    dataset: str = "fashion-mnist",
    images: Annotated[int, Option(help="training images of an epoch")] = 20_480,
    rounds: Annotated[int, Option(help="measured ones, after one to warm up")] = 5,
    compiled: Annotated[bool, Option(help="also with compiled networks")] = True,
    epochs: Annotated[int, Option(help="of --quality")] = 10,
    seeds: Annotated[int, Option(help="of --quality")] = 3,
    out: Annotated[Path | None, Option(help="default: results/benchmarks/")] = None,
) -> None:
    """Measure, print a table, and write it with hardware, versions and date."""
    whole = load(dataset, "train")
    part = replace(whole, images=whole.images[:images], labels=whole.labels[:images])
    if quality:
        torch.set_num_threads(threads[0])
        rows = precisions(part, load(whole.name, "test"), epochs, seeds)
        show(rows)
    else:
        rows = compare(part, threads, batch_size, rounds, compiled)
    setting = {"dataset": whole.name, "images": images, "rounds": rounds} | machine.this_run()
    out = out or Path("results/benchmarks") / ("precision.json" if quality else "throughput.json")
    write(out, setting | {"rows": rows})
    print(f"written to {out}")


if __name__ == "__main__":
    run(main)
