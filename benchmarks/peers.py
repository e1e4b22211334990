"""Speed and quality beside pythae 0.1.2: VAE, β-TC-VAE and VQ-VAE, in one interleaved run.

    python benchmarks/peers.py --threads 2

pythae is not a dependency: this runs in an environment of its own, with this package and
`pythae==0.1.2`. pythae's models are given our networks, wrapped in its `BaseEncoder` and
`BaseDecoder`: layers, first weights, images, batch size, Adam and learning rate are the same, and
after training the very modules it trained are measured as ours are, inside our model. What is
still unequal is said in `DIFFERS`, which goes into the record.

Every way to train takes its turn in every round, on a new model, until the clock stops it; setting
up does not count. The first round warms up, and the figure is the median of the others.
Hide a GPU (`CUDA_VISIBLE_DEVICES=`): this compares on the CPU.
"""

import logging
import statistics
import time
from collections.abc import Callable
from contextlib import redirect_stderr, suppress
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from io import StringIO
from itertools import chain, count, product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import torch
from lightning_fabric import Fabric
from records import write
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset
from typer import Option, run

from vae_course.chapters import machine
from vae_course.data import binarize, load, to_unit
from vae_course.discrete import VQVAE, code_counts, perplexity, vq_loss
from vae_course.disentangling import BetaTCLoss
from vae_course.likelihoods import GaussianLikelihood
from vae_course.metrics import estimate_elbo, log_marginal
from vae_course.models import VAE
from vae_course.objectives import ELBOLoss
from vae_course.schedules import Constant
from vae_course.training import Objective, default_fabric, fit
from vae_course.training.terms import terms_of

SHAPE, LATENT, CODES, RATE, BETA = (1, 28, 28), 32, 256, 1e-3, 4.0
TRAINERS = ["pythae's trainer", "fit, float32", "fit"]
WAYS = [TRAINERS[0], "pythae's model in a loop", "our model in that loop", *TRAINERS[1:]]
DIFFERS = [
    "precision: `fit` rounds the networks' products to bfloat16, all else is float32 (pythae's "
    "mixed precision is for CUDA, and off with its cross-entropy)",
    "batches: pythae's trainer and the loops collate single images and read the loss at every "
    "step; `fit` takes a slice of a permutation, its Adam is fused, its memory channels-last",
    "trainer: pythae's also copies the model after each epoch with a lower training loss",
    "likelihood: pythae's is the cross-entropy of sigmoids, logarithms cut off at −100; ours takes "
    "logits",
    "β-TC-VAE: pythae's stratified weights stand in the first two columns of the matrix instead of "
    "on the diagonal and beside it; `objective` is ours, on test images, for both",
    "VQ-VAE: pythae averages codebook and commitment term over the 7 · 7 · 16 numbers of a map, "
    "beside squared errors summed over pixels; ours sums all: both terms weigh 784 times as much",
    "VQ-VAE, EMA: pythae's counts start at zero and its sums do not: entries that the first batch "
    "leaves out are thrown far away; ours both start at zero, and the codebook at k-means centers "
    "of the untrained encoder's outputs (not on the clock)",
]
MISSING = (
    "pythae is missing: make an environment of its own, install this package, rich, typer and "
    "pythae==0.1.2 in it, and run this script there"
)


@dataclass
class Clock:
    """A constant learning rate that ends the training; called with the number of steps done."""

    seconds: float
    started: float = 0.0
    elapsed: float = 0.0
    steps: int = 0

    def __call__(self, step: int) -> float:
        now = time.perf_counter()
        if step == 0:
            self.started = now
        self.elapsed, self.steps = now - self.started, step
        if self.elapsed >= self.seconds:
            raise TimeoutError
        return RATE


@dataclass(frozen=True)
class Pair:
    """How both packages make one model: ours, its objective, pythae's class and settings."""

    ours: Callable[[], Any]
    objective: Objective
    theirs: str
    settings: dict[str, Any]


def vae() -> VAE:
    return VAE(SHAPE, LATENT, widths=(512, 256))


def vq_vae(quantizer: str, gray: Tensor) -> VQVAE:
    """Make one whose Gaussian of variance ½ costs the squared error, as pythae's does."""
    size = {"width": 32, "residual": (2, 16), "codebook_size": CODES, "dim": 16}
    model = VQVAE(SHAPE, quantizer=quantizer, likelihood="gaussian", **size)
    model.likelihood = GaussianLikelihood(0.5**0.5)
    if quantizer == "ema":
        model.start_codebook(gray[:500])
    return model


