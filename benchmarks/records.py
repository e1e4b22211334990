"""What a benchmark writes down: its entry in a file of results, and where and when it ran."""

import json
from pathlib import Path
from typing import Any

import torch

from vae_course.chapters import machine
from vae_course.files import write_whole


def this_run(seed: int) -> dict[str, Any]:
    """Say where, with what and when, and the seed."""
    return {"threads": torch.get_num_threads(), **machine.this_run(), "seed": seed}


def write(path: Path, content: Any) -> None:
    """Write a file of results, whole or not at all."""
    write_whole(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def record(path: Path, name: str, entry: dict[str, Any]) -> None:
    """Put one entry into the file of all entries."""
    entries = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    write(path, entries | {name: entry})
