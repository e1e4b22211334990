"""`fit`: the one training loop, on Lightning Fabric."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision
from numpy.random import SeedSequence
from torch import Tensor, nn
from tqdm import tqdm

from vae_course.data import Labeled
from vae_course.schedules import CosineDecay, Schedule
from vae_course.training.checkpoint import load_checkpoint, save_checkpoint
from vae_course.training.history import History, check_finite
from vae_course.training.terms import terms_of

Transform = Callable[[Tensor, torch.Generator], Tensor]

# What a random stream is for: the second number that seeds it. Without it the streams would meet,
# because SeedSequence takes (seed, 3) and (seed, 3, 0) for the same.
_ORDER, _NOISE, _HELD_OUT = 1, 2, 3

_CHECK_EVERY = 50  # steps between two looks at the terms: one transfer from the device each


class Objective(Protocol):
    """Terms of a batch: a dataclass of `(batch,)` tensors, the first of them called `loss`."""

    def __call__(
        self, model: Any, x: Any, step: int, generator: torch.Generator | None = None
    ) -> Any:
        """Evaluate on a batch."""
        ...


class _Step(nn.Module):
    """Batch, model and objective as one forward pass, which Fabric wraps and synchronizes.

    It is called with indices and not with images, because Fabric would round those to bfloat16,
    in which neighboring gray levels are one.
    """

    def __init__(
        self,
        model: nn.Module,
        objective: Objective,
        images: Tensor | Labeled,
        transform: Transform | None,
    ) -> None:
        super().__init__()
        self.model = model
        self.objective = objective
        self.images = images
        self.transform = transform

    def forward(self, index: Tensor, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        x = self.transformed(self.images[index], generator)
        terms = terms_of(self.objective(self.model, x, step, generator))
        return {name: term.float().mean() for name, term in terms.items()}

    def transformed(self, x: Tensor | Labeled, generator: torch.Generator) -> Tensor | Labeled:
        """Transform a batch's images; labels stay what they are."""
        if self.transform is None:
            return x
        if isinstance(x, Labeled):
            return Labeled(self.transform(x.images, generator), x.labels)
        return self.transform(x, generator)


def default_fabric() -> Fabric:
    """One CUDA GPU, or the CPU; bfloat16 autocast where the hardware multiplies in it.

    Only the networks' matrix products and convolutions are rounded to bfloat16: weights, Adam's
    state and every term of the loss are float32. `benchmarks/throughput.py` measures what it
    gains and what it changes in the test ELBO.
    """
    on_gpu = torch.cuda.is_available()
    native = torch.cuda.is_bf16_supported() if on_gpu else torch.cpu._is_avx512_bf16_supported()
    device = "cuda" if on_gpu else "cpu"
    rounded = MixedPrecision("bf16-mixed", device) if native else None
    return Fabric(accelerator=device, devices=1, plugins=rounded)