def pairs(n_data: int, gray: Tensor) -> dict[str, Pair]:
    """Every model that is compared; the names that begin with VQ take gray images."""
    gaussian = {"latent_dim": LATENT, "reconstruction_loss": "bce"}
    codes = {"latent_dim": LATENT, "num_embeddings": CODES}
    gradient, ema = (partial(vq_vae, name, gray) for name in ("gradient", "ema"))
    tc = BetaTCLoss(Constant(BETA), n_data)
    return {
        "VAE": Pair(vae, ELBOLoss(), "VAE", gaussian),
        "β-TC-VAE": Pair(vae, tc, "BetaTCVAE", gaussian | {"beta": BETA}),
        "VQ-VAE": Pair(gradient, vq_loss, "VQVAE", codes),
        "VQ-VAE, EMA": Pair(ema, vq_loss, "VQVAE", codes | {"use_ema": True}),
    }


def theirs(pair: Pair, model: Any) -> Any:
    """Make pythae's model with the networks of this one of ours."""
    from pythae import models
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder

    class Encoder(BaseEncoder):
        def forward(self, x: Tensor) -> Any:
            code = self.network(x)
            if vq:
                return ModelOutput(embedding=code)
            mean, log_var = code.chunk(2, dim=-1)
            return ModelOutput(embedding=mean, log_covariance=log_var)

    class Decoder(BaseDecoder):
        def forward(self, z: Tensor) -> Any:
            output = self.network(z)
            return ModelOutput(reconstruction=output if vq else output.sigmoid())

    vq, encoder, decoder = pair.theirs == "VQVAE", Encoder(), Decoder()
    encoder.network, decoder.network = model.encoder, model.decoder
    config = getattr(models, f"{pair.theirs}Config")(input_dim=SHAPE, **pair.settings)
    return getattr(models, pair.theirs)(config, encoder=encoder, decoder=decoder)


def pipeline(peer: Any, x: Tensor, batch_size: int, clock: Clock) -> None:
    """Train as pythae's users do; its callback tells the clock."""
    from pythae.pipelines import TrainingPipeline
    from pythae.trainers import BaseTrainerConfig
    from pythae.trainers.training_callbacks import TrainingCallback

    class Stop(TrainingCallback):
        def on_train_begin(self, training_config: Any, **_: Any) -> None:
            clock(0)

        def on_train_step_end(self, training_config: Any, **_: Any) -> None:
            clock(clock.steps + 1)

    with TemporaryDirectory() as folder:
        size = {"num_epochs": 10**6, "per_device_train_batch_size": batch_size}
        config = BaseTrainerConfig(output_dir=folder, learning_rate=RATE, no_cuda=True, **size)
        TrainingPipeline(peer, config)(train_data=x, callbacks=[Stop()])


def usual_loop(
    loss: Callable[[Tensor], Tensor], model: Any, x: Tensor, batch_size: int, clock: Clock
) -> None:
    """Train the way everyone does."""
    loader = DataLoader(TensorDataset(x), batch_size, shuffle=True)
    adam = torch.optim.Adam(model.parameters(), lr=clock(0))
    total = 0.0
    for step, (batch,) in enumerate(chain.from_iterable(loader for _ in count()), start=1):
        value = loss(batch)
        adam.zero_grad()
        value.backward()
        adam.step()
        total += value.item()
        clock(step)


def train(way: str, pair: Pair, x: Tensor, batch_size: int, seconds: float) -> tuple[Any, Clock]:
    """Train a new model until the clock stops it; return it, as one of ours, and the clock."""
    torch.manual_seed(0)
    model = pair.ours()
    peer = theirs(pair, model) if "pythae" in way else None
    rest = (x, batch_size, clock := Clock(seconds))
    with suppress(TimeoutError), redirect_stderr(StringIO()):  # progress bars
        if way == "pythae's trainer":
            pipeline(peer, *rest)
        elif peer is not None:
            usual_loop(lambda b: peer({"data": b}, dataset_size=len(x)).loss, peer, *rest)
        elif "loop" in way:
            usual_loop(lambda b: terms_of(pair.objective(model, b, 0))["loss"].mean(), model, *rest)
        else:
            float32 = Fabric(accelerator="cpu", devices=1, precision="32-true")
            fabric = float32 if "float32" in way else default_fabric()
            size = {"epochs": 10**6, "batch_size": batch_size}
            fit(model, x, pair.objective, learning_rate=clock, fabric=fabric, **size)
    if peer is not None and pair.theirs == "VQVAE":
        learned = peer.quantizer.embeddings
        model.quantizer.start(getattr(learned, "weight", learned))
    return model.eval(), clock


