"""Train a published VAE under its protocol, measure it as its paper did, and record both figures.

    python benchmarks/published.py exemplar --epochs 400
    python benchmarks/published.py burda-vae --data-dir ~/data      # MNIST/raw/ lies in there

The figure is −log p(x) in nats per image of the test set, binarized once, by L_5000: 5,000
importance samples an image. With `--images n` only the first n test images get them, and

    −log p ≈ −mean over all images of ELBO − mean over the n images of (L_5000 − ELBO),

whose second part varies little from image to image: the standard error is recorded.

A run killed at any moment goes on where it was when the same command is given again. The record
(`results/benchmarks/published.json`) is written at the end and says what differs from the paper.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import torch
from records import record, this_run
from torch import Tensor
from typer import Argument, BadParameter, Option, run

from vae_course.data import binarize, load
from vae_course.hierarchical import HierarchicalLoss, HierarchicalVAE, estimate_stack
from vae_course.metrics import estimate_elbo, log_marginal
from vae_course.models import VAE
from vae_course.objectives import ELBOLoss, IWAELoss
from vae_course.schedules import Constant, CosineDecay, LinearWarmup, Schedule
from vae_course.training import Objective, count_steps, fit

Model = VAE | HierarchicalVAE


@dataclass(frozen=True)
class BurdaDecay:
    """10⁻³ · 10^(−i/7) for 3^i of 3,280 parts of the training, i = 0 … 7 (Burda et al., sec. 5)."""

    steps: int

    def __call__(self, step: int) -> float:
        stage = math.log(2 * 3280 * step / self.steps + 1, 3)
        return 1e-3 * 10 ** (-min(7, int(stage + 1e-9)) / 7)


@dataclass(frozen=True)
class Stack:
    """Several latent layers, from the image upwards, in place of one."""

    latents: tuple[int, ...]
    widths: tuple[tuple[int, ...], ...]
    inference: str


@dataclass(frozen=True)
class Benchmark:
    """A figure, and what has to be the same for another figure to stand beside it."""

    published: float
    source: str
    dataset: str
    latent_dim: int
    widths: tuple[int, ...]
    activation: str
    train_images: int  # the first so many; the rest of the training split validates
    importance_samples: int  # of the training objective; 1 is the ELBO with its exact KL
    paper_rate: Callable[[int], Schedule]
    paper: str
    differs: tuple[str, ...]
    stack: Stack | None = None  # its first layer is latent_dim and widths


def _constant(steps: int) -> Schedule:
    return Constant(5e-4)


EXEMPLAR = Benchmark(
    published=228.70,
    source="Norouzi et al. (2020), Exemplar VAE, table 1: VAE, N(0, I) prior, Fashion-MNIST",
    dataset="fashion-mnist",
    latent_dim=40,
    widths=(300, 300),
    activation="gated",
    train_images=50_000,
    importance_samples=1,
    paper_rate=_constant,
    paper="dynamic binarization of training images, test set binarized once; two gated layers "
    "of 300, z of 40; batch 100, rate 5e-4, KL warm-up over 100 epochs, the epoch of the best "
    "validation ELBO (patience 50, at most 2,000 epochs); 5,000 importance samples",
    differs=(
        "plain Adam instead of Adam on gradients scaled to norm 1 for each tensor",
        "log-variance not clamped to [-6, 2]; KL in closed form instead of sampled",
        "last epoch of a decaying rate instead of the best on validation",
        "the decoder's output bias starts at the logits of the pixel means",
    ),
)
BURDA = Benchmark(
    published=86.76,
    source="Burda et al. (2016), table 1: one stochastic layer, VAE, k = 1, MNIST",
    dataset="mnist",
    latent_dim=50,
    widths=(200, 200),
    activation="tanh",
    train_images=59_600,
    importance_samples=1,
    paper_rate=BurdaDecay,
    paper="dynamic binarization; two tanh layers of 200, z of 50, output bias from the pixel "
    "means; batch 20, 3,280 epochs in eight stages of falling rate; 5,000 importance samples",
    differs=("Adam's epsilon 1e-8 instead of 1e-4",),
)
TWO_LAYERS = replace(
    BURDA,
    published=85.33,
    source="Burda et al. (2016), table 1: two stochastic layers, VAE, k = 1, MNIST",
    latent_dim=100,
    stack=Stack((100, 50), ((200, 200), (100, 100)), "bottom-up"),
    paper="dynamic binarization; two tanh layers of 200, z_1 of 100, two tanh layers of 100, z_2 "
    "of 50, output bias from the pixel means; batch 20, 3,280 epochs in eight stages of falling "
    "rate; 5,000 importance samples",
    differs=(
        *BURDA.differs,
        "KL of the upper layer in closed form instead of sampled",
        "log-variances kept within ±10",
    ),
)
LADDER = Benchmark(
    published=81.74,
    source="Sønderby et al. (2016), Ladder VAE: their best figure, five layers, MNIST",
    dataset="mnist",
    latent_dim=64,
    widths=(512, 512),
    activation="relu",
    train_images=50_000,
    importance_samples=1,
    paper_rate=_constant,
    paper="dynamic binarization; z of 64, 32, 16, 8, 4 above two layers of 512, 256, 128, 64, 32 "
    "each; batch normalization; KL warm-up over 200 of 2,000 epochs, then fine-tuning with "
    "importance-weighted samples; 5,000 importance samples",
    differs=(
        "no batch normalization",
        "ReLU instead of leaky ReLU",
        "no fine-tuning with importance-weighted samples",
        "log-variance, kept within ±10, instead of a softplus of the variance",
        "10,000 training images kept for validation",
    ),
    stack=Stack(
        (64, 32, 16, 8, 4), ((512, 512), (256, 256), (128, 128), (64, 64), (32, 32)), "ladder"
    ),
)
BENCHMARKS = {
    "exemplar": EXEMPLAR,
    "burda-vae": BURDA,
    "burda-iwae": replace(
        BURDA,
        published=84.78,
        source="Burda et al. (2016), table 1: one stochastic layer, IWAE, k = 50, MNIST",
        importance_samples=50,
    ),
    "burda-vae-2": TWO_LAYERS,
    "burda-iwae-2": replace(
        TWO_LAYERS,
        published=82.90,
        source="Burda et al. (2016), table 1: two stochastic layers, IWAE, k = 50, MNIST",
        importance_samples=50,
        differs=(*BURDA.differs, "log-variances kept within ±10"),
    ),
    "ladder": LADDER,
}


def build(benchmark: Benchmark, images: Tensor, seed: int) -> Model:
    """Make the model; its output starts at the mean image, as Burda's does."""
    torch.manual_seed(seed)
    shape, activation, stack = images.shape[1:], benchmark.activation, benchmark.stack
    model: Model
    if stack is None:
        model = VAE(shape, benchmark.latent_dim, widths=benchmark.widths, activation=activation)
    else:
        size = {"widths": stack.widths, "inference": stack.inference}
        model = HierarchicalVAE(shape, stack.latents, **size, activation=activation)
    mean = images.float().div(255).mean(0).flatten().clamp(0.001, 0.999)
    model.decoder.layers[-1].bias.data = mean.logit()
    return model


