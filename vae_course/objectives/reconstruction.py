"""The objective of a classical autoencoder."""

from collections.abc import Callable

import torch
from torch import Tensor


def squared_error_loss(
    model: Callable[[Tensor], Tensor],
    x: Tensor,
    step: int,
    generator: torch.Generator | None = None,
) -> Tensor:
    """‖x − x̂‖² for each image: a sum over pixels, `(batch,)`, never a mean.

    Raises:
        TypeError: the model does not map images to images.

    Source: Goodfellow et al. (2016), equation 14.1.
    """
    return (x - _mapped(model, x)).square().flatten(1).sum(-1)


def _mapped(model: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return x̂ = model(x), or say that it is none."""
    user = f"squared_error_loss needs a model that maps images to images; a {type(model).__name__}"
    try:
        x_hat = model(x)
    except Exception as error:
        raise TypeError(f"{user} does not take them: {' '.join(str(error).split())}") from error
    if not isinstance(x_hat, Tensor) or x_hat.shape != x.shape:
        found = f"shape {tuple(x_hat.shape)}" if isinstance(x_hat, Tensor) else type(x_hat).__name__
        raise TypeError(f"{user} gives {found} for shape {tuple(x.shape)}")
    return x_hat
