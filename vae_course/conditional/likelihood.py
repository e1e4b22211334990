"""log p(x|y) for given conditions, and for every class at once."""

import math
from typing import Protocol

import torch
from torch import Tensor

from vae_course.metrics import log_marginal
from vae_course.objectives import LatentVariableModel


class GivenModel(Protocol):
    """A conditional model that can be seen under one condition."""

    def given(self, y: Tensor | int) -> LatentVariableModel:
        """Return the model of x under y."""
        ...


def conditional_log_marginal(
    model: GivenModel,
    x: Tensor,
    y: Tensor,
    k: int,
    *,
    chunk: int = 4096,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Estimate log p(x|y) of each image under its own condition, by k importance samples.

    Args:
        model: has `given(y)`, as `ConditionalVAE`.
        x: images, `(N, ...)`.
        y: one condition for each, `(N, ...)`.
        k: importance samples for each image.
        chunk: pairs of image and sample decoded at once.
        generator: source of the samples.

    Returns:
        Shape `(N,)`, nats per image; in expectation a lower bound.

    Raises:
        ValueError: not as many conditions as images, or k < 1.

    Source: Sohn et al. (2015), section 4.1.
    """
    if len(x) != len(y):
        raise ValueError(f"{len(x)} images but {len(y)} conditions")
    size = max(1, chunk // max(k, 1))
    parts = zip(x.split(size), y.split(size), strict=True)
    return torch.cat(
        [
            log_marginal(model.given(condition), part, k, chunk=chunk, generator=generator)
            for part, condition in parts
        ]
    )


def class_log_marginals(
    model: GivenModel,
    x: Tensor,
    classes: int,
    k: int,
    *,
    chunk: int = 4096,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Estimate log p(x|y) of each image under every class, by k importance samples.

    Returns:
        Shape `(N, classes)`, nats per image.
    """
    columns = [
        log_marginal(model.given(y), x, k, chunk=chunk, generator=generator) for y in range(classes)
    ]
    return torch.stack(columns, dim=1)


def log_mixture(log_pxy: Tensor, log_py: Tensor | None = None) -> Tensor:
    """log p(x) = log Σ_y p(y) p(x|y): `(N, classes)` => `(N,)`, nats per image.

    Args:
        log_pxy: log p(x|y) of every class.
        log_py: log p(y), `(classes,)`; uniform when left out.
    """
    if log_py is None:
        log_py = log_pxy.new_full((log_pxy.shape[-1],), -math.log(log_pxy.shape[-1]))
    return torch.logsumexp(log_pxy + log_py, dim=-1)
