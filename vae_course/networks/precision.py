"""The type of numbers that a network computes in."""

from itertools import chain

import torch
from torch import Tensor, nn


def dtype_of(network: nn.Module) -> torch.dtype | None:
    """Type of a network's weights and buffers: of the first that are floats; None without any."""
    tensors = chain(network.parameters(), network.buffers())
    return next((tensor.dtype for tensor in tensors if tensor.is_floating_point()), None)


def check_precision(what: str, x: Tensor, network: nn.Module) -> None:
    """Refuse numbers of another type than a network's, unless autocast casts them.

    Args:
        what: what the message calls them, in the plural.
        x: the numbers.
        network: what reads them.

    Raises:
        ValueError: the types are not the same.
    """
    dtype = dtype_of(network)
    if dtype not in (None, x.dtype) and not torch.is_autocast_enabled(x.device.type):
        other = f", or model.to({x.dtype})" if x.is_floating_point() else ""
        raise ValueError(
            f"{what} are {x.dtype} but the model computes in {dtype}: use .to({dtype}){other}"
        )


def check_one_precision(encoder: nn.Module, decoder: nn.Module) -> None:
    """Refuse two networks of a model that compute in different types.

    Raises:
        ValueError: they do.
    """
    first, second = dtype_of(encoder), dtype_of(decoder)
    if None not in (first, second) and first != second:
        raise ValueError(
            f"the encoder computes in {first} and the decoder in {second}: bring both to one"
        )
