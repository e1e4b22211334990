"""What a loss returns, whatever its form, as named terms of one value an image."""

from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from torch import Tensor


def terms_of(result: Any) -> dict[str, Tensor]:
    """Name the terms of a batch: a tensor is the loss; a mapping or a dataclass has one, `loss`.

    Raises:
        TypeError: it is none of these forms, has no `loss`, or a term is no tensor.
    """
    terms = _named(result)
    if "loss" not in terms:
        raise TypeError(f"the loss returned the terms {list(terms)}: one has to be called 'loss'")
    for name, term in terms.items():
        if not isinstance(term, Tensor):
            raise TypeError(
                f"the term {name!r} is {term!r:.80}, not a tensor: return one value an image, "
                "shape (batch,)"
            )
    return terms


def check_same(names: Iterable[str], terms: Mapping[str, Any], where: str) -> None:
    """Raise `ValueError` unless a loss returned the terms that it returned before."""
    for name in sorted(set(names) ^ set(terms)):
        what = "is new" if name in terms else "is missing"
        raise ValueError(
            f"{where}: the term {name!r} of the loss {what}: a loss returns the same terms at "
            "every step (zeros for one that is switched off)"
        )


def check_shapes(terms: Mapping[str, Tensor], count: int) -> None:
    """Raise `ValueError` unless every term is `(count,)`: one value an image."""
    for name, term in terms.items():
        if term.shape != (count,):
            raise ValueError(_misshapen(name, tuple(term.shape), count))


def _named(result: Any) -> dict[str, Any]:
    if isinstance(result, Tensor):
        return {"loss": result}
    if isinstance(result, Mapping):
        return dict(result)
    if is_dataclass(result) and not isinstance(result, type):
        return {field.name: getattr(result, field.name) for field in fields(result)}
    raise TypeError(
        "a loss returns a tensor, a dict or a dataclass of `(batch,)` terms, not "
        f"{type(result).__name__}"
    )


def _misshapen(name: str, shape: tuple[int, ...], count: int) -> str:
    """Say what is wrong with a term's shape, and the likely reason."""
    if not shape:
        reason = (
            "a mean or a sum over the batch was taken; sum over pixels alone, as "
            "`.flatten(1).sum(1)` does: only `fit` takes a mean over images"
        )
    elif shape == (count, count):
        reason = (
            f"({count}, 1) met ({count},) and was broadcast; look for labels or values of shape "
            "(batch, 1) and `.squeeze(1)` them"
        )
    elif shape[0] == count:
        reason = "pixels or latents were not summed; `.flatten(1).sum(1)` does it"
    else:
        reason = "it is not one value for each image of the batch"
    return f"the term {name!r} has shape {shape} for {count} images, not ({count},): {reason}"
