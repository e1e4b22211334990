"""Tensors and settings in one safetensors file, written whole or not at all. No pickle."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from vae_course.files import write_whole


def write(path: Path, tensors: Mapping[str, Tensor], settings: Mapping[str, Any]) -> None:
    """Write tensors and JSON settings to `path`: temporary file, fsync, rename.

    Raises:
        OSError: the file cannot be written; what was at `path` before is still there.
    """
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_whole(path, save(contiguous, metadata={"settings": json.dumps(settings)}))


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `write` wrote.

    Raises:
        FileNotFoundError: nothing is there.
        ValueError: the file is not whole, or not one of ours.
    """
    if not path.exists():
        raise FileNotFoundError(f"no file {path}")
    try:
        with safe_open(path, framework="pt") as file:
            settings = json.loads((file.metadata() or {})["settings"])
            return {name: file.get_tensor(name) for name in file.keys()}, settings  # noqa: SIM118
    except (SafetensorError, KeyError) as error:
        raise ValueError(
            f"{path} is not a whole file of vae_course ({error}): delete it to start over"
        ) from error