@torch.no_grad()
def quality(pair: Pair, model: Any, x: Tensor) -> dict[str, float]:
    """Measure on test images; log p(x) is the ELBO plus the mean gap L_200 − ELBO of 500 images."""
    generator = torch.Generator().manual_seed(0)
    if pair.theirs == "VQVAE":
        indices = model.indices(x)
        images = torch.cat([model.decode_indices(part).mean for part in indices.split(500)])
        error = (images - x).square().flatten(1).sum(1)
        used = (code_counts(indices, CODES) > 0).sum()
        found = {"squared_error": error, "perplexity": perplexity(indices, CODES), "codes": used}
    else:
        elbo = estimate_elbo(model, x, samples=8, generator=generator).elbo
        gap = log_marginal(model, x[:500], 200, generator=generator) - elbo[:500]
        loss = [
            terms_of(pair.objective(model, part, 0, generator))["loss"] for part in x.split(1000)
        ]
        found = {"test_elbo": elbo, "log_likelihood": elbo.mean() + gap.mean()}
        found |= {"objective": torch.cat(loss)}
    return {
        name: round(value.mean().item(), 2) if value.is_floating_point() else int(value)
        for name, value in found.items()
    }


def speeds(measured: dict[str, list[Clock]], batch_size: int) -> list[dict[str, Any]]:
    """Images/s of every way, without its first turn; one row for each."""
    rows: list[dict[str, Any]] = []
    for way, clocks in measured.items():
        values = [clock.steps * batch_size / clock.elapsed for clock in clocks[1:]]
        median = round(statistics.median(values))
        row = {"way": way, "images_per_second": median, "times_pythae": 1.0}
        rows.append(row | {"lowest": round(min(values)), "highest": round(max(values))})
        rows[-1]["times_pythae"] = round(median / rows[0]["images_per_second"], 2)
    return rows


def show(title: str, rows: list[dict[str, Any]]) -> None:
    table = Table(*rows[0], title=title)
    for row in rows:
        table.add_row(*map(str, row.values()))
    Console(width=120).print(table)


def main(
    threads: Annotated[list[int], Option(help="may be given several times")] = [2],  # noqa: B006
    batch_size: int = 128,
    dataset: str = "fashion-mnist",
    rounds: Annotated[int, Option(min=1, help="measured ones, after one to warm up")] = 3,
    seconds: Annotated[float, Option(help="of a turn")] = 1.5,
    quality_seconds: Annotated[float, Option(help="of training, before quality is measured")] = 10,
    out: Path = Path("results/benchmarks/peers.json"),
) -> None:
    """Measure, print tables, and write them with hardware, versions and date."""
    try:
        found = {"pythae": version("pythae")}
    except PackageNotFoundError:
        raise SystemExit(MISSING) from None
    logging.disable(logging.INFO)
    whole, test = load(dataset, "train"), load(dataset, "test")
    images = whole.images[: len(whole) // batch_size * batch_size]
    fixed = torch.Generator().manual_seed(0)
    binary = binarize(images, fixed), binarize(test.images, fixed)
    gray = to_unit(images), to_unit(test.images)
    result: dict[str, Any] = {"rows": [], "quality": []}
    for number, (name, pair) in product(threads, pairs(len(images), gray[0]).items()):
        torch.set_num_threads(number)
        x, x_test = gray if name.startswith("VQ") else binary
        measured: dict[str, list[Clock]] = {way: [] for way in WAYS}
        for _, way in product(range(rounds + 1), WAYS):
            measured[way].append(train(way, pair, x, batch_size, seconds)[1])
        reached = []
        for way in TRAINERS:
            model, clock = train(way, pair, x, batch_size, quality_seconds)
            seen = {"way": way, "images": clock.steps * batch_size}
            reached.append(seen | quality(pair, model, x_test))
        for key, rows in (("rows", speeds(measured, batch_size)), ("quality", reached)):
            show(f"{name}, threads: {number}, batch size: {batch_size}", rows)
            result[key] += [{"model": name, "threads": number} | row for row in rows]
    setting = {"dataset": whole.name, "images": len(images), "test_images": len(test), "seed": 0}
    setting |= {"batch_size": batch_size, "learning_rate": RATE, "beta": BETA, "rounds": rounds}
    setting |= {"seconds": seconds, "quality_seconds": quality_seconds, "differs": DIFFERS}
    setting |= machine.this_run()
    setting["versions"] |= found
    write(out, setting | result)
    print(f"written to {out}")


if __name__ == "__main__":
    run(main)
