"""Discrete choices made differentiable."""

import torch
from torch import Tensor


def gumbel_softmax(
    logits: Tensor, temperature: float, samples: int, generator: torch.Generator | None = None
) -> Tensor:
    """y = softmax((logits + g) / τ), g_i = −log(−log u_i): a one-hot choice, made differentiable.

    The largest entry falls on class i with probability softmax(logits)_i at every temperature;
    as τ → 0 the whole vector becomes that one-hot choice.

    Args:
        logits: shape `(..., classes)`.
        temperature: τ > 0.
        samples: how many to draw.
        generator: source of the noise.

    Returns:
        Shape `(samples, ..., classes)`; each vector sums to 1.

    Raises:
        ValueError: the temperature is not positive.

    Source: Jang et al. (2017), equation 2; Maddison et al. (2017).
    """
    if not temperature > 0:
        raise ValueError(f"temperature = {temperature} is not positive: at 0 it is an arg max")
    exponential = torch.empty(
        (samples, *logits.shape), dtype=logits.dtype, device=logits.device
    ).exponential_(generator=generator)
    return torch.softmax((logits - torch.log(exponential)) / temperature, dim=-1)