def count_steps(images: Tensor | Labeled, *, epochs: int, batch_size: int = 512) -> int:
    """How many steps `fit` takes: whole batches only, `epochs · ⌊N / batch_size⌋`."""
    return epochs * (len(images) // batch_size)


def fit(
    model: nn.Module,
    images: Tensor | Labeled,
    objective: Objective,
    *,
    epochs: int,
    batch_size: int = 512,
    learning_rate: float | Schedule = 2e-3,
    transform: Transform | None = None,
    validation: Tensor | Labeled | None = None,
    seed: int = 0,
    fabric: Fabric | None = None,
    checkpoint: Path | None = None,
) -> History:
    """Lower the mean of an objective over images with Adam.

    All images live on the device; a batch is an index slice of a fresh permutation, and nothing
    waits for the device inside the loop but one look at the terms every 50 steps. Where the
    hardware has bfloat16 units the networks' products use them (`default_fabric`); weights, Adam
    and every loss term stay float32. To compile, call `model.encoder.compile()` and
    `model.decoder.compile()` first.

    Args:
        model: trained in place, and left in evaluation mode on the device it was trained on.
        images: shape `(N, ...)`; what the objective takes, or what `transform` turns into that. As
            `Labeled(images, labels)`, the objective gets both.
        objective: maps (model, x, step, generator) to terms, each `(batch,)`.
        epochs: passes over the images; the last, partial batch of each is left out.
        batch_size: images a step, over all processes together.
        learning_rate: the start of a cosine decay to zero, or any schedule.
        transform: applied to the images of every batch on the device, with the step's generator
            (`vae_course.data.binarize` draws new zeros and ones at every step).
        validation: held-out images; the objective's terms on them are recorded each epoch, by the
            same noise each time.
        seed: of permutations and noise; with it a run repeats bit for bit on one CPU.
        fabric: device, precision and strategy; `default_fabric()` when left out.
        checkpoint: a file; written after every epoch, and resumed from when it is there. The
            resumed run ends in the same weights as one never stopped.

    Returns:
        The history of every term.

    Raises:
        ValueError: sizes that do not fit, or a checkpoint of another run.
        DivergenceError: a term is not finite; it names the step, the term and what to try.
    """
    fabric = fabric or default_fabric()
    fabric.launch()
    _check_sizes(images, epochs, batch_size, fabric.world_size)
    steps = count_steps(images, epochs=epochs, batch_size=batch_size)
    rate = learning_rate if callable(learning_rate) else CosineDecay(steps, learning_rate)
    model.to(fabric.device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    adam = torch.optim.Adam(model.parameters(), lr=rate(0), fused=True)
    on_images = _Step(model, objective, fabric.to_device(images), transform)
    module, optimizer = fabric.setup(on_images, adam)
    held_out = None
    if validation is not None:
        held_out = _Step(model, objective, fabric.to_device(validation), transform)
    run = _Run(fabric, module, optimizer, held_out, rate, on_images.images, batch_size, seed)

    fingerprint = (
        {} if checkpoint is None else _fingerprint(run, model, objective, transform, epochs)
    )
    history = History()
    if checkpoint is not None and checkpoint.exists():
        settings = load_checkpoint(checkpoint, model, adam, fingerprint)
        history = History(**settings["history"])

    first = history.epochs
    quiet = {} if fabric.is_global_zero else {"disable": True}
    bar = tqdm(range(first, epochs), desc="epochs", initial=first, total=epochs, **quiet)
    for epoch in bar:
        history = run.epoch(epoch, history)
        bar.set_postfix({name: f"{curve[-1]:.2f}" for name, curve in history.train.items()})
        if checkpoint is not None and fabric.is_global_zero:
            state = {"fingerprint": fingerprint, "history": history.to_json()}
            save_checkpoint(checkpoint, model, adam, state)
    fabric.barrier()
    model.eval()
    return history


@dataclass(frozen=True)
class _Run:
    """What stays the same from epoch to epoch."""

    fabric: Fabric
    module: Any
    optimizer: Any
    held_out: _Step | None
    rate: Schedule
    images: Tensor | Labeled
    batch_size: int
    seed: int

    def epoch(self, epoch: int, history: History) -> History:
        """Train one pass, look at the held-out images, and return the longer history."""
        batches = self.batches(epoch)
        started = time.perf_counter()
        train = self.train(batches, first_step=epoch * len(batches))
        seconds = time.perf_counter() - started
        held_out = self.evaluate((epoch + 1) * len(batches)) if self.held_out else {}
        return history.extended(train, held_out, seconds, len(batches) * self.batch_size)

    def batches(self, epoch: int) -> Tensor:
        """Return this process's share of a fresh permutation, `(steps, batch_size / processes)`."""
        order = torch.randperm(len(self.images), generator=_seeded("cpu", self.seed, _ORDER, epoch))
        whole = order[: len(order) // self.batch_size * self.batch_size].view(-1, self.batch_size)
        share = whole.chunk(self.fabric.world_size, dim=1)[self.fabric.global_rank]
        return share.to(self.fabric.device)

    def train(self, batches: Tensor, first_step: int) -> dict[str, float]:
        """Take one step for each batch and return the mean of every term."""
        generator = torch.Generator(self.fabric.device)
        done: list[dict[str, float]] = []
        for block in batches.split(_CHECK_EVERY):
            step = first_step + len(done)
            pending = [self.step(index, step + i, generator) for i, index in enumerate(block)]
            means = self.to_host(pending)
            check_finite(means, step)
            done += means
        return {name: sum(means[name] for means in done) / len(done) for name in done[0]}

    def step(self, index: Tensor, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Take one step of Adam on the images of `index`; return the terms, still on the device."""
        _reseed(generator, self.seed, _NOISE, step, self.fabric.global_rank)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate(step)
        terms: dict[str, Tensor] = self.module(index, step, generator)
        self.fabric.backward(terms["loss"])
        self.optimizer.step()
        self.optimizer.zero_grad()
        return {name: term.detach() for name, term in terms.items()}

    def to_host(self, pending: list[dict[str, Tensor]]) -> list[dict[str, float]]:
        """Bring the terms of several steps here in one transfer, averaged over processes."""
        names = list(pending[0])
        table = torch.stack([torch.stack([terms[name] for name in names]) for terms in pending])
        table = cast(Tensor, self.fabric.all_reduce(table, reduce_op="mean"))
        return [dict(zip(names, row, strict=True)) for row in table.tolist()]

    @torch.no_grad()
    def evaluate(self, step: int) -> dict[str, float]:
        """Mean of every term over the held-out images, with the same noise at every call."""
        assert self.held_out is not None
        self.held_out.eval()
        count = len(self.held_out.images)
        generator = _seeded(self.fabric.device, self.seed, _HELD_OUT)
        totals: dict[str, float] = {}
        for index in torch.arange(count, device=self.fabric.device).split(self.batch_size):
            with self.fabric.autocast():
                terms = self.held_out(index, step, generator)
            for name, term in terms.items():
                totals[name] = totals.get(name, 0.0) + float(term) * len(index)
        self.held_out.train()
        return {name: total / count for name, total in totals.items()}


def _fingerprint(
    run: _Run, model: nn.Module, objective: Objective, transform: Transform | None, epochs: int
) -> dict[str, Any]:
    """What has to be the same for a checkpoint to be of this run."""
    data = run.images
    tensors = [data.images, data.labels] if isinstance(data, Labeled) else [data]
    sums = [sum(float(part.double().sum()) for part in tensor.split(1024)) for tensor in tensors]
    return {
        "model": [type(model).__name__, getattr(model, "config", {})],
        "images": [*tensors[0].shape, *sums],
        "epochs": epochs,
        "batch_size": run.batch_size,
        "learning_rate": repr(run.rate),
        "objective": _name(objective),
        "transform": _name(transform),
        "seed": run.seed,
        "processes": run.fabric.world_size,
    }


def _name(thing: object) -> str:
    """Return a name that is the same in another process: no address of this one's memory."""
    return getattr(thing, "__qualname__", None) or repr(thing).split(" at 0x")[0]


def _reseed(generator: torch.Generator, *entropy: int) -> torch.Generator:
    """Seed by a hash of several numbers, so that neighboring steps share nothing."""
    word = SeedSequence(entropy).generate_state(1, "uint64")[0]
    return generator.manual_seed(int(word >> 1))


def _seeded(device: torch.device | str, *entropy: int) -> torch.Generator:
    return _reseed(torch.Generator(device), *entropy)


def _check_sizes(images: Tensor | Labeled, epochs: int, batch_size: int, processes: int) -> None:
    if epochs < 1:
        raise ValueError(f"epochs = {epochs}: training takes at least one pass")
    if not 1 <= batch_size <= len(images):
        raise ValueError(
            f"batch_size = {batch_size} with {len(images)} images: it has to lie between 1 and "
            "their number"
        )
    if batch_size % processes:
        raise ValueError(
            f"batch_size = {batch_size} is shared by {processes} processes: make it a multiple"
        )
