"""Where batches come from: images held on the device, or a loader that streams them."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any, TypeAlias

import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.utils.data import (
    DataLoader,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

from vae_course.data import Labeled
from vae_course.training import front
from vae_course.training.identity import describe, digest_of
from vae_course.training.reading import Batch, as_labels, read, read_images, split, with_labels
from vae_course.training.streams import HELD_OUT_ORDER, ORDER, OwnStream, seeded_generator

# A batch is a function that takes it out of where it is, and how many images of the step's it is:
# a tensor would be rounded to bfloat16 on its way through Fabric, in which neighboring gray levels
# are one.
BATCH_SIZE = 512
Feed: TypeAlias = Iterable[tuple[Callable[[], Batch], int]]


class Held:
    """Images on the device; a batch is an index slice of a fresh permutation."""

    def __init__(self, images: Batch, batch_size: int, seed: int, fabric: Fabric) -> None:
        """Move them to the device."""
        self.images: Batch = fabric.to_device(images)
        self.batch_size = batch_size
        self.seed = seed
        self.fabric = fabric
        self.steps = len(images) // batch_size

    def look(self, epoch: int) -> Batch:
        """Return a batch of the first images, for checks: a copy, as a step's batches are."""
        return self.images[torch.arange(min(self.batch_size, len(self.images)))]

    def epoch(self, epoch: int) -> Feed:
        """This process's share of whole batches of a fresh permutation."""
        order = torch.randperm(
            len(self.images), generator=seeded_generator("cpu", self.seed, ORDER, epoch)
        )
        whole = order[: self.steps * self.batch_size].view(-1, self.batch_size)
        share = whole.chunk(self.fabric.world_size, dim=1)[self.fabric.global_rank]
        return [(self._at(index), self.batch_size) for index in share.to(self.fabric.device)]

    def in_order(self) -> Feed:
        """All images, the last, partial batch included."""
        every = torch.arange(len(self.images), device=self.fabric.device)
        return [(self._at(index), len(index)) for index in every.split(self.batch_size)]

    def identity(self) -> list[str]:
        """Shape and digest of all bytes."""
        parts = (
            (self.images.images, self.images.labels)
            if isinstance(self.images, Labeled)
            else (self.images,)
        )
        return [str(list(parts[0].shape)), digest_of(*parts)]

    def _at(self, index: Tensor) -> Callable[[], Batch]:
        return partial(self.images.__getitem__, index)


class Streamed:
    """A `DataLoader`, whose draws from torch's global generator are a function of (seed, epoch)."""

    def __init__(self, loader: DataLoader[Any], name: str, reader: "Reader") -> None:
        """Remember how to read its batches."""
        self.loader = loader
        self.name = name
        self.reader = reader
        self.seed = reader.seed
        self.fabric = reader.fabric
        self.batch_size = loader.batch_size
        self.steps = steps_of(loader)
        self._opened: dict[int, Feed] = {}

    def look(self, epoch: int) -> Batch:
        """Return the first batch of an epoch, which is trained on later all the same."""
        feed = iter(self.epoch(epoch))
        first = next(feed, None)
        if first is None:
            raise ValueError(
                f"{self.name} is empty, it gives no batch: its data set has no items, or fewer "
                "than one batch with drop_last=True"
            )
        self._opened[epoch] = chain([first], feed)
        return first[0]()

    def epoch(self, epoch: int) -> Feed:
        """Batches in the loader's order, drawn by (seed, epoch)."""
        fresh = self._batches(OwnStream(self.seed, ORDER, epoch), epoch)
        return self._opened.pop(epoch, fresh)

    def in_order(self) -> Feed:
        """Batches in the same order at every call."""
        return self._batches(OwnStream(self.seed, HELD_OUT_ORDER), 0)

    def identity(self) -> list[str]:
        """What can be known without reading all: kinds, sizes, and the first and the last item."""
        loader, kinds = self.loader, (self.loader.dataset, self.loader.sampler)
        known = [type(kind).__qualname__ for kind in kinds]
        known += [f"batch_size={loader.batch_size}, drop_last={loader.drop_last}"]
        if _is_iterable(loader):
            return known
        count = len(loader.dataset)  # type: ignore[arg-type]
        with OwnStream(self.seed, ORDER):
            ends = [loader.dataset[index] for index in sorted({0, count - 1}) if count]
        return [*known, str(count), describe([_bytes_of(end) for end in ends])]

    def order_is_ours(self) -> bool:
        """Whether (seed, epoch) say all about the order, as far as the loader shows."""
        loader = self.loader
        own = (RandomSampler, SequentialSampler, SubsetRandomSampler, WeightedRandomSampler)
        return (
            not _is_iterable(loader)
            and (type(loader.sampler) in own or hasattr(loader.sampler, "set_epoch"))
            and getattr(loader.sampler, "generator", None) is None
            and loader.generator is None
            and not loader.persistent_workers
            and type(loader.batch_sampler) in (torch.utils.data.BatchSampler, type(None))
        )

    def _batches(self, stream: OwnStream, epoch: int) -> Iterator[tuple[Callable[[], Batch], int]]:
        if hasattr(self.loader.sampler, "set_epoch"):
            self.loader.sampler.set_epoch(epoch)
        with stream:
            batches = iter(self.loader)
        for number in range(1 << 62):
            with stream:
                batch = next(batches, None)
            if batch is None:
                return
            read = self.reader.batch(batch, f"batch {number} of epoch {epoch + 1} of {self.name}")
            on_device: Batch = self.fabric.to_device(read)
            yield partial(_itself, on_device), len(read) * self.fabric.world_size