def choose_objective(model: Model, importance_samples: int, beta: Schedule) -> Objective:
    """Return what training lowers."""
    if importance_samples > 1:
        return IWAELoss(importance_samples)
    return HierarchicalLoss(beta) if isinstance(model, HierarchicalVAE) else ELBOLoss(beta)


def elbo_of(model: Model, x: Tensor, generator: torch.Generator) -> Tensor:
    """Estimate the ELBO of each image from 16 samples."""
    estimate = estimate_stack if isinstance(model, HierarchicalVAE) else estimate_elbo
    return estimate(model, x, samples=16, generator=generator).elbo


def measure(model: Model, x: Tensor, *, images: int, samples: int) -> dict[str, float | int]:
    """Estimate −log p of all of x, importance-sampling its first `images` (module docstring)."""
    generator = torch.Generator().manual_seed(0)
    elbo = elbo_of(model, x, generator)
    bound = log_marginal(model, x[:images], samples, chunk=samples, generator=generator)
    gap = bound - elbo[:images]
    error = 0.0 if images == len(x) else gap.std().item() / math.sqrt(images)
    return {
        "nll": -(elbo.mean() + gap.mean()).item(),
        "standard_error_of_subset": error,
        "elbo": elbo.mean().item(),
        "importance_sampled_images": images,
        "test_images": len(x),
        "samples": samples,
    }


