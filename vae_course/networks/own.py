"""Networks of your own, where a name could stand: looked at once, before anything is trained."""

from collections.abc import Sequence
from itertools import chain

import torch
from torch import Tensor, nn

from vae_course.networks.precision import dtype_of


def check_network(
    network: nn.Module,
    what: str,
    given: Sequence[int],
    wanted: Sequence[int] | None,
    *others: Tensor,
) -> tuple[int, ...]:
    """Run a network once on two blank inputs, and say what is wrong with what comes out.

    Args:
        network: anything that maps `(batch, *given)` to `(batch, *wanted)`; it is left as it was.
        what: how to call it.
        given: the shape of one input.
        wanted: the shape of one output; nothing if it may be any.
        others: its further inputs, two of each.

    Returns:
        The shape of one output.

    Raises:
        TypeError: it is no module.
        ValueError: it does not take such inputs, or gives another shape.
    """
    if not isinstance(network, nn.Module):
        raise TypeError(
            f"{what} is a {type(network).__name__}, {network!r:.60}: give a torch.nn.Module, made"
        )
    weight = next(chain(network.parameters(), network.buffers()), torch.empty(0))
    blank = torch.zeros(2, *given, dtype=dtype_of(network), device=weight.device)
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            out = network(blank, *(_like(other, blank) for other in others))
    except Exception as error:
        raise ValueError(f"{what} does not take {_batch(given)}: {error}") from error
    finally:
        for module, mode in modes:
            module.training = mode
    if not isinstance(out, Tensor):
        raise ValueError(f"{what} gives a {type(out).__name__}; expected is a tensor")
    found = tuple(out.shape[1:])
    if len(out) != 2 or found != (found if wanted is None else tuple(wanted)):
        raise ValueError(
            f"{what} gives {tuple(out.shape)} for two inputs {_batch(given)}; expected is "
            f"{_batch(found if wanted is None else wanted)}"
        )
    return found


def _like(other: Tensor, blank: Tensor) -> Tensor:
    """A second input where the first one is, and of its type if it is not a label."""
    return other.to(blank if other.is_floating_point() else blank.device)


def _batch(shape: Sequence[int]) -> str:
    return f"(batch, {', '.join(map(str, shape))})"