def _itself(batch: Batch) -> Batch:
    return batch


def _bytes_of(item: Any) -> Any:
    """An item as values that have bytes: a PIL image has none of its own."""
    if isinstance(item, tuple | list):
        return [_bytes_of(part) for part in item]
    return read_images(item, "an item") if hasattr(item, "getbands") else item


def _is_iterable(loader: DataLoader[Any]) -> bool:
    return isinstance(loader.dataset, IterableDataset)


def steps_of(loader: DataLoader[Any]) -> int | None:
    """How many batches a loader gives, where it knows."""
    try:
        return len(loader)
    except TypeError:
        return None


@dataclass(frozen=True)
class Reader:
    """How data of any kind become batches, each looked at before it is trained on.

    Attributes:
        labels: whether the loss takes labels; None where it does not say.
        dtype: of the weights.
        seed: of the run.
        fabric: of the run.
    """

    labels: bool | None
    dtype: torch.dtype
    seed: int
    fabric: Fabric

    def open(self, data: Any, name: str, batch_size: int | None) -> Held | Streamed:
        """Return the feed of all that `data` may be; images in memory are looked at as a whole.

        Raises:
            TypeError: data of no kind that is taken.
            ValueError: no images, values that are not finite, sizes that do not fit.
        """
        given = read(data, name, self.labels)
        if isinstance(given, DataLoader):
            self._check_loader(given, name, batch_size)
            return Streamed(given, name, self)
        images = front.in_dtype(given, self.dtype)
        front.check_rows(images, name)
        if batch_size is None:
            size = min(BATCH_SIZE, len(images))
        else:
            size = front.as_whole("batch_size", batch_size, 1, "a step takes at least one image")
        if name == "data":
            front.check_batch_size(images, size, self.fabric.world_size)
        front.check_finite_images(images, name)
        return Held(images, size, self.seed, self.fabric)

    def batch(self, batch: Any, name: str) -> Batch:
        """Return images and labels, where the loss takes them, of what a loader gave."""
        images, known = split(batch, name)
        known = None if known is None else as_labels(known)
        given = with_labels(read_images(images, name), known, name, self.labels)
        front.check_rows(given, name)
        given = front.in_dtype(given, self.dtype)
        front.check_finite_images(given, name)
        return given

    def _check_loader(self, loader: DataLoader[Any], name: str, batch_size: int | None) -> None:
        if name == "data" and batch_size not in (None, loader.batch_size):
            raise ValueError(
                f"batch_size = {batch_size} and the loader's is {loader.batch_size}: leave it out"
            )
        if self.fabric.world_size > 1 and not hasattr(loader.sampler, "set_epoch"):
            raise ValueError(
                f"{self.fabric.world_size} processes would all see the same batches of {name}: "
                "give the loader sampler=DistributedSampler(dataset)"
            )
        if steps_of(loader) == 0:
            raise ValueError(
                f"{name} is empty: its data set has no items, or fewer than one batch with "
                "drop_last=True"
            )
