"""The content key of a chapter: when it is the same, the chapter need not run again."""

import hashlib
import json
import platform
from pathlib import Path
from typing import Any

from vae_course.chapters import machine
from vae_course.chapters.notebooks import Notebook, tags_of, text_of


def content_key(*, notebook: Notebook, parameters: dict[str, Any], package: str) -> str:
    """SHA-256 over all that an executed chapter depends on.

    That is its cells (not their outputs), its parameters, the package's digest, the versions of
    Python and of the packages beneath, and whether it runs on a CPU or on which GPU.
    """
    cells = [
        [cell["cell_type"], text_of(cell["source"]), tags_of(cell)] for cell in notebook["cells"]
    ]
    parts = {
        "cells": cells,
        "parameters": parameters,
        "package": package,
        "versions": machine.versions(),
        "device": machine.gpu() or platform.machine(),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def package_digest(folder: Path) -> str:
    """SHA-256 over every file of the package that a chapter can import, data included.

    What executes and renders the chapters (`chapters/`, `cli.py`) is no part of their results.
    """
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and not _is_beside_the_point(name):
            digest.update(f"{name.as_posix()}\0".encode())
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _is_beside_the_point(name: Path) -> bool:
    hidden = any(part.startswith(".") or part == "__pycache__" for part in name.parts)
    return hidden or name.parts[0] in ("chapters", "cli.py")
