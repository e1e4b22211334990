"""`fit`: the one training loop, on Lightning Fabric."""

import hashlib
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from vae_course import storage
from vae_course.data import Labeled
from vae_course.schedules import Schedule
from vae_course.training import front
from vae_course.training.checkpoint import (
    check_ours,
    load_checkpoint,
    room_needed,
    save_checkpoint,
    stamp,
)
from vae_course.training.feeding import BATCH_SIZE, Feed, Held, Reader, Streamed
from vae_course.training.history import (
    History,
    check_finite,
    check_finite_validation,
    check_weights,
)
from vae_course.training.identity import describe
from vae_course.training.reading import Batch, wants_labels
from vae_course.training.streams import HELD_OUT, NOISE, GlobalStreams, reseed, seeded_generator
from vae_course.training.terms import check_same, check_shapes, terms_of
from vae_course.training.transforms import Transform, as_transform

_CHECK_EVERY = 50  # steps between two looks at the terms: one transfer from the device each


class Objective(Protocol):
    """Terms of a batch: `(batch,)` tensors, in a dataclass or a dict with a `loss`, or the loss."""

    def __call__(
        self, model: Any, x: Any, step: int, generator: torch.Generator | None = None
    ) -> Any:
        """Evaluate on a batch."""
        ...


class _Step(nn.Module):
    """Batch, model and loss as one forward pass, which Fabric wraps and synchronizes."""

    def __init__(self, model: nn.Module, loss: Objective, transform: Transform | None) -> None:
        super().__init__()
        self.model = model
        self.loss = loss
        self.transform = transform

    def forward(
        self, take: Callable[[], Batch], step: int, generator: torch.Generator
    ) -> dict[str, Tensor]:
        x = self.transformed(take(), generator)
        terms = terms_of(self.loss(self.model, x, step, generator))
        check_shapes(terms, len(x))
        return {name: term.float().mean() for name, term in terms.items()}

    def transformed(self, x: Batch, generator: torch.Generator) -> Batch:
        """Transform a batch's images; labels stay what they are."""
        if self.transform is None:
            return x
        if isinstance(x, Labeled):
            return Labeled(self.transform(x.images, generator), x.labels)
        return self.transform(x, generator)


def default_fabric() -> Fabric:
    """One CUDA GPU, or the CPU; bfloat16 autocast where the hardware multiplies in it.

    Where it is emulated (a T4, a processor without AVX512-BF16 or AMX) all is float32. Only the
    networks' matrix products and convolutions are rounded to bfloat16: weights, Adam's state and
    every term of the loss are float32. `benchmarks/throughput.py` measures what it gains and what
    it changes in the test ELBO.
    """
    on_gpu = torch.cuda.is_available()
    device = "cuda" if on_gpu else "cpu"
    native = _multiplies_on_gpu() if on_gpu else _multiplies_on_cpu()
    rounded = MixedPrecision("bf16-mixed", device) if native else None
    return Fabric(accelerator=device, devices=1, plugins=rounded)


def _multiplies_on_gpu() -> bool:
    return bool(torch.cuda.is_bf16_supported(including_emulation=False))


