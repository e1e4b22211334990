"""The two file formats: idx (MNIST's) and the Python batches of CIFAR-10, which are only read."""

import math
import pickletools
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vae_course.data.errors import BrokenFileError

_UBYTE = 0x08
_MOST_AXES = 4
_CIFAR_IMAGE = (3, 32, 32)


def from_idx(content: bytes) -> Tensor:
    """Read an idx file of unsigned bytes: magic 0 0 8 d, then d big-endian sizes, then the values.

    Returns:
        uint8, of the shape the file states.

    Raises:
        BrokenFileError: The header or the length is not that of such a file.
    """
    if len(content) < 4 or content[:3] != bytes((0, 0, _UBYTE)):
        raise BrokenFileError(f"no idx file of unsigned bytes: it starts with {content[:4]!r}")
    dimensions = content[3]
    start = 4 + 4 * dimensions
    if not 1 <= dimensions <= _MOST_AXES or len(content) < start:
        raise BrokenFileError(f"the idx header ends early, or states {dimensions} axes")
    shape = struct.unpack(f">{dimensions}I", content[4:start])
    values = np.frombuffer(content, dtype=np.uint8, offset=start)
    if values.size != math.prod(shape) or max(shape) > len(content):
        raise BrokenFileError(
            f"the idx header states shape {shape}, but {values.size} values follow"
        )
    return torch.from_numpy(values.reshape(shape).copy())


def to_idx(values: Tensor) -> bytes:
    """Write a uint8 tensor of any shape as an idx file; the inverse of ``from_idx``."""
    header = struct.pack(f">4B{values.dim()}I", 0, 0, _UBYTE, values.dim(), *values.shape)
    return header + values.numpy().tobytes()


def decode_idx(images: bytes, labels: bytes) -> tuple[Tensor, Tensor]:
    """Decode an image file and its label file to ``(N, 1, H, W)`` uint8 and ``(N,)`` int64."""
    return from_idx(images).unsqueeze(1), from_idx(labels).to(torch.int64)


def decode_cifar(*batches: bytes) -> tuple[Tensor, Tensor]:
    """Decode CIFAR-10's Python batches to ``(N, 3, 32, 32)`` uint8 and ``(N,)`` int64."""
    parts = [_cifar_batch(batch) for batch in batches]
    return torch.cat([images for images, _ in parts]), torch.cat([labels for _, labels in parts])


def _cifar_batch(content: bytes) -> tuple[Tensor, Tensor]:
    """Take the pixel bytes and the labels out of a pickled batch without unpickling it.

    ``pickletools.genops`` lists the opcodes of a pickle and executes none of them. The labels are
    the small integers after the string "labels", the pixels are the longest string.
    """
    labels: list[int] = []
    pixels = b""
    column_major = False
    key, previous = "", ""
    for opcode, argument in _opcodes(content):
        if isinstance(argument, str | bytes) and "STRING" in opcode.name:
            text = argument.encode("latin-1") if isinstance(argument, str) else argument
            if len(text) > len(pixels):
                pixels, column_major = text, previous == "NEWTRUE"
            key = text[:8].decode("latin-1")
        elif key == "labels" and opcode.name == "BININT1" and isinstance(argument, int):
            labels.append(argument)
        previous = opcode.name
    shape = (len(labels), *_CIFAR_IMAGE)
    if not labels or len(pixels) != math.prod(shape):
        raise BrokenFileError(f"{len(labels)} labels, but {len(pixels)} bytes of pixels")
    values = np.frombuffer(pixels, dtype=np.uint8)
    rows = values.reshape(-1, len(labels)).T if column_major else values
    return torch.from_numpy(rows.reshape(shape).copy()), torch.tensor(labels)


def _opcodes(content: bytes) -> Iterator[tuple[pickletools.OpcodeInfo, Any]]:
    """List the opcodes of a pickle with their arguments."""
    try:
        for opcode, argument, _ in pickletools.genops(content):
            yield opcode, argument
    except ValueError as error:
        raise BrokenFileError(f"not a whole batch of CIFAR-10: {error}") from error
