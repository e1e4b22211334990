"""What a benchmark writes down: its entry in a file of results, and where and when it ran."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from vae_course.chapters.machine import hardware, versions
from vae_course.files import write_whole


def this_run(seed: int) -> dict[str, Any]:
    """Say where and when."""
    return {
        "threads": torch.get_num_threads(),
        "hardware": hardware(),
        "versions": versions(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": seed,
    }


def record(path: Path, name: str, entry: dict[str, Any]) -> None:
    """Put one entry into the file of all entries, whole or not at all."""
    entries = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    text = json.dumps(entries | {name: entry}, indent=2, ensure_ascii=False)
    write_whole(path, text + "\n")