def main(
    name: Annotated[str, Argument(help=", ".join(BENCHMARKS))],
    epochs: Annotated[int, Option(min=1)] = 400,
    batch_size: Annotated[int, Option(min=1)] = 512,
    rate: Annotated[float, Option(help="start of the cosine decay to zero")] = 2e-3,
    warmup: Annotated[float, Option(help="part of training with a rising KL weight")] = 0.2,
    paper_rate: Annotated[bool, Option(help="the paper's learning rates, not a cosine")] = False,
    data_dir: Annotated[Path | None, Option(help="where the data set's files are")] = None,
    dataset: Annotated[str | None, Option(help="not the paper's images, to try out")] = None,
    train_images: Annotated[int | None, Option(help="not the paper's number, to try out")] = None,
    images: Annotated[int, Option(min=1, help="test images with importance samples")] = 10_000,
    samples: Annotated[int, Option(min=1, help="importance samples an image")] = 5000,
    seed: int = 0,
    checkpoint: Annotated[Path | None, Option(help="default: _build/benchmarks/NAME")] = None,
    out: Path = Path("results/benchmarks/published.json"),
) -> None:
    """Train one of the published models, measure it and record what was reached."""
    if name not in BENCHMARKS:
        raise BadParameter(f"{name!r} is none of {', '.join(BENCHMARKS)}")
    benchmark = BENCHMARKS[name]
    benchmark = replace(
        benchmark,
        dataset=dataset or benchmark.dataset,
        train_images=train_images or benchmark.train_images,
    )
    training = load(benchmark.dataset, "train", data_dir=data_dir, fallback=False).images
    test = load(benchmark.dataset, "test", data_dir=data_dir, fallback=False).images
    used, unused = training[: benchmark.train_images], training[benchmark.train_images :]
    fixed = torch.Generator().manual_seed(0)
    x_test, x_validation = binarize(test, fixed), binarize(unused[:10_000], fixed)

    model = build(benchmark, used, seed)
    steps = count_steps(used, epochs=epochs, batch_size=batch_size)
    decay = benchmark.paper_rate(steps) if paper_rate else CosineDecay(steps, rate)
    beta = LinearWarmup(math.ceil(warmup * steps)) if warmup else Constant(1.0)
    k = benchmark.importance_samples
    history = fit(
        model,
        used,
        choose_objective(model, k, beta),
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=decay,
        transform=binarize,
        seed=seed,
        checkpoint=checkpoint or Path("_build/benchmarks") / name,
    )
    model.cpu()
    validation = elbo_of(model, x_validation, fixed).mean().item()
    reached = measure(model, x_test, images=min(images, len(x_test)), samples=samples)
    settings = {name: value for name, value in asdict(benchmark).items() if name != "paper_rate"}
    entry = (
        settings
        | {
            "differs": [*benchmark.differs, "batch, epochs, learning rate and KL warm-up as below"],
            "reached": reached | {"validation_elbo": validation},
            "epochs": epochs,
            "steps": steps,
            "batch_size": batch_size,
            "learning_rate": repr(decay),
            "kl_warmup": warmup if k == 1 else 0.0,
            "train_seconds": round(history.seconds, 1),
            "train_images_per_second": round(history.images_per_second),
        }
        | this_run(seed)
    )
    record(out, name, entry)
    print(f"{name}: −log p(x) = {reached['nll']:.2f} nats, published {benchmark.published:.2f}")
    print(f"after {epochs} epochs, {history.seconds:.0f} s of training; recorded in {out}")


if __name__ == "__main__":
    run(main)
