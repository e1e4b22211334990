"""What data may be: tensors, arrays and image sets as they are, map-style data sets read once."""

from collections.abc import Callable, Mapping
from inspect import Parameter, Signature, signature
from pathlib import PurePath
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset
from tqdm import tqdm

from vae_course.data import ImageSet, Labeled
from vae_course.training.streams import READING, OwnStream

Batch: TypeAlias = Tensor | Labeled

ACCEPTED = (
    "a tensor, a numpy array, Labeled(images, labels), an ImageSet, a map-style Dataset or a "
    "DataLoader"
)
_EXACT_IN_SIGNED = {torch.uint16: torch.int32, torch.uint32: torch.int64}


def signature_of(called: Callable[..., Any]) -> Signature:
    """What a function, an object or a module takes.

    Raises:
        ValueError: it is built in, and does not say.
    """
    return signature(called.forward if isinstance(called, nn.Module) else called)


def wants_labels(loss: Callable[..., Any]) -> bool | None:
    """Whether a loss's second parameter is annotated `Labeled`, `Tensor`, or neither (None)."""
    places = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    given = [value for value in signature_of(loss).parameters.values() if value.kind in places]
    asked = given[1].annotation if len(given) > 1 else Parameter.empty
    name = asked if isinstance(asked, str) else getattr(asked, "__name__", "")
    return {"Labeled": True, "Tensor": False}.get(name.rsplit(".", 1)[-1])


def read(data: Any, name: str, labels: bool | None) -> Batch | DataLoader[Any]:
    """Return images in memory, with labels or without, or the loader that streams them.

    Args:
        data: one of `ACCEPTED`.
        name: what messages call it.
        labels: what `wants_labels` says of the loss.

    Raises:
        TypeError: data of another kind, or labels that the loss does not take, or that it needs.
        ValueError: no images, items of different shapes.
    """
    if isinstance(data, DataLoader):
        return data
    if isinstance(data, Labeled):
        if labels is False:
            raise TypeError(
                f"{name} is Labeled, but the loss takes a Tensor of images alone: give "
                f"{name}.images, or a loss whose x is Labeled"
            )
        return Labeled(read_images(data.images, name), as_labels(data.labels))
    if isinstance(data, ImageSet):
        return with_labels(data.images, data.labels, name, labels)
    if isinstance(data, Tensor | np.ndarray):
        return with_labels(read_images(data, name), None, name, labels)
    return _read_items(data, name, labels)


def with_labels(images: Tensor, known: Tensor | None, name: str, labels: bool | None) -> Batch:
    """Labels go to a loss that says `x: Labeled`, and to no other."""
    if not labels:
        return images
    if known is None:
        raise TypeError(
            f"the loss takes Labeled images and {name} has no labels: give Labeled(images, labels)"
        )
    return Labeled(images, as_labels(known))


def split(item: Any, name: str) -> tuple[Any, Any]:
    """Return image and label, or None, of an item or of a loader's batch.

    Raises:
        TypeError: it is neither an image nor (image,) nor (image, label).
    """
    if isinstance(item, tuple | list) and len(item) in (1, 2):
        return item[0], item[1] if len(item) == 2 else None
    if isinstance(item, Tensor | np.ndarray) or hasattr(item, "getbands"):
        return item, None
    kind = f"{type(item).__name__} of {len(item)}" if hasattr(item, "__len__") else repr(item)
    raise TypeError(
        f"{name} gives {kind:.80}: an item has to be an image (tensor, array or PIL), or "
        "(image, label); wrap the data set in one whose `__getitem__` returns that"
    )


