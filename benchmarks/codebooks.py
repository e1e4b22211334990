"""Train a published VQ-VAE under its protocol, and record its error and perplexity beside theirs.

    python benchmarks/codebooks.py sonnet-vq --data-dir ~/data      # the folder of CIFAR-10

The figures are the mean squared error of reconstructions over the variance of the pixels, and the
perplexity of the codes in the last pass over the training images.

A run killed at any moment goes on where it was when the same command is given again. The record
(`results/benchmarks/published.json`) is written at the end and says what differs from the source.
"""

import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import torch
from records import record, this_run
from torch import Tensor, nn
from typer import Argument, BadParameter, Option, run

from vae_course.data import load, to_unit
from vae_course.discrete import VQVAE, vq_loss
from vae_course.likelihoods import GaussianLikelihood
from vae_course.schedules import Constant
from vae_course.training import count_steps, fit


@dataclass(frozen=True)
class Benchmark:
    """Figures of a VQ-VAE: error over variance and perplexity, and how they came about."""

    published: float  # mean squared error / variance of the pixels
    published_perplexity: tuple[float, float]
    source: str
    dataset: str
    train_images: int
    codes: int
    dim: int
    width: int
    residual: tuple[int, int]
    decay: float
    commitment: float  # of a mean over a map's numbers, beside a mean over pixels / variance
    batch_size: int
    learning_rate: float
    steps: int
    differs: tuple[str, ...]
    restart_below: float = 0.0  # of `EMACodebook`; Sonnet's does not restart dead codes


SONNET = Benchmark(
    published=0.056,
    published_perplexity=(326.0, 332.0),
    source="Sonnet, examples/vqvae_example.ipynb: EMA codebook, CIFAR-10, training batches",
    dataset="cifar10",
    train_images=40_000,
    codes=512,
    dim=64,
    width=128,
    residual=(2, 32),
    decay=0.99,
    commitment=0.25,
    batch_size=32,
    learning_rate=3e-4,
    steps=10_000,
    differs=(
        "halvings and doublings fold 2×2 pixels into channels and back, with 3×3 convolutions, "
        "where Sonnet has 4×4 strided and transposed ones",
        "sums for each image instead of means: the same loss up to a factor, which Adam ignores",
        "counts of the moving averages are not smoothed",
        "networks in bfloat16 where the hardware has it",
    ),
)
CODEBOOKS = {
    "sonnet-vq": SONNET,
    "sonnet-vq-restart": replace(
        SONNET,
        restart_below=0.1,
        differs=(*SONNET.differs, "a code with fewer than 0.1 encodings a batch is restarted"),
    ),
}


def centered(images: Tensor, generator: torch.Generator) -> Tensor:
    """Scale pixels to [−½, ½], as Sonnet does."""
    return to_unit(images) - 0.5


def start_as_sonnet(model: VQVAE) -> None:
    """Draw weights from N(0, 1 / inputs), cut at 2 σ, and codes uniformly with variance 1 / dim.

    PyTorch's own weights have less than half that variance: the first encodings lie closer
    together, and fewer codes get any.
    """
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            scale = 1 / math.sqrt(layer.weight[0].numel())
            nn.init.trunc_normal_(layer.weight, std=scale, a=-2 * scale, b=2 * scale)
            nn.init.zeros_(layer.bias)
    reach = math.sqrt(3 / model.quantizer.dim)
    model.quantizer.codebook.uniform_(-reach, reach)