def _multiplies_on_cpu() -> bool:
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def count_steps(data: Any, *, epochs: int, batch_size: int | None = None) -> int:
    """How many steps `fit` takes.

    Whole batches only, `epochs · ⌊N / batch_size⌋`, of data with a length; of a `DataLoader`
    all the batches that it gives.

    Raises:
        TypeError: a loader whose data set has no length.
    """
    if isinstance(data, DataLoader):
        return epochs * len(data)
    return epochs * (len(data) // (batch_size or min(BATCH_SIZE, len(data))))


def fit(
    model: nn.Module,
    data: Any,
    loss: Objective,
    *,
    epochs: int,
    batch_size: int | None = None,
    learning_rate: float | Schedule = 2e-3,
    transform: Callable[..., Tensor] | None = None,
    validation: Any = None,
    seed: int = 0,
    fabric: Fabric | None = None,
    checkpoint: str | Path | None = None,
) -> History:
    """Lower the mean of a loss over images with Adam.

    Images in memory live on the device; a batch is an index slice of a fresh permutation, and
    nothing waits for the device inside the loop but one look at the terms every 50 steps. Where the
    hardware has bfloat16 units the networks' products use them (`default_fabric`); weights, Adam
    and every loss term stay float32. To compile, call `model.encoder.compile()` and
    `model.decoder.compile()` first.

    >>> import torch
    >>> from vae_course.models import VAE
    >>> from vae_course.objectives import ELBOLoss
    >>> from vae_course.training import fit
    >>> images = torch.rand(64, 1, 8, 8).round()
    >>> model = VAE(image_shape=(1, 8, 8), latent_dim=2, widths=(16,))
    >>> history = fit(model, images, ELBOLoss(), epochs=3, batch_size=16)
    >>> history.epochs, history.images_seen, list(history.train)
    (3, 192, ['loss', 'reconstruction', 'kl'])

    What `data` and `validation` may be:

    - a tensor or numpy array `(N, …)`, or `Labeled(images, labels)`, held in memory;
    - an `ImageSet`, or any map-style `Dataset` of images or (image, label), where an image is a
      tensor, an array or a PIL image in gray or color. It is read once, into one tensor: memory is
      N times one image in the item's own type, and random transforms in it are drawn once;
    - a `DataLoader` of batches of images or (images, labels), streamed: nothing is kept.

    Labels of the last two go to a loss that annotates its second parameter `x: Labeled`; any other
    gets images alone. Floats are cast to the weights' type; bytes need a transform.

    Everything is looked at before the first step: kinds, shapes, values that are not finite, values
    outside the support of `model.likelihood` as the transform leaves them (all images without one,
    one batch with one).

    Args:
        model: trained in place, and left in evaluation mode on the device it was trained on.
        data: see above.
        loss: maps (model, x, step, generator) to terms, each `(batch,)`: a dataclass or a dict with
            one called `loss`, or a tensor, which is the loss. Only `fit` takes a mean.
        epochs: passes over the images; of images in memory the last, partial batch of each pass is
            left out, of a loader's batches none.
        batch_size: images a step, over all processes together; 512, or all if there are fewer,
            when left out. A loader has its own.
        learning_rate: the start of a cosine decay to zero, or any schedule: a function of the step.
        transform: of (images) or (images, generator); applied to the images of every batch on the
            device, with the step's generator (`vae_course.data.binarize` draws new zeros and ones
            at every step).
        validation: held-out images; the loss's terms on them are recorded each epoch, by the
            same noise each time.
        seed: of permutations and noise; with it a run repeats bit for bit on one CPU.
        fabric: device, precision and strategy; `default_fabric()` when left out.
        checkpoint: a file; written after every epoch, and resumed from when it is there. The
            resumed run ends in the same weights as one never stopped, where all that is random
            comes from the step's generator or, in a run of one process, from torch's global ones
            (dropout). A loader's order is ours where it comes from torch's global generator
            (`shuffle=True`); a generator or sampler of its own, an `IterableDataset`, persistent
            workers get a warning. What the checkpoint knows of the data is all bytes of images in
            memory, and of a loader its sizes, first and last item.

    Returns:
        The history of every term.

    Raises:
        TypeError: an argument, or a term, of a kind that is not taken.
        ValueError: sizes, shapes or values that do not fit, or a checkpoint of another run.
        OSError: the checkpoint cannot be written, which is tried before the first step.
        DivergenceError: a term or a weight is not finite; it names the step and what to try.
        FileExistsError: another run has written the checkpoint since this one did.
    """
    fabric = default_fabric() if fabric is None else fabric
    if not isinstance(fabric, Fabric):
        raise TypeError(
            f"fabric = {fabric!r:.80} is no lightning_fabric.Fabric: give "
            "Fabric(accelerator='cuda'), for example"
        )
    fabric.launch()
    front.check_call(model, loss)
    epochs = front.as_whole("epochs", epochs, 1, "training takes at least one pass")
    seed = front.as_whole("seed", seed, 0, "a seed is not negative")
    change = as_transform(transform)
    reader = Reader(wants_labels(loss), front.dtype_of(model), seed, fabric)
    train = reader.open(data, "data", batch_size)
    held_out = None
    if validation is not None:
        held_out = reader.open(validation, "validation", batch_size or train.batch_size)
    rate = front.as_rate(learning_rate, None if train.steps is None else epochs * train.steps)
    model.to(fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    adam = torch.optim.Adam(model.parameters(), lr=rate(0), fused=True)
    module, optimizer = fabric.setup(_Step(model, loss, change), adam)
    watched = _Step(model, loss, change)
    run = _Run(fabric, module, optimizer, watched, train, held_out, rate, seed)

    path = None if checkpoint is None else Path(checkpoint).expanduser()
    identity = {} if path is None else _fingerprint(run, transform, epochs)
    state, moved = _State(), dict[str, Tensor]()
    if path is not None and path.exists():
        settings, moved = load_checkpoint(path, model, adam, identity)
        state = _State(History(**settings["history"]), settings["step"])
    first = state.history.epochs
    if first < epochs:
        run.look(first)
        if path is not None:
            _check_file(path, model, train, fabric)

    streams = GlobalStreams(fabric.device)
    streams.restore(moved)
    quiet = {} if fabric.is_global_zero else {"disable": True}
    bar = tqdm(range(first, epochs), desc="epochs", initial=first, total=epochs, **quiet)
    ours = stamp(path)
    with _as_it_was_if_refused(model, adam):
        for epoch in bar:
            state = run.epoch(epoch, state)
            bar.set_postfix({name: f"{c[-1]:.2f}" for name, c in state.history.train.items()})
            if path is not None and fabric.is_global_zero:
                settings = {"fingerprint": identity, "step": state.step}
                settings["history"] = state.history.to_json()
                check_ours(path, ours)
                save_checkpoint(path, model, adam, settings, streams.moved())
                ours = stamp(path)
    fabric.barrier()
    model.eval()
    return state.history


@contextmanager
def _as_it_was_if_refused(model: nn.Module, adam: torch.optim.Optimizer) -> Iterator[None]:
    """Train; a run that ends before its first step leaves modes and buffers as they were."""
    modes = {part: part.training for part in model.modules()}
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    fresh = not adam.state
    model.train()
    try:
        yield
    except BaseException:
        if fresh and not adam.state:
            for part, training in modes.items():
                part.training = training
            for buffer, before in buffers:
                buffer.copy_(before)
        raise


@dataclass(frozen=True)
class _State:
    """Where a run stands: what it has recorded, and how many steps it has taken."""

    history: History = field(default_factory=History)
    step: int = 0


@dataclass(frozen=True)
class _Run:
    """What stays the same from epoch to epoch."""

    fabric: Fabric
    module: Any
    optimizer: Any
    watched: _Step  # the same model and loss, outside of Fabric's wrapper
    images: Held | Streamed
    held_out: Held | Streamed | None
    rate: Schedule
    seed: int

    def look(self, epoch: int) -> None:
        """Look at one batch of each feed; at all images where no transform changes them."""
        batch = self.images.look(epoch)
        step, device = self.watched, self.fabric.device
        front.look(batch, step.model, step.transform, "data", self.seed, device)
        feeds: list[tuple[str, Held | Streamed]] = [("data", self.images)]
        if self.held_out is not None:
            held_out = self.held_out.look(0)
            front.check_alike(batch, held_out)
            front.look(held_out, step.model, step.transform, "validation", self.seed, device)
            feeds.append(("validation", self.held_out))
        for name, feed in feeds:
            if step.transform is None and isinstance(feed, Held):
                front.check_support(step.model, front.images_and_labels(feed.images)[0], name)
            if isinstance(feed, Held):
                front.check_labels(step.model, feed.images, name)

    def epoch(self, epoch: int, state: _State) -> _State:
        """Train one pass, look at the held-out images, and return where the run stands then."""
        feed = self.images.epoch(epoch)
        started = time.perf_counter()
        terms, counts = self.train(feed, state.step)
        seconds = time.perf_counter() - started
        if not counts:
            raise ValueError(
                f"data gave no batch in epoch {epoch + 1}: a loader's data set has to start anew "
                "each time that it is iterated"
            )
        step = state.step + len(counts)
        check_same(state.history.train or terms[0], terms[0], f"step {state.step}")
        check_weights(self.watched.model, step - 1)
        held_out = {} if self.held_out is None else self.evaluate(self.held_out, step)
        train = _weighted_mean(terms, [count / counts[0] for count in counts])
        return _State(state.history.extended(train, held_out, seconds, sum(counts)), step)

    def train(self, feed: Feed, first_step: int) -> tuple[list[dict[str, float]], list[int]]:
        """Take one step for each batch; return the terms of each, and its number of images."""
        generator = torch.Generator(self.fabric.device)
        done: list[dict[str, float]] = []
        pending: list[dict[str, Tensor]] = []
        counts: list[int] = []
        for take, count in feed:
            pending.append(self.step(take, first_step + len(counts), generator))
            counts.append(count)
            if len(pending) == _CHECK_EVERY:
                done += self.to_host(pending, first_step + len(done))
                pending = []
        if pending:
            done += self.to_host(pending, first_step + len(done))
        return done, counts

    def step(
        self, take: Callable[[], Batch], step: int, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Take one step of Adam on a batch; return the terms, still on the device."""
        reseed(generator, self.seed, NOISE, step, self.fabric.global_rank)
        rate = self.rate(step)
        front.check_rate(rate, step)
        for group in self.optimizer.param_groups:
            group["lr"] = float(rate)
        terms: dict[str, Tensor] = self.module(take, step, generator)
        if not terms["loss"].requires_grad:
            raise ValueError(
                f"step {step}: the loss does not depend on any weight that requires a gradient: "
                "look for `.detach()`, `.item()` or `torch.no_grad()` in it"
            )
        self.fabric.backward(terms["loss"])
        self.optimizer.step()
        self.optimizer.zero_grad()
        return {name: term.detach() for name, term in terms.items()}

    def to_host(self, pending: list[dict[str, Tensor]], first_step: int) -> list[dict[str, float]]:
        """Bring the terms of several steps here in one transfer, averaged over processes."""
        names = list(pending[0])
        for offset, terms in enumerate(pending):
            check_same(names, terms, f"step {first_step + offset}")
        table = torch.stack([torch.stack([terms[name] for name in names]) for terms in pending])
        table = cast(Tensor, self.fabric.all_reduce(table, reduce_op="mean"))
        means = [dict(zip(names, row, strict=True)) for row in table.tolist()]
        check_finite(means, first_step)
        return means

    @torch.no_grad()
    def evaluate(self, feed: Held | Streamed, step: int) -> dict[str, float]:
        """Mean of every term over the held-out images, with the same noise at every call."""
        self.watched.eval()
        generator = seeded_generator(self.fabric.device, self.seed, HELD_OUT)
        totals: dict[str, float] = {}
        seen = 0
        for take, count in feed.in_order():
            with self.fabric.autocast():
                terms = self.watched(take, step, generator)
            check_same(totals or terms, terms, "validation")
            for name, term in terms.items():
                totals[name] = totals.get(name, 0.0) + float(term) * count
            seen += count
        self.watched.train()
        means = {name: total / seen for name, total in totals.items()}
        check_finite_validation(means, step)
        return means


def _weighted_mean(terms: list[dict[str, float]], weights: list[float]) -> dict[str, float]:
    """Mean over an epoch's batches; a loader's last one may be smaller than the others."""
    whole = sum(weights)
    return {
        name: sum(weight * means[name] for weight, means in zip(weights, terms, strict=True))
        / whole
        for name in terms[0]
    }


def _fingerprint(run: _Run, transform: object, epochs: int) -> dict[str, Any]:
    """What has to be the same for a checkpoint to be of this run."""
    model = run.watched.model
    layout = {
        name: [str(weight.dtype), *weight.shape, weight.requires_grad]
        for name, weight in model.state_dict(keep_vars=True).items()
    }
    parts = hashlib.sha256(repr(model).encode()).hexdigest()[:16]  # activations, dropout's p
    return {
        "model": [type(model).__name__, describe(getattr(model, "config", {})), describe(layout)],
        "parts": parts,
        "validation": None if run.held_out is None else run.held_out.identity(),
        "data": run.images.identity(),
        "epochs": epochs,
        "batch_size": run.images.batch_size,
        "learning_rate": describe(run.rate),
        "loss": describe(run.watched.loss),
        "transform": describe(transform),
        "seed": run.seed,
        "processes": run.fabric.world_size,
    }


def _check_file(path: Path, model: nn.Module, feed: Held | Streamed, fabric: Fabric) -> None:
    """See that a checkpoint can be written; warn where resuming from it is not exact."""
    if fabric.is_global_zero:
        storage.rehearse(path, room_needed(model))
    if isinstance(feed, Streamed) and not feed.order_is_ours():
        warnings.warn(
            "the order of this loader is its own (a generator, sampler or IterableDataset, or "
            "persistent workers): a resumed run sees other batches than one never stopped; "
            "shuffle=True without a generator makes it exact",
            stacklevel=3,
        )
