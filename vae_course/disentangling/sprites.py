"""Sprites: images whose factors of variation are known, drawn on demand."""

import math
import operator
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vae_course.data import DataError
from vae_course.data.images import as_tensor

FACTORS = ("shape", "scale", "orientation", "x", "y")
SHAPES = ("square", "ellipse", "heart")

_COUNT = 737_280  # images of the original archive; one with more is none


class FactorImages:
    """Images in the order of their factors, the last factor changing fastest.

    Attributes:
        factor_sizes: how many values each of `FACTORS` has.
    """

    def __init__(self, factor_sizes: tuple[int, ...]) -> None:
        """Store the sizes."""
        self.factor_sizes = factor_sizes
        self._strides = torch.tensor(
            [math.prod(factor_sizes[k + 1 :]) for k in range(len(factor_sizes))]
        )

    def __len__(self) -> int:
        """Return how many images there are: every combination of the factors once."""
        return math.prod(self.factor_sizes)

    def images(self, index: Tensor) -> Tensor:
        """Return images, uint8 `(N, 1, side, side)` of 0 and 255, for indices `(N,)`."""
        raise NotImplementedError

    def factors(self, index: Tensor) -> Tensor:
        """Return the factor values `(N, 5)` of indices `(N,)`.

        Raises:
            IndexError: there is no such image.
            TypeError, ValueError: indices that are not whole numbers `(N,)`.
        """
        index = _whole(index, len(self), "image")
        return index.unsqueeze(-1) // self._strides % torch.tensor(self.factor_sizes)

    def index(self, factors: Tensor) -> Tensor:
        """Return the indices `(N,)` of factor values `(N, 5)`; the inverse of `factors`.

        Raises:
            IndexError: a factor has no such value.
            TypeError, ValueError: factors that are not whole numbers `(N, 5)`.
        """
        factors = as_tensor(factors, "factors")
        if factors.dim() != 2 or factors.shape[1] != len(FACTORS):
            raise ValueError(f"factors have shape {tuple(factors.shape)}, not (N, {len(FACTORS)})")
        named = zip(factors.unbind(1), self.factor_sizes, FACTORS, strict=True)
        columns = [_whole(values, size, name) for values, size, name in named]
        return (torch.stack(columns, -1) * self._strides).sum(-1)

    def select(self, **choices: Iterable[int]) -> Tensor:
        """Return the indices of all images whose factors are among the choices.

        `select(shape=[2], orientation=range(0, 40, 4))`: a factor not named is free.

        Raises:
            ValueError: there is no such factor.
            IndexError: a factor has no such value.
            TypeError: a choice is not a list of whole numbers.
        """
        return self.index(torch.cartesian_prod(*self._choose(choices)))

    def only(self, **choices: Iterable[int]) -> "SmallerWorld":
        """Return the world of `select(**choices)`, in which a value is its place in the choice.

        Raises:
            ValueError: there is no such factor.
            IndexError: a factor has no such value.
        """
        return SmallerWorld(self, self._choose(choices))

    def _choose(self, choices: Mapping[str, Iterable[int]]) -> list[Tensor]:
        """Return the values of each factor: those chosen, or all."""
        unknown = set(choices) - set(FACTORS)
        if unknown:
            raise ValueError(f"no factor {sorted(unknown)}; there are {', '.join(FACTORS)}")
        chosen = []
        for name, size in zip(FACTORS, self.factor_sizes, strict=True):
            choice = choices.get(name, range(size))
            try:
                whole = [operator.index(value) for value in choice]
            except TypeError as error:
                message = f"{name}={choice!r}: list whole numbers, such as {name}=[0]"
                raise TypeError(message) from error
            chosen.append(_whole(torch.tensor(whole, dtype=torch.int64), size, name))
        return chosen

    def without(self, **choices: Iterable[int]) -> Tensor:
        """Return all other indices than `select(**choices)`: a combination held out."""
        kept = torch.ones(len(self), dtype=torch.bool)
        kept[self.select(**choices)] = False
        return torch.arange(len(self))[kept]


