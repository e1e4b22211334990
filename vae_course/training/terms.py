"""What a loss returns, whatever its form, as named terms."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from torch import Tensor


def terms_of(result: Any) -> dict[str, Tensor]:
    """Name the terms of a batch: a tensor is the loss; a mapping or a dataclass has one, `loss`.

    Raises:
        TypeError: it is none of these.
    """
    if isinstance(result, Tensor):
        return {"loss": result}
    if isinstance(result, Mapping):
        return dict(result)
    if is_dataclass(result) and not isinstance(result, type):
        return {field.name: getattr(result, field.name) for field in fields(result)}
    raise TypeError(
        f"a loss returns a tensor, a dict or a dataclass of `(batch,)` terms, not {type(result)}"
    )
