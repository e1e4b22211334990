"""Tensors and settings in one safetensors file, written whole or not at all. No pickle.

The file carries a digest of all that is in it, so that a flipped bit is damage, not another model.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from vae_course.files import write_whole


def write(path: str | Path, tensors: Mapping[str, Tensor], settings: Mapping[str, Any]) -> None:
    """Write tensors and JSON settings to `path`: temporary file, fsync, rename.

    Raises:
        OSError: the file cannot be written; what was at `path` before is still there.
        TypeError: the settings are not JSON.
    """
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    text = json.dumps(settings)
    metadata = {"settings": text, "digest": digest(contiguous, text)}
    write_whole(Path(path), save(contiguous, metadata=metadata))


def read(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `write` wrote.

    Raises:
        FileNotFoundError: nothing is there.
        ValueError: the file is damaged, was written by an older version, or is not one of ours.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"no file {path}")
    if not path.is_file():
        raise ValueError(f"{path} is a directory, not a file of vae_course")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(
            f"{path} is not a whole file of vae_course ({error}): delete it to start over"
        ) from error
    if "settings" not in metadata:
        raise ValueError(f"{path} holds tensors that vae_course did not write: give another path")
    if "digest" not in metadata:
        raise ValueError(
            f"{path} was written by an older version of vae_course, without a digest of its "
            "content: read it with that version, or delete it to start over"
        )
    if metadata["digest"] != digest(tensors, metadata["settings"]):
        raise ValueError(
            f"{path} is damaged, its content does not have the digest it was written with: "
            "delete it to start over"
        )
    return tensors, _mapping(metadata["settings"], path)


def _mapping(text: str, path: Path) -> dict[str, Any]:
    """Read settings that carry their digest, and may be another writer's all the same."""
    try:
        settings = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} has settings that are not JSON: {error}") from error
    if not isinstance(settings, dict):
        raise ValueError(f"{path} has settings that are no mapping but {type(settings).__name__}")
    return settings


def digest(tensors: Mapping[str, Tensor], text: str = "") -> str:
    """SHA-256 of names, types, shapes and bytes of tensors, and of a text, in hexadecimal."""
    state = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        state.update(f"\0{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        for part in tensor.detach().reshape(-1).split(1 << 24):  # 16 million values at a time
            state.update(part.contiguous().cpu().view(torch.uint8).numpy().data)
    return state.hexdigest()


def rehearse(path: str | Path, size: int) -> None:
    """Write so many bytes beside `path` and remove them: can a file of that size be written there?

    Raises:
        OSError: it cannot; the message names `path`, the reason and the size.
    """
    path = Path(path)
    probe = path.with_name(f".{path.name}.{os.getpid()}.rehearsal")
    try:
        if path.is_dir():
            raise IsADirectoryError(21, "it is a directory")
        write_whole(probe, bytes(size))
        probe.unlink(missing_ok=True)
    except OSError as error:
        raise type(error)(
            error.errno,
            f"no file of {size / 1e6:.1f} MB can be written there ({error.strerror}): free the "
            "space or give another path",
            str(path),
        ) from error
