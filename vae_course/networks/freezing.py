"""A network that passes gradients on and learns nothing from them."""

from torch import Tensor, nn
from torch.func import functional_call


def frozen(network: nn.Module, x: Tensor) -> Tensor:
    """Run a network with its weights held fixed: gradients reach x and not the weights."""
    weights = {name: weight.detach() for name, weight in network.named_parameters()}
    out: Tensor = functional_call(network, weights, (x,))
    return out