def build_codebook(benchmark: Benchmark, images: Tensor, seed: int) -> VQVAE:
    """Make the model; its loss is D times Sonnet's mean error / variance + commitment.

    A Gaussian of variance half that of the pixels charges a squared error of ‖x − x̂‖² / variance
    an image, D times Sonnet's mean; the commitment is a mean over M numbers there and a sum here.
    """
    torch.manual_seed(seed)
    variance = images.double().div(255).var(correction=0).item()
    numbers = benchmark.dim * (images.shape[-1] // 4) * (images.shape[-2] // 4)
    model = VQVAE(
        images.shape[1:],
        quantizer="ema",
        halvings=2,
        width=benchmark.width,
        residual=benchmark.residual,
        codebook_size=benchmark.codes,
        dim=benchmark.dim,
        decay=benchmark.decay,
        commitment=benchmark.commitment * math.prod(images.shape[1:]) / numbers,
        restart_below=benchmark.restart_below,
    )
    start_as_sonnet(model)
    model.likelihood = GaussianLikelihood(math.sqrt(variance / 2))
    return model


@torch.no_grad()
def error_over_variance(model: VQVAE, images: Tensor) -> float:
    """Mean squared error of all images' reconstructions over the variance of their pixels."""
    variance = images.double().div(255).var(correction=0).item()
    device = next(model.parameters()).device
    total = 0.0
    for part in images.split(500):
        x = centered(part.to(device), torch.Generator(device))
        total += (model.decode_indices(model.indices(x)).mean - x).square().sum().item()
    return total / images.numel() / variance


def run_codebook(
    benchmark: Benchmark, training: Tensor, test: Tensor, seed: int, checkpoint: Path
) -> dict[str, Any]:
    """Train and measure one of `CODEBOOKS` on images `(N, C, H, W)`; return its record."""
    used = training[: benchmark.train_images]
    model = build_codebook(benchmark, used, seed)
    a_pass = count_steps(used, epochs=1, batch_size=benchmark.batch_size)
    epochs = max(1, round(benchmark.steps / a_pass))
    history = fit(
        model,
        used,
        vq_loss,
        epochs=epochs,
        batch_size=benchmark.batch_size,
        learning_rate=Constant(benchmark.learning_rate),
        transform=centered,
        seed=seed,
        checkpoint=checkpoint,
    )
    return asdict(benchmark) | {
        "reached": {
            "error_over_variance_train": error_over_variance(model, used),
            "error_over_variance_test": error_over_variance(model, test),
            "perplexity_of_training_batches": history.train["perplexity"][-1],
            "codes_used_of_training_batches": history.train["codes_used"][-1],
        },
        "epochs": epochs,
        "steps": epochs * a_pass,
        "train_seconds": round(history.seconds, 1),
        "train_images_per_second": round(history.images_per_second),
    }


def main(
    name: Annotated[str, Argument(help=", ".join(CODEBOOKS))],
    data_dir: Annotated[Path | None, Option(help="where the data set's files are")] = None,
    dataset: Annotated[str | None, Option(help="not the source's images, to try out")] = None,
    train_images: Annotated[int | None, Option(help="one pass over so many, to try out")] = None,
    seed: int = 0,
    checkpoint: Annotated[Path | None, Option(help="default: _build/benchmarks/NAME")] = None,
    out: Path = Path("results/benchmarks/published.json"),
) -> None:
    """Train one of the published models, measure it and record what was reached."""
    if name not in CODEBOOKS:
        raise BadParameter(f"{name!r} is none of {', '.join(CODEBOOKS)}")
    benchmark = CODEBOOKS[name]
    chosen = dataset or benchmark.dataset
    training = load(chosen, "train", data_dir=data_dir, fallback=False).images
    if train_images:  # to try out: one pass
        steps = train_images // benchmark.batch_size
        benchmark = replace(benchmark, dataset=chosen, train_images=train_images, steps=steps)
    test = load(chosen, "test", data_dir=data_dir, fallback=False).images
    checkpoint = checkpoint or Path("_build/benchmarks") / name
    entry = run_codebook(benchmark, training, test, seed, checkpoint) | this_run(seed)
    record(out, name, entry)
    reached = entry["reached"]
    print(
        f"{name}: error / variance {reached['error_over_variance_train']:.4f}, published "
        f"{benchmark.published}; perplexity {reached['perplexity_of_training_batches']:.0f}, "
        f"published {'–'.join(f'{p:.0f}' for p in benchmark.published_perplexity)}; in {out}"
    )


if __name__ == "__main__":
    run(main)
