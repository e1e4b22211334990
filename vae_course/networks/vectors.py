"""Encoders and decoders: plain feed-forward networks, sized from the shape of an image."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from math import prod

from torch import Tensor, nn

from vae_course.networks.own import check_network

ImageShape = tuple[int, int, int]

Network = str | tuple[nn.Module, nn.Module]
"""A name from `NETWORKS`, or an encoder and a decoder of your own."""

Activation = str | Callable[[], nn.Module]
"""A name from `ACTIVATIONS`, or what makes a module: `torch.nn.GELU`, say."""

# What makes the module, and how many numbers it takes for one it gives: GLU is (a, b) ↦ a · σ(b).
ACTIVATIONS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "relu": (nn.ReLU, 1),
    "tanh": (nn.Tanh, 1),
    "gated": (partial(nn.GLU, dim=1), 2),
}


def as_activation(activation: Activation) -> tuple[Callable[[], nn.Module], int]:
    """Return what makes an activation, and how many numbers that takes for one it gives.

    Raises:
        ValueError: an unknown name, or something that makes no module.
    """
    if callable(activation) and _makes_a_module(activation):
        return activation, 1
    if not isinstance(activation, str) or activation not in ACTIVATIONS:
        raise ValueError(
            f"unknown activation {activation!r}; choose one of {', '.join(ACTIVATIONS)}, or give "
            "what makes a module, as torch.nn.GELU does"
        )
    return ACTIVATIONS[activation]


def _makes_a_module(make: Callable[[], object]) -> bool:
    try:
        return isinstance(make(), nn.Module)
    except TypeError:  # it wants arguments
        return False


def check_sizes(sizes: Sequence[int]) -> None:
    """Raise `ValueError` unless all layers have at least one unit."""
    if not all(isinstance(size, int) and size > 0 for size in sizes):
        raise ValueError(
            f"layers of {list(sizes)} units: images, widths and latents have sizes that are whole "
            "numbers, at least 1"
        )


def _mlp(sizes: Sequence[int], activation: Activation) -> nn.Sequential:
    """Linear layers of the given sizes with an activation between each two."""
    check_sizes(sizes)
    make, takes = as_activation(activation)
    layers: list[nn.Module] = []
    for before, after in pairwise(sizes[:-1]):
        layers += [nn.Linear(before, takes * after), make()]
    return nn.Sequential(*layers, nn.Linear(sizes[-2], sizes[-1]))


class MLPEncoder(nn.Module):
    """Image → vector by fully connected layers: `(batch, C, H, W)` => `(batch, outputs)`.

    Args:
        image_shape: `(channels, height, width)`.
        widths: sizes of the hidden layers, from the image inwards.
        outputs: how many numbers come out.
        activation: a name from `ACTIVATIONS`, or what makes a module.
    """

    def __init__(
        self,
        image_shape: ImageShape,
        widths: Sequence[int],
        outputs: int,
        activation: Activation = "relu",
    ) -> None:
        """Build the layers."""
        super().__init__()
        self.layers = _mlp([prod(image_shape), *widths, outputs], activation)

    def forward(self, x: Tensor) -> Tensor:
        """Flatten the image and run the layers."""
        out: Tensor = self.layers(x.flatten(1))
        return out


class MLPDecoder(nn.Module):
    """Vector → image by fully connected layers: `(batch, inputs)` => `(batch, C', H, W)`.

    Args:
        inputs: size of the code.
        widths: sizes of the encoder's hidden layers; used here in reverse.
        output_shape: `(channels, height, width)` of what comes out.
        activation: a name from `ACTIVATIONS`, or what makes a module.
    """

    def __init__(
        self,
        inputs: int,
        widths: Sequence[int],
        output_shape: ImageShape,
        activation: Activation = "relu",
    ) -> None:
        """Build the layers."""
        super().__init__()
        self.layers = _mlp([inputs, *reversed(widths), prod(output_shape)], activation)
        self.output_shape = output_shape

    def forward(self, z: Tensor) -> Tensor:
        """Run the layers and fold the result into an image."""
        out: Tensor = self.layers(z).unflatten(1, self.output_shape)
        return out


def _coarse_size(image_shape: ImageShape, widths: Sequence[int]) -> tuple[int, int]:
    """Height and width after as many halvings as there are widths."""
    check_sizes((*image_shape, *widths))
    factor = 2 ** len(widths)
    _, height, width = image_shape
    if not widths or height % factor or width % factor:
        raise ValueError(
            f"a convolutional network with widths {tuple(widths)} halves the image {len(widths)} "
            f"times, but {height}×{width} is not divisible by {factor}: pad the images or give "
            "another number of widths (at least one)"
        )
    return height // factor, width // factor


class ConvEncoder(nn.Module):
    """Image → vector by convolutions; each of `widths` halves height and width.

    The first halving folds 2×2 pixels into channels (28×28 => 4 × 14×14), which is much cheaper
    than a strided convolution on a single channel and loses nothing.

    Args:
        image_shape: `(channels, height, width)`; height and width divisible by 2^len(widths).
        widths: channels after each halving.
        outputs: how many numbers come out.
        activation: a name from `ACTIVATIONS`, or what makes a module.

    Raises:
        ValueError: the image cannot be halved that often.
    """

    def __init__(
        self,
        image_shape: ImageShape,
        widths: Sequence[int],
        outputs: int,
        activation: Activation = "relu",
    ) -> None:
        """Build the layers."""
        super().__init__()
        height, width = _coarse_size(image_shape, widths)
        make, takes = as_activation(activation)
        first, *rest = widths
        layers: list[nn.Module] = [nn.PixelUnshuffle(2)]
        layers += [nn.Conv2d(4 * image_shape[0], takes * first, 3, padding=1), make()]
        for before, after in zip(widths, rest, strict=False):
            layers += [nn.Conv2d(before, takes * after, 4, stride=2, padding=1), make()]
        layers += [nn.Flatten(), nn.Linear(widths[-1] * height * width, outputs)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Run the layers."""
        out: Tensor = self.layers(x)
        return out


