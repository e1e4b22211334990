"""The objective of a classical autoencoder."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class ReconstructionTerms:
    """The one term of an autoencoder.

    Attributes:
        loss: ‖x − x̂‖², shape `(batch,)`, summed over pixels.
    """

    loss: Tensor


def squared_error(
    model: Callable[[Tensor], Tensor],
    x: Tensor,
    step: int,
    generator: torch.Generator | None = None,
) -> ReconstructionTerms:
    """‖x − x̂‖² for each image: a sum over pixels, `(batch,)`, never a mean.

    Source: Goodfellow et al. (2016), equation 14.1.
    """
    return ReconstructionTerms((x - model(x)).square().flatten(1).sum(-1))
