"""What a run needs to go on as if it had never stopped: weights, Adam's state, epoch, history.

Randomness needs no place here: every step draws from a generator seeded by (seed, step, rank), so
the step's number is the whole state of it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vae_course import storage


def save_checkpoint(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    settings: Mapping[str, Any],
) -> None:
    """Write model, optimizer and JSON settings to one file, whole or not at all."""
    tensors = {f"model/{name}": tensor for name, tensor in model.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{index}/{name}": value for name, value in state.items()}
    storage.write(path, tensors, settings)


def load_checkpoint(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    fingerprint: Mapping[str, Any],
) -> dict[str, Any]:
    """Put a checkpoint back into model and optimizer and return its settings.

    Raises:
        ValueError: the file is damaged, or was written by a run with other settings.
    """
    tensors, settings = storage.read(path)
    theirs = settings.get("fingerprint", {})
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
    return settings


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
