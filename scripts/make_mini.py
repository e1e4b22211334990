"""Make the bundled part of Fashion-MNIST from the whole: balanced, from its own splits, seeded.

    python scripts/make_mini.py          write the bundled files and tests/data/mini_sources.json
    python scripts/make_mini.py --check  compare instead; exit 1 and name what differs

An image is drawn by its key: PCG64(SEED + split)'s raw stream gives every image of the split one,
and the smallest keys of each class win. Raw streams, unlike Generator's methods, never change with
numpy's version.
"""

import argparse
import gzip
import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vae_course.data import load
from vae_course.data.catalog import DATASETS
from vae_course.data.formats import to_idx
from vae_course.files import write_whole

SEED = 2017
PER_CLASS = {"train": 1000, "test": 200}
REPOSITORY = Path(__file__).parent.parent
BUNDLED = REPOSITORY / "vae_course" / "data" / "bundled"
SOURCES = REPOSITORY / "tests" / "data" / "mini_sources.json"


def draw(labels: Tensor, *, per_class: int, seed: int) -> Tensor:
    """Return the indices of ``per_class`` images of each class, in ascending order."""
    keys = np.random.PCG64(seed).random_raw(len(labels))
    order = torch.from_numpy(np.argsort(keys, kind="stable"))
    chosen = [order[labels[order] == label][:per_class] for label in range(10)]
    return torch.cat(chosen).sort().values


def main() -> int:
    """Write or check; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with what is there")
    check = parser.parse_args().check
    wrong: list[str] = []
    sources: dict[str, list[dict[str, int | str]]] = {}
    for offset, (split, per_class) in enumerate(PER_CLASS.items()):
        whole = load("fashion-mnist", split, fallback=False)
        index = draw(whole.labels, per_class=per_class, seed=SEED + offset)
        images, labels = whole.images[index], whole.labels[index]
        contents = (to_idx(images.squeeze(1)), to_idx(labels.to(torch.uint8)))
        for file, content in zip(
            DATASETS["fashion-mnist-mini"].splits[split], contents, strict=True
        ):
            wrong += _place(file.name, file.digest, content, check=check)
        if check:
            load("fashion-mnist-mini", split)  # as catalog.py says, or it raises
        sources[split] = [_source(label, index, images, labels) for label in range(10)]
    text = json.dumps(sources, indent=1) + "\n"
    if not check:
        write_whole(SOURCES, text)
    elif SOURCES.read_text() != text:
        wrong.append(f"{SOURCES.name} differs")
    print("\n".join(wrong) or "the bundled files are what the seed gives")
    return 1 if wrong else 0


def _place(name: str, known: str, content: bytes, *, check: bool) -> list[str]:
    """Write or check one file; return complaints."""
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    if not check:
        write_whole(BUNDLED / f"{name}.gz", gzip.compress(content, compresslevel=9, mtime=0))
    return [] if digest == known else [f"{name}: catalog.py must say {digest}"]


def _source(label: int, index: Tensor, images: Tensor, labels: Tensor) -> dict[str, int | str]:
    """Say where the first bundled image of a class is in the whole set, and its digest there."""
    position = int((labels == label).nonzero()[0])
    return {
        "class": label,
        "position": position,
        "index": int(index[position]),
        "sha256": hashlib.sha256(images[position].numpy().tobytes()).hexdigest(),
    }


if __name__ == "__main__":
    sys.exit(main())