def read_images(images: Any, name: str) -> Tensor:
    """Return a tensor of an array's, a tensor's or a PIL image's own values, detached.

    Raises:
        TypeError: values that are no numbers, or a PIL mode that is neither gray nor color.
    """
    if hasattr(images, "getbands"):
        if images.mode not in ("L", "RGB", "RGBA"):
            raise TypeError(
                f"{name} has a PIL image of mode {images.mode!r}: convert it to 'L' or 'RGB'"
            )
        array = np.asarray(images)
        images = array[None] if array.ndim == 2 else array.transpose(2, 0, 1)
    if isinstance(images, np.ndarray | np.generic):
        images = _from_numpy(np.asarray(images), name)
    if not isinstance(images, Tensor):
        raise TypeError(f"{name} is {type(images).__name__}: give {ACCEPTED}")
    if images.is_complex() or images.layout != torch.strided or images.dtype == torch.uint64:
        raise TypeError(f"{name} is {images.dtype}, {images.layout}: images are dense real numbers")
    return images.detach().to(_EXACT_IN_SIGNED.get(images.dtype, images.dtype))


def _from_numpy(array: np.ndarray[Any, Any], name: str) -> Tensor:
    """Return a tensor of the same values, in the same memory where torch can read it there."""
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} is an array of {array.dtype}: images are numbers")
    wide = array.dtype.kind == "f" and array.dtype.itemsize > 8
    native = np.dtype("float64") if wide else array.dtype.newbyteorder("=")
    array = np.ascontiguousarray(array, native)
    return torch.from_numpy(array if array.flags.writeable else array.copy())


def as_labels(labels: Any) -> Tensor:
    """Return labels as a tensor; one integer an image becomes int64, as indices are.

    Raises:
        TypeError: labels that are no numbers.
    """
    try:
        array = isinstance(labels, np.ndarray)
        tensor = (_from_numpy(labels, "labels") if array else torch.as_tensor(labels)).detach()
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(
            f"labels are {type(labels).__name__}, not numbers ({error}): number the classes"
        ) from error
    whole = not (tensor.is_floating_point() or tensor.is_complex())
    return tensor.long() if whole and tensor.dim() <= 1 else tensor


def _read_items(data: Any, name: str, labels: bool | None) -> Batch:
    """Read every item of a map-style data set once, into one tensor."""
    size = _count(data, name)
    images, known = torch.empty(0), []
    with OwnStream(0, READING):
        for index in tqdm(range(size), desc=f"reading {name}"):
            try:
                item = data[index]
            except Exception as error:  # whatever a file or somebody's code says
                raise ValueError(
                    f"item {index} of {name} cannot be read ({type(error).__name__}: {error}): "
                    "mend it or leave it out"
                ) from error
            image, label = split(item, name)
            one = read_images(image, f"item {index} of {name}")
            if index == 0:
                images = torch.empty((size, *one.shape), dtype=one.dtype)
            if one.shape != images.shape[1:] or one.dtype != images.dtype:
                raise ValueError(
                    f"item {index} of {name} is {one.dtype} {tuple(one.shape)} and item 0 "
                    f"{images.dtype} {tuple(images.shape[1:])}: resize or crop them to one shape"
                )
            images[index] = one
            if labels and label is not None:
                known.append(as_labels(label))
    return with_labels(images, torch.stack(known) if known else None, name, labels)


def _count(data: Any, name: str) -> int:
    """How many items a map-style data set has."""
    if hasattr(data, "to_numpy"):
        raise TypeError(f"{name} is {type(data).__name__}: give {name}.to_numpy()")
    if isinstance(data, tuple):
        raise TypeError(f"{name} is a tuple: give Labeled(images, labels)")
    if isinstance(data, IterableDataset):
        raise TypeError(f"{name} is an IterableDataset: wrap it in a DataLoader, which streams it")
    known = hasattr(data, "__getitem__") and hasattr(data, "__len__")
    if isinstance(data, str | PurePath):
        raise TypeError(
            f"{name} = {str(data)!r} is a path: torchvision.datasets.ImageFolder(path, transform) "
            "reads a folder of images"
        )
    if not known or isinstance(data, bytes | Mapping | type):
        raise TypeError(f"{name} is {type(data).__name__}: give {ACCEPTED}")
    if len(data) == 0:
        raise ValueError(f"{name} is empty: there is nothing to train on")
    return len(data)
