"""A network with a second input: the condition enters the first hidden layer."""

from collections.abc import Sequence
from math import prod

from torch import Tensor, nn

from vae_course.networks import Activation, as_activation, as_sizes
from vae_course.networks.vectors import _mlp

Condition = int | Sequence[int]


def condition_layer(condition: Condition, width: int) -> nn.Module:
    """What a condition adds to a hidden layer: `(...)` labels or images => `(..., width)`.

    A label has one learned vector, which is its one-hot code times a matrix; an image is
    flattened and multiplied by one. The vectors start as N(0, I), which is loud beside what the
    other input says: a label that starts quietly is learned late (chapter 13).

    Args:
        condition: how many classes, or the shape of an image.
        width: size of the hidden layer.
    """
    if isinstance(condition, int):
        return nn.Embedding(condition, width)
    pixels = prod(condition)
    return nn.Sequential(nn.Flatten(-len(condition)), nn.Linear(pixels, width, bias=False))


class ConditionedMLP(nn.Module):
    """a(W u + V y + b), then plain layers: `(..., inputs)` and a condition => `(..., outputs)`.

    The two parts of the first layer are added by broadcasting. So all conditions of one input cost
    the product W u only once: labels of shape `(classes, 1)` give `(classes, batch, outputs)`.

    Args:
        inputs: size of u.
        condition: how many classes, or the shape of an image.
        widths: sizes of the hidden layers, at least one, in the order they are passed.
        outputs: how many numbers come out.
        activation: a name from `ACTIVATIONS`, or what makes a module.

    Raises:
        ValueError: no hidden layer for the condition to enter, or an unknown activation.
    """

    def __init__(
        self,
        inputs: int,
        condition: Condition,
        widths: Sequence[int],
        outputs: int,
        activation: Activation = "relu",
    ) -> None:
        """Build the layers."""
        super().__init__()
        widths = as_sizes("widths", widths)
        if not widths:
            raise ValueError("a condition enters the first hidden layer: give at least one width")
        make, takes = as_activation(activation)
        self.first = nn.Linear(inputs, takes * widths[0])
        self.condition = condition_layer(condition, takes * widths[0])
        self.rest = nn.Sequential(make(), *_mlp([*widths, outputs], activation))

    def forward(self, u: Tensor, y: Tensor) -> Tensor:
        """Add what both inputs say, and run the other layers."""
        hidden = self.first(u) + self.condition(y)
        flat = self.rest(hidden.reshape(-1, hidden.shape[-1]))
        out: Tensor = flat.reshape(*hidden.shape[:-1], -1)
        return out
