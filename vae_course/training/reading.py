"""What data may be: tensors, arrays and image sets as they are, map-style data sets read once."""

from collections.abc import Callable, Mapping
from inspect import Parameter, Signature, signature
from os import PathLike
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
    if isinstance(item, str | PathLike):
        raise TypeError(
            f"{name} is {item!r:.80}, a path and no image: open it where the data set gives items, "
            "PIL.Image.open(path), as torchvision.datasets.ImageFolder does"
        )
    raise TypeError(
        f"{name} is {_kind(item)}: an item has to be an image (tensor, array or PIL), or (image, "
        "label); wrap the data set in one whose `__getitem__` returns that"
    )


def split_batch(batch: Any, name: str) -> tuple[Any, Any]:
    """Return images and labels, or None, of what a loader gave.

    Raises:
        TypeError: it is neither images nor (images,) nor (images, labels).
    """
    pair = isinstance(batch, tuple | list) and len(batch) in (1, 2)
    images, *labels = batch if pair else [batch]
    if isinstance(images, Tensor | np.ndarray):
        return images, labels[0] if labels else None
    raise TypeError(
        f"{name} is {_kind(batch)}: a batch has to be images, one tensor or array (N, …), or "
        "(images, labels); let the data set give tensors, by transforms.ToTensor() of PIL images, "
        "and the loader's collate_fn stack them"
    )


def _kind(value: Any) -> str:
    """What it is, in a few words, and what is in it."""
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)}: {', '.join(map(_name, value)):.60}"
    return f"a dict of {list(value)!r:.60}" if isinstance(value, Mapping) else f"{value!r:.80}"


def _name(value: Any) -> str:
    return type(value).__name__


def said(error: Exception) -> str:
    """An error in one line; a worker's comes with its whole traceback, of which it is the last."""
    lines = str(error).strip().splitlines()
    return lines[-1] if len(lines) > 1 else f"{type(error).__name__}: {error}"


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
            image, label = split(_item(data, index, name), f"item {index} of {name}")
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


def _item(data: Any, index: int, name: str) -> Any:
    """Take an item; what the data set raises is said with its number, and its file if known."""
    try:
        return data[index]
    except Exception as error:
        files = getattr(data, "samples", None)  # torchvision's folders: (path, class) for each
        path = f" ({files[index][0]})" if isinstance(files, list) else ""
        raise ValueError(
            f"item {index} of {name}{path} cannot be read ({said(error)}): mend it or leave it out"
        ) from error


def _count(data: Any, name: str) -> int:
    """How many items a map-style data set has."""
    if hasattr(data, "to_numpy"):
        raise TypeError(f"{name} is {type(data).__name__}: give {name}.to_numpy()")
    if isinstance(data, tuple):
        raise TypeError(f"{name} is a tuple: give Labeled(images, labels)")
    if isinstance(data, IterableDataset):
        raise TypeError(f"{name} is an IterableDataset: wrap it in a DataLoader, which streams it")
    if isinstance(data, str | PathLike):
        raise TypeError(
            f"{name} is {data!r:.80}, a path and no image: a folder of folders is read by "
            "torchvision.datasets.ImageFolder(path, transform=ToTensor()), an array by "
            "numpy.load(path)"
        )
    known = hasattr(data, "__getitem__") and hasattr(data, "__len__")
    if not known or isinstance(data, bytes | Mapping | type):
        raise TypeError(f"{name} is {type(data).__name__}: give {ACCEPTED}")
    if len(data) == 0:
        raise ValueError(f"{name} is empty: there is nothing to train on")
    return len(data)
