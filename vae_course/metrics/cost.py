"""What a network costs: its weights, and the arithmetic of one pass."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


def count_parameters(module: nn.Module) -> int:
    """Count the numbers that training moves."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def count_flops(run: Callable[[], object]) -> int:
    """Count the floating-point operations of the matrix products and convolutions in `run()`.

    A product of matrices `(m, k)` and `(k, n)` counts 2 m k n: a multiplication and an addition
    each. Biases, activations and everything else element by element are not counted.

    Args:
        run: a call without arguments, `lambda: model(x)` say; a backward pass counts as well.
    """
    counter = FlopCounterMode(display=False)
    with counter:
        run()
    return int(counter.get_total_flops())


@dataclass(frozen=True)
class LayerCost:
    """One layer with weights.

    Attributes:
        layer: its class.
        shape: of its output for one image.
        parameters: weights and biases.
        flops: of one pass of the batch.
    """

    layer: str
    shape: tuple[int, ...]
    parameters: int
    flops: int


@torch.no_grad()
def layer_costs(module: nn.Module, x: Tensor) -> list[LayerCost]:
    """Run `module(x)` and say, layer by layer, what it cost; layers without weights cost nothing.

    Args:
        module: any network.
        x: a batch that it takes.
    """
    costs: list[LayerCost] = []
    counter = FlopCounterMode(display=False)

    def note(layer: nn.Module, _: object, output: Tensor) -> None:
        flops = counter.get_total_flops() - sum(cost.flops for cost in costs)
        shape = tuple(output.shape[1:])
        costs.append(LayerCost(type(layer).__name__, shape, count_parameters(layer), flops))

    layers = [m for m in module.modules() if list(m.parameters(recurse=False))]
    hooks = [layer.register_forward_hook(note) for layer in layers]
    try:
        with counter:
            module(x)
    finally:
        for hook in hooks:
            hook.remove()
    return costs