def _whole(values: Tensor | np.ndarray, size: int, name: str) -> Tensor:
    """Return whole numbers `(N,)` from 0 to `size` − 1 as int64, or say what is wrong with them."""
    values = as_tensor(values, name)
    if values.is_floating_point() or values.is_complex() or values.dtype == torch.bool:
        raise TypeError(f"{name} {values.tolist()[:8]}: {values.dtype}, not whole numbers")
    if values.dim() != 1:
        raise ValueError(f"{name}: indices have shape {tuple(values.shape)}, not (N,)")
    if len(values) and not 0 <= values.min() <= values.max() < size:
        raise IndexError(f"{name} {values.tolist()[:8]}: there are {size}, 0 to {size - 1}")
    return values.long()


class SmallerWorld(FactorImages):
    """Images of another world with some of its factors' values only; made by `only`."""

    def __init__(self, world: FactorImages, values: Sequence[Tensor]) -> None:
        """Store the world, and which of its values each factor takes, in order."""
        super().__init__(tuple(len(kept) for kept in values))
        self.world = world
        self.values = values

    def images(self, index: Tensor) -> Tensor:
        """Return images, uint8 `(N, 1, side, side)` of 0 and 255, for indices `(N,)`."""
        own = self.factors(index)
        columns = [kept[value] for kept, value in zip(self.values, own.T, strict=True)]
        return self.world.images(self.world.index(torch.stack(columns, -1)))


