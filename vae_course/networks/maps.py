"""Encoders to feature maps and back: a small image of vectors instead of one vector."""

from torch import Tensor, nn

from vae_course.networks.sizes import ImageShape, as_size


class ResidualBlock(nn.Module):
    """h + W₂ relu(W₁ relu(h)), W₁ a 3×3 and W₂ a 1×1 convolution.

    Args:
        width: channels of h.
        hidden: channels between the two.

    Source: van den Oord et al. (2017), section 4.1.
    """

    def __init__(self, width: int, hidden: int) -> None:
        """Build the two convolutions."""
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(width, hidden, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(hidden, width, 1),
        )

    def forward(self, h: Tensor) -> Tensor:
        """Return a map of the same shape."""
        out: Tensor = h + self.layers(h)
        return out


def _residual_stack(width: int, hidden: int, blocks: int) -> list[nn.Module]:
    return [*(ResidualBlock(width, hidden) for _ in range(blocks)), nn.ReLU()]


class MapEncoder(nn.Module):
    """Image → map: `(batch, C, H, W)` => `(batch, channels, H / 2^halvings, W / 2^halvings)`.

    Args:
        image_shape: `(channels, height, width)`; height and width divisible by 2^halvings.
        channels: of the map that comes out.
        halvings: how often height and width are halved, at least once.
        width: channels inside; half of it before the last halving.
        residual: `(blocks, hidden channels)` of the residual stack.

    Raises:
        ValueError: the image cannot be halved that often.
    """

    def __init__(
        self,
        image_shape: ImageShape,
        channels: int,
        *,
        halvings: int = 2,
        width: int = 128,
        residual: tuple[int, int] = (2, 32),
    ) -> None:
        """Build the layers."""
        super().__init__()
        map_size(image_shape, halvings)
        width = as_size("width", width)
        first = width if halvings == 1 else width // 2
        # Folding 2×2 pixels into channels is cheaper than a strided convolution on few channels.
        layers = [nn.PixelUnshuffle(2), nn.Conv2d(4 * image_shape[0], first, 3, padding=1)]
        for k in range(1, halvings):
            after = width if k == halvings - 1 else first
            layers += [nn.ReLU(), nn.Conv2d(first, after, 4, stride=2, padding=1)]
        layers += [nn.ReLU(), nn.Conv2d(width, width, 3, padding=1)]
        layers += [*_residual_stack(width, residual[1], residual[0]), nn.Conv2d(width, channels, 1)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Run the layers."""
        out: Tensor = self.layers(x)
        return out


class MapDecoder(nn.Module):
    """Map → image, the mirror of `MapEncoder`; each doubling unfolds channels into 2×2 pixels.

    Args:
        channels: of the map that comes in.
        output_shape: `(channels, height, width)` of what comes out.
        halvings: how often the encoder halved.
        width: channels inside.
        residual: `(blocks, hidden channels)` of the residual stack.

    Raises:
        ValueError: the image cannot be halved that often.
    """

    def __init__(
        self,
        channels: int,
        output_shape: ImageShape,
        *,
        halvings: int = 2,
        width: int = 128,
        residual: tuple[int, int] = (2, 32),
    ) -> None:
        """Build the layers."""
        super().__init__()
        map_size(output_shape, halvings)
        width = as_size("width", width)
        last = width if halvings == 1 else width // 2
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1)]
        layers += _residual_stack(width, residual[1], residual[0])
        before = width
        for _ in range(1, halvings):
            layers += [nn.Conv2d(before, 4 * last, 3, padding=1), nn.PixelShuffle(2), nn.ReLU()]
            before = last
        layers += [nn.Conv2d(before, 4 * output_shape[0], 3, padding=1), nn.PixelShuffle(2)]
        self.layers = nn.Sequential(*layers)

    def forward(self, z: Tensor) -> Tensor:
        """Run the layers."""
        out: Tensor = self.layers(z)
        return out


def map_size(image_shape: ImageShape, halvings: int) -> tuple[int, int]:
    """Return height and width of the map after `halvings` halvings.

    Raises:
        ValueError: none, or the image cannot be halved that often.
    """
    factor = 2**halvings
    _, height, width = image_shape
    if halvings < 1 or height % factor or width % factor:
        raise ValueError(
            f"halvings = {halvings}: {height}×{width} has to be divisible by {factor}, and at "
            "least one halving is needed"
        )
    return height // factor, width // factor
