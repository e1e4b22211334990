"""The one check at the front: everything a run can be refused for, before its first step.

Each refusal is one sentence that names the thing, its value and the way out.
"""

import math
import operator
from collections.abc import Callable
from numbers import Real
from typing import Any

import torch
from torch import Tensor, nn

from vae_course.data import Labeled
from vae_course.objectives.observed import inner_model, likelihood_of
from vae_course.schedules import CosineDecay, Schedule, as_schedule
from vae_course.training.reading import Batch, signature_of
from vae_course.training.streams import LOOK, seeded_generator
from vae_course.training.transforms import Transform

_PART = 4096  # images looked at together


def check_call(model: Any, loss: Any) -> None:
    """Raise unless model and loss are of the kinds that `fit` takes.

    Raises:
        TypeError: model or loss is of another kind.
        ValueError: a weight of the model has no use, or a loss has weights of its own.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model = {model!r:.80} is no torch.nn.Module: give one, made, not a class")
    _check_loss(loss, model)
    if dtype_of(model) in (torch.bfloat16, torch.float16):
        raise ValueError(
            f"the weights are {dtype_of(model)}: train in float32, model.float(); `fit` itself "
            "multiplies in bfloat16 where the hardware does"
        )
    if not any(weight.requires_grad for weight in model.parameters()):
        raise ValueError(
            f"{type(model).__name__} has no weight that requires a gradient: there is nothing to "
            "train; call model.requires_grad_(True) if it was frozen"
        )
    for name, weight in model.named_parameters():
        if not weight.isfinite().all():
            raise ValueError(
                f"the weight {name!r} is not finite before the first step: make the model anew"
            )


def _check_loss(loss: Any, model: nn.Module) -> None:
    if isinstance(loss, type):
        raise TypeError(f"loss = {loss.__name__} is a class: make one, {loss.__name__}(…)")
    if not callable(loss):
        raise TypeError(f"loss = {loss!r:.80} cannot be called: give ELBOLoss(), for example")
    try:
        takes = signature_of(loss)
    except ValueError as error:  # built in
        raise TypeError(f"{error}: `fit` calls loss(model, x, step, generator)") from error
    try:
        takes.bind("model", "x", 0, "generator")
    except TypeError as error:
        raise TypeError(
            f"loss takes {takes}: `fit` calls it as loss(model, x, step, generator)"
        ) from error
    if isinstance(loss, nn.Module):
        trained = set(map(id, model.parameters()))
        for name, weight in loss.named_parameters():
            if weight.requires_grad and id(weight) not in trained:
                raise ValueError(
                    f"the loss has a weight of its own, {name!r}, and `fit` trains the model's: "
                    "make it a part of the model, or call loss.requires_grad_(False)"
                )


def as_whole(name: str, value: Any, least: int, reason: str) -> int:
    """Return a whole number of any kind, numpy's or torch's, as Python's own.

    Raises:
        TypeError: it is none.
        ValueError: it is below the least.
    """
    try:
        whole = operator.index(value)
    except TypeError as error:
        raise TypeError(f"{name} = {value!r} is not a whole number") from error
    if isinstance(value, bool):
        raise TypeError(f"{name} = {value!r} is not a whole number")
    if whole < least:
        raise ValueError(f"{name} = {whole}: {reason}")
    return whole


def check_batch_size(images: Batch, batch_size: int, processes: int) -> None:
    """Raise `ValueError` unless batches of this size can be taken and shared."""
    if not 1 <= batch_size <= len(images):
        raise ValueError(
            f"batch_size = {batch_size} with {len(images)} images: it has to lie between 1 and "
            "their number"
        )
    if batch_size % processes:
        raise ValueError(
            f"batch_size = {batch_size} is shared by {processes} processes: make it a multiple"
        )


def as_rate(learning_rate: float | Schedule, steps: int | None) -> Schedule:
    """Return a schedule as it is, and a number as the start of a cosine decay over all steps.

    Raises:
        TypeError: neither a number nor a schedule.
        ValueError: a number that is negative or not finite, or a loader without a length.
    """
    rate = as_schedule(learning_rate)
    if not callable(learning_rate):
        if steps is None:
            raise ValueError(
                f"learning_rate = {learning_rate} is the start of a decay over all steps, and this "
                f"loader does not know how many there are: give Constant({learning_rate})"
            )
        rate = CosineDecay(steps, rate(0))
    check_rate(rate(0), 0)
    return rate


def check_rate(rate: Any, step: int) -> None:
    """Raise `ValueError` unless a schedule gave a rate that Adam can take."""
    if not isinstance(rate, Real) or not math.isfinite(rate) or rate < 0:
        raise ValueError(
            f"the learning rate at step {step} is {rate!r}: it has to be a number, finite and not "
            "negative"
        )


def images_and_labels(data: Batch) -> tuple[Tensor, Tensor | None]:
    """Images, and labels where there are any."""
    return (data.images, data.labels) if isinstance(data, Labeled) else (data, None)


def dtype_of(model: nn.Module) -> torch.dtype:
    """Type of the model's weights; of the first, where they differ."""
    kinds = (weight.dtype for weight in model.parameters() if weight.is_floating_point())
    return next(kinds, torch.float32)


def in_dtype(data: Batch, dtype: torch.dtype) -> Batch:
    """Cast floats and truth values to the weights' dtype; integers stay what they are."""

    def cast(values: Tensor) -> Tensor:
        exact = values.is_floating_point() or values.dtype == torch.bool
        return values.to(dtype) if exact else values

    if isinstance(data, Labeled):
        return Labeled(cast(data.images), cast(data.labels))
    return cast(data)


