"""Train a published VAE under its protocol, measure it as its paper did, and record both figures.

    python benchmarks/published.py exemplar --epochs 400
    python benchmarks/published.py burda-vae --data-dir ~/data      # MNIST/raw/ lies in there

The figure is −log p(x) in nats per image of the test set, binarized once, by L_5000: 5,000
importance samples an image. With `--images n` only the first n test images get them, and

    −log p ≈ −mean over all images of ELBO − mean over the n images of (L_5000 − ELBO),

whose second part varies little from image to image: the standard error is recorded.

    python benchmarks/published.py sonnet-vq --data-dir ~/data      # the folder of CIFAR-10

is another kind of figure: mean squared error of reconstructions over the variance of the pixels,
and the perplexity of the codes, under the one protocol of Sonnet's example.

A run killed at any moment goes on where it was when the same command is given again. The record
(`results/benchmarks/published.json`) is written at the end and says what differs from the paper.
"""

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import torch
from torch import Tensor, nn
from typer import Argument, BadParameter, Option, run

from vae_course.chapters.files import write_whole
from vae_course.chapters.machine import hardware, versions
from vae_course.data import binarize, load, to_unit
from vae_course.likelihoods import GaussianLikelihood
from vae_course.metrics import estimate_elbo, estimate_stack, log_marginal
from vae_course.models import VAE, VQVAE, HierarchicalVAE
from vae_course.objectives import HierarchicalELBO, NegativeELBO, NegativeIWAE, vq_loss
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


@dataclass(frozen=True)
class CodebookBenchmark:
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


SONNET = CodebookBenchmark(
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

    PyTorch's own weights have a third of that variance: the first encodings lie closer together,
    and fewer codes get any.
    """
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            scale = 1 / math.sqrt(layer.weight[0].numel())
            nn.init.trunc_normal_(layer.weight, std=scale, a=-2 * scale, b=2 * scale)
            nn.init.zeros_(layer.bias)
    reach = math.sqrt(3 / model.quantizer.dim)
    model.quantizer.codebook.uniform_(-reach, reach)


def build_codebook(benchmark: CodebookBenchmark, images: Tensor, seed: int) -> VQVAE:
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
        codes=benchmark.codes,
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
    benchmark: CodebookBenchmark, training: Tensor, test: Tensor, seed: int, checkpoint: Path
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


def this_run(seed: int) -> dict[str, Any]:
    """Say where and when."""
    return {
        "threads": torch.get_num_threads(),
        "hardware": hardware(),
        "versions": versions(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": seed,
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
        return NegativeIWAE(importance_samples)
    return HierarchicalELBO(beta) if isinstance(model, HierarchicalVAE) else NegativeELBO(beta)


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


def record(path: Path, name: str, entry: dict[str, Any]) -> None:
    """Put one entry into the file of all entries, whole or not at all."""
    entries = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    text = json.dumps(entries | {name: entry}, indent=2, ensure_ascii=False)
    write_whole(path, text + "\n")


def main(
    name: Annotated[str, Argument(help=", ".join([*BENCHMARKS, *CODEBOOKS]))],
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
    if name in CODEBOOKS:
        return main_codebook(name, dataset, train_images, data_dir, seed, checkpoint, out)
    if name not in BENCHMARKS:
        raise BadParameter(f"{name!r} is none of {', '.join([*BENCHMARKS, *CODEBOOKS])}")
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


def main_codebook(
    name: str,
    dataset: str | None,
    train_images: int | None,
    data_dir: Path | None,
    seed: int,
    checkpoint: Path | None,
    out: Path,
) -> None:
    """Do for a codebook what `main` does for a likelihood; its protocol has no options."""
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