class Sprites(FactorImages):
    """White squares, ellipses and hearts on black, like dSprites (Matthey et al. 2017).

    Three shapes, 6 scales from half to full size, 40 orientations over a full turn, and side / 2
    positions each way, one pixel apart (x grows to the right, y downwards): 737,280 images of
    64 × 64. No anti-aliasing: a pixel is white if its center is inside the shape.

    Args:
        side: pixels of an image's side, a multiple of 4; 32 makes a smaller world.

    Raises:
        ValueError: a side that does not divide by 4.

    Examples:
        >>> world = Sprites(32)
        >>> heart = world.index(torch.tensor([[2, 5, 0, 8, 8]]))  # large, upright, in the middle
        >>> world.images(heart).shape
        torch.Size([1, 1, 32, 32])
        >>> len(world), len(world.select(shape=[2], scale=[5]))
        (184320, 10240)
    """

    def __init__(self, side: int = 64) -> None:
        """Set the world's size; shapes are drawn when the first image is asked for."""
        if not isinstance(side, int) or side < 8 or side % 4:
            raise ValueError(f"side = {side!r}: it has to be a multiple of 4, and at least 8")
        super().__init__((len(SHAPES), 6, 40, side // 2, side // 2))
        self.side = side

    def images(self, index: Tensor) -> Tensor:
        """Return images, uint8 `(N, 1, side, side)` of 0 and 255, for indices `(N,)`."""
        shape, scale, orientation, x, y = self.factors(index).T
        last = self.side // 2 - 1
        return self._windows[shape, scale, orientation, last - y, last - x].unsqueeze(1)

    @cached_property
    def _windows(self) -> Tensor:
        """Every image as a view: a drawing with room around it, looked at from each position."""
        margin = self.side // 2 - 1
        drawings = torch.nn.functional.pad(self._draw(), (margin,) * 4)
        return drawings.unfold(3, self.side, 1).unfold(4, self.side, 1)

    def _draw(self) -> Tensor:
        """Draw each shape, scale and orientation once, `(3, 6, 40, side/2 + 1, side/2 + 1)`."""
        reach = self.side // 4
        offset = torch.arange(-reach, reach + 1, dtype=torch.float64)  # from the shape's center
        down, right = torch.meshgrid(offset, offset, indexing="ij")
        radius = torch.linspace(0.5, 1.0, 6, dtype=torch.float64) * self.side / 4
        angle = torch.arange(40, dtype=torch.float64) * (2 * math.pi / 40)
        r, a = radius[:, None, None, None], angle[:, None, None]
        u = (right * a.cos() + down * a.sin()) / r  # (scale, orientation, canvas, canvas)
        v = (down * a.cos() - right * a.sin()) / r
        inside = torch.stack([_square(u, v), _ellipse(u, v), _heart(u, v)])
        return inside.to(torch.uint8) * 255


def _square(u: Tensor, v: Tensor) -> Tensor:
    return torch.maximum(u.abs(), v.abs()) <= math.sqrt(0.5)


def _ellipse(u: Tensor, v: Tensor) -> Tensor:
    return u.square() + (2 * v).square() <= 1


def _heart(u: Tensor, v: Tensor) -> Tensor:
    """(a² + b² − 1)³ ≤ a² b³, made smaller so that it stays inside the unit circle."""
    a, b = 1.34 * u, -1.34 * v
    return (a.square() + b.square() - 1) ** 3 <= a.square() * b**3


class PackedSprites(FactorImages):
    """Images read from a file, eight pixels to a byte."""

    def __init__(self, packed: np.ndarray, side: int, factor_sizes: tuple[int, ...]) -> None:
        """Store bits `(N, side² / 8)`."""
        super().__init__(factor_sizes)
        self.packed = packed
        self.side = side

    def images(self, index: Tensor) -> Tensor:
        """Return images, uint8 `(N, 1, side, side)` of 0 and 255, for indices `(N,)`."""
        index = _whole(index, len(self), "image")
        bits = np.unpackbits(self.packed[index.numpy()], axis=1)
        return torch.from_numpy(bits * np.uint8(255)).view(-1, 1, self.side, self.side)


def read_dsprites(path: str | Path) -> PackedSprites:
    """Read the original `dsprites_ndarray_*.npz`: 737,280 images in 377 MB of memory.

    Only the two plain arrays are read, in pieces, and no more than the original has of each; the
    archive's pickled metadata is not touched.

    Raises:
        DataError: the file is missing, or not such an archive; it names what is wrong.

    Source: Matthey et al. (2017), github.com/google-deepmind/dsprites-dataset.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _read_archive(archive)
    except Exception as error:  # a broken file makes zipfile and numpy raise a dozen kinds
        raise DataError(
            f"{path} is not a whole dSprites archive ({error}); expected is "
            "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz with imgs and latents_classes. "
            "vae_course.disentangling.Sprites() draws images like these without any file"
        ) from error


def _read_archive(archive: zipfile.ZipFile) -> PackedSprites:
    """Read the factors without the color, which is white, then the images in their order."""
    rows = _pieces(archive, "latents_classes", np.dtype(np.int64), (_COUNT, 6))
    classes = np.concatenate([piece[:, 1:] for piece in rows])
    sizes = tuple(int(value) + 1 for value in classes.max(0))
    packed, side = bytearray(), 0
    for piece in _pieces(archive, "imgs", np.dtype(np.uint8), (_COUNT, 64, 64)):
        side, width = piece.shape[1:]
        if side != width or side % 4:
            raise ValueError(f"imgs are {side} × {width}, no squares of a side divisible by 4")
        packed += np.packbits(piece).tobytes()
    images = np.frombuffer(packed, dtype=np.uint8).reshape(-1, side * side // 8)
    if min(sizes) < 1 or math.prod(sizes) != len(images):
        raise ValueError(f"{len(images)} images do not fill factors of sizes {sizes}")
    if not np.array_equal(FactorImages(sizes).factors(torch.arange(len(images))), classes):
        raise ValueError("latents_classes are not in order, the last factor changing fastest")
    return PackedSprites(images, side, sizes)


def _pieces(
    archive: zipfile.ZipFile, name: str, dtype: np.dtype, most: tuple[int, ...]
) -> Iterator[np.ndarray]:
    """Yield an array's rows, 4096 at a time, if it is of `dtype` and no axis longer than `most`."""
    info = archive.getinfo(f"{name}.npy")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{name} is packed by another method than deflate")
    with archive.open(info) as file:
        np.lib.format.read_magic(file)
        shape, fortran, found = np.lib.format.read_array_header_1_0(file)
        fits = len(shape) == len(most) and all(0 < n <= k for n, k in zip(shape, most, strict=True))
        if fortran or found != dtype or not fits:
            raise ValueError(f"{name} is {found} {shape}, not {dtype} of at most {most}")
        for start in range(0, shape[0], 4096):
            rows = min(4096, shape[0] - start)
            content = file.read(size := rows * math.prod(shape[1:]) * dtype.itemsize)
            if len(content) < size:
                raise EOFError(f"{name} ends after image {start}")
            yield np.frombuffer(content, dtype).reshape(rows, *shape[1:])
