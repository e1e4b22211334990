"""What a run needs to go on as if it had never stopped: weights, Adam's state, step, history.

`fit`'s own randomness needs no place here: every step draws from a generator seeded by (seed, step,
rank), so the step's number is the whole state of it. torch's global generators, from which dropout
draws, are kept where the run has moved them.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vae_course import storage

_FORMAT = 2  # 1 had no digests and no step


def room_needed(model: nn.Module) -> int:
    """How many bytes a checkpoint takes: the weights, twice as much for Adam, and the history."""
    weights: int = sum(t.numel() * t.element_size() for t in model.state_dict().values())
    return 3 * weights + 2**16


Stamp = tuple[int, int, int]


def stamp(path: Path | None) -> Stamp | None:
    """What tells this very file from another one written in its place; None where there is none."""
    if path is None or not path.exists():
        return None
    found = path.stat()
    return found.st_ino, found.st_mtime_ns, found.st_size


def check_ours(path: Path, ours: Stamp | None) -> None:
    """Raise `FileExistsError` if the checkpoint is not the one that this run read or wrote last."""
    if stamp(path) != ours:
        raise FileExistsError(
            f"another run has written the checkpoint {path} since this one did: give each run its "
            "own; what the other wrote is left as it is"
        )


def save_checkpoint(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    settings: Mapping[str, Any],
    streams: Mapping[str, Tensor],
) -> None:
    """Write model, optimizer, global streams and JSON settings to one file, whole or not at all."""
    # Clones, because safetensors refuses weights that share memory.
    tensors = {f"model/{name}": tensor.clone() for name, tensor in model.state_dict().items()}
    tensors |= {f"streams/{name}": state for name, state in streams.items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{index}/{name}": value for name, value in state.items()}
    storage.write(path, tensors, {"checkpoint": _FORMAT, **settings})


def load_checkpoint(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    fingerprint: Mapping[str, Any],
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Put a checkpoint back into model and optimizer; return its settings and global streams.

    Raises:
        ValueError: the file is damaged, is none of `fit`'s, or was written by a run with other
            settings or by another version.
    """
    tensors, settings = storage.read(path)
    if "fingerprint" not in settings:
        raise ValueError(f"{path} is no checkpoint but a saved model, perhaps: give another path")
    if settings.get("checkpoint") != _FORMAT:
        raise ValueError(
            f"checkpoint {path} was written by another version of vae_course: finish the run with "
            "that version, or delete the file to start over"
        )
    theirs = settings["fingerprint"]
    if theirs != fingerprint:
        differences = {
            name: (theirs.get(name), fingerprint.get(name))
            for name in sorted({*theirs, *fingerprint})
            if theirs.get(name) != fingerprint.get(name)
        }
        raise ValueError(
            f"checkpoint {path} belongs to another run; (there, here) differ in {differences}: "
            "give the same arguments, another path, or delete the file"
        )
    model.load_state_dict(_below("model/", tensors))
    parameters = [weight for group in optimizer.param_groups for weight in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in _below("optimizer/", tensors).items():
        index, key = name.split("/")
        state.setdefault(int(index), {})[key] = _laid_out_like(parameters[int(index)], tensor)
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
    return settings, _below("streams/", tensors)


def _laid_out_like(weight: Tensor, tensor: Tensor) -> Tensor:
    """Give a moment the memory layout of its weight (channels last, say).

    Fused Adam walks through both by address: in another layout it would pair up wrong elements.
    """
    if tensor.shape != weight.shape:
        return tensor  # Adam's step count
    return torch.empty_like(weight).copy_(tensor)


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