class ConvDecoder(nn.Module):
    """Vector → image, the mirror of `ConvEncoder`; each doubling unfolds channels into 2×2 pixels.

    Args:
        inputs: size of the code.
        widths: the encoder's widths; used here in reverse.
        output_shape: `(channels, height, width)` of what comes out.
        activation: a name from `ACTIVATIONS`, or what makes a module.

    Raises:
        ValueError: the image cannot be halved as often as there are widths.
    """

    def __init__(
        self,
        inputs: int,
        widths: Sequence[int],
        output_shape: ImageShape,
        activation: Activation = "relu",
    ) -> None:
        """Build the layers."""
        super().__init__()
        height, width = _coarse_size(output_shape, widths)
        make, takes = as_activation(activation)
        *earlier, last = widths
        layers: list[nn.Module] = [
            nn.Linear(inputs, takes * last * height * width),
            make(),
            nn.Unflatten(1, (last, height, width)),
        ]
        for before, after in zip(reversed(widths), reversed(earlier), strict=False):
            unfold = nn.Conv2d(before, 4 * takes * after, 3, padding=1)
            layers += [unfold, nn.PixelShuffle(2), make()]
        layers += [nn.Conv2d(widths[0], 4 * output_shape[0], 3, padding=1), nn.PixelShuffle(2)]
        self.layers = nn.Sequential(*layers)

    def forward(self, z: Tensor) -> Tensor:
        """Run the layers."""
        out: Tensor = self.layers(z)
        return out


NETWORKS: dict[str, tuple[type[nn.Module], type[nn.Module]]] = {
    "mlp": (MLPEncoder, MLPDecoder),
    "conv": (ConvEncoder, ConvDecoder),
}


def encoder_and_decoder(
    network: Network,
    image_shape: ImageShape,
    widths: Sequence[int],
    code_sizes: tuple[int, int],
    parameters_per_pixel: int = 1,
    activation: Activation = "relu",
) -> tuple[nn.Module, nn.Module]:
    """Make the two networks around a code, or look at two that are there.

    Args:
        network: `"mlp"` or `"conv"`; or a module from images `(batch, C, H, W)` to
            `(batch, outputs)` and one from codes `(batch, inputs)` to `(batch, C', H, W)`.
        image_shape: `(channels, height, width)`.
        widths: hidden sizes or channels, from the image inwards.
        code_sizes: what the encoder gives and what the decoder takes.
        parameters_per_pixel: how many numbers the likelihood wants for each pixel.
        activation: a name from `ACTIVATIONS`, or what makes a module.

    Raises:
        TypeError: widths that are no sequence.
        ValueError: no network or activation of that name, sizes below 1, or modules of other
            shapes.
    """
    if not isinstance(widths, Sequence):
        raise TypeError(f"widths = {widths!r} is no sequence: give ({widths!r},) for one layer")
    channels, height, width = image_shape
    output_shape = (channels * parameters_per_pixel, height, width)
    outputs, inputs = code_sizes
    if isinstance(network, list | tuple) and len(network) == 2:
        own_encoder, own_decoder = network
        check_network(own_encoder, "the encoder", image_shape, (outputs,))
        check_network(own_decoder, "the decoder", (inputs,), output_shape)
        return own_encoder, own_decoder
    if not isinstance(network, str) or network not in NETWORKS:
        raise ValueError(
            f"unknown network {network!r}; choose one of {', '.join(NETWORKS)}, or give your own "
            "as (encoder, decoder)"
        )
    encoder, decoder = NETWORKS[network]
    return (
        encoder(image_shape, widths, outputs, activation),
        decoder(inputs, widths, output_shape, activation),
    )