def check_finite_images(data: Batch, name: str) -> None:
    """Raise `ValueError` naming the first image with a value that is not finite."""
    images, labels = images_and_labels(data)
    for what, values in (("image", images), ("the label of image", labels)):
        if values is None or not values.is_floating_point():
            continue
        for start in range(0, len(values), _PART):
            part = values[start : start + _PART]
            bad = ~part.isfinite().reshape(len(part), -1).all(1)
            if bad.any():
                raise ValueError(
                    f"{what} {start + int(bad.nonzero()[0])} of {name} has a value that is not "
                    "finite: the data is to blame; mend it or leave the image out"
                )


def check_rows(data: Batch, name: str) -> None:
    """Raise `ValueError` for no images."""
    images, _ = images_and_labels(data)
    if images.numel() == 0 or images.dim() == 0:
        raise ValueError(
            f"{name} has shape {tuple(images.shape)} and is empty: give images, shape (N, …)"
        )


def check_alike(train: Batch, held_out: Batch) -> None:
    """Raise `ValueError` unless validation images are of the shape and type of those trained on."""
    if isinstance(train, Labeled) != isinstance(held_out, Labeled):
        raise ValueError("of data and validation one is Labeled: give both with labels, or neither")
    for what, one, other in zip(
        ("images", "labels"), images_and_labels(train), images_and_labels(held_out), strict=True
    ):
        if one is None or other is None:
            continue
        if one.shape[1:] != other.shape[1:] or one.dtype != other.dtype:
            raise ValueError(
                f"validation has {what} {other.dtype} {tuple(other.shape)} and data has "
                f"{one.dtype} {tuple(one.shape)}: all but the first number has to be the same"
            )


def look(
    batch: Batch,
    model: nn.Module,
    transform: Transform | None,
    name: str,
    seed: int,
    device: torch.device,
) -> None:
    """Transform one batch as a step does, and see that the model can read what comes out.

    The draws are of a stream of its own, and torch's global ones are put back.

    Raises:
        TypeError: bytes without a transform, or a transform of something else.
        ValueError: a transform that fails, other shapes than the model's, values outside the
            support of the model's likelihood.
    """
    images, _ = images_and_labels(batch)
    if transform is None:
        if images.dtype == torch.uint8:
            raise TypeError(
                f"{name} is torch.uint8 and there is no transform: give transform=to_unit for gray "
                "levels or transform=binarize for zeros and ones (lambda x: x hands bytes on)"
            )
        x = images
    else:
        x = _transformed(images, transform, name, seed, device)
    if not x.is_floating_point() and hasattr(model, "likelihood"):
        raise TypeError(
            f"{name} is {x.dtype} where the model takes floats: give transform=to_unit, or cast it"
        )
    shape = getattr(model, "image_shape", None)
    if shape is not None and x.is_floating_point() and tuple(x.shape[1:]) != tuple(shape):
        raise ValueError(
            f"{name} has images {tuple(x.shape[1:])}, after the transform if there is one, and the "
            f"model takes {tuple(shape)}: {_reshaping(tuple(x.shape[1:]), tuple(shape))}"
        )
    check_support(model, x, name)


def _transformed(
    images: Tensor, transform: Transform, name: str, seed: int, device: torch.device
) -> Tensor:
    """Apply the transform once, by a generator of its own."""
    global_ones = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(global_ones), torch.no_grad():
        try:
            x: Any = transform(images, seeded_generator(device, seed, LOOK))
        except (TypeError, ValueError, RuntimeError, AttributeError, IndexError) as error:
            raise ValueError(
                f"the transform failed on a batch of {name}, {images.dtype} "
                f"{tuple(images.shape)}: {error}. It gets whole batches of tensors; what works on "
                "single PIL images belongs into the Dataset"
            ) from error
    if not isinstance(x, Tensor) or x.dim() == 0 or len(x) != len(images):
        got = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
        raise TypeError(
            f"the transform made {got} of {len(images)} images of {name}: it has to return a "
            "tensor with a row for each"
        )
    if x.is_floating_point() and not x.isfinite().all():
        raise ValueError(
            f"the transform made values that are not finite of {name}: the transform is to blame"
        )
    return x


def check_labels(model: nn.Module, data: Batch, name: str) -> None:
    """Ask the model whether labels are among those that it is conditioned on."""
    _, labels = images_and_labels(data)
    check = getattr(model, "check_condition", None)
    if labels is None or check is None:
        return
    try:
        check(labels.cpu())
    except ValueError as error:
        raise ValueError(f"the labels of {name}: {error}") from error


def _reshaping(given: tuple[int, ...], taken: tuple[int, ...]) -> str:
    """Say how images of one shape become those of another, where that can be told."""
    if len(given) == 3 and (given[2], *given[:2]) == taken:
        return "channels come first here: x.permute(0, 3, 1, 2)"
    if (1, *given) == taken:
        return "the channel is missing: x.unsqueeze(1)"
    if given[1:] == taken[1:] and len(given) == 3:
        return f"build the model for {given[0]} channels, or convert the images to {taken[0]}"
    return "resize or crop them, or build the model for images of this shape"


def check_support(model: nn.Module, x: Tensor, name: str) -> None:
    """Ask the model's likelihood whether images are among those that it gives a probability."""
    check: Callable[[Tensor], None] | None
    check = getattr(likelihood_of(model), "check_support", None)
    if check is None or not hasattr(inner_model(model), "decode"):
        return
    for start in range(0, len(x), _PART):
        try:
            check(x[start : start + _PART])
        except ValueError as error:
            where = f", from image {start} on" if start else ""
            raise ValueError(f"{name}, as the model gets it{where}: {error}") from error
