"""Maximum likelihood, for models whose log p(x) is exact."""

import torch
from torch import Tensor

from vae_course.objectives.protocol import Density, check_fits


def negative_log_likelihood(
    model: Density, x: Tensor, step: int, generator: torch.Generator | None = None
) -> Tensor:
    """−log p(x), `(batch,)` in nats: the length of the code for x under p.

    Its mean over the data is the KL from the data to p, plus a constant.

    Args:
        model: anything with `log_prob(x)`.
        x: `(batch, ...)`.
        step: not used.
        generator: not used.

    Raises:
        TypeError: a model without `log_prob`.
    """
    check_fits(negative_log_likelihood, model, Density)
    return -model.log_prob(x)
