"""Small stand-ins for the real sets, so that no test needs the network or Debian's files."""

import gzip
import hashlib
import io
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from cifar_pickle import cifar_batch

from vae_course.data import catalog, sources
from vae_course.data.catalog import DATASETS, Dataset, File
from vae_course.data.formats import to_idx


@dataclass
class World:
    """What a test may put files into: nothing is there at first, and no mirror answers."""

    root: Path
    shared: Path
    mirror: Path
    contents: dict[str, bytes]

    def content(self, file: File) -> bytes:
        return self.contents[file.path]

    def fill_root(self, dataset: Dataset) -> None:
        for file in dataset.files:
            write(self.root / file.path, self.content(file))

    def fill_shared(self, dataset: Dataset) -> None:
        for file in dataset.files:
            write(self.shared / f"{file.name}.gz", gzip.compress(self.content(file)))

    def fill_mirror(self, dataset: Dataset) -> None:
        if dataset.archive:
            write(self.mirror / dataset.archive, self.archive(dataset.files))
            return
        for file in dataset.files:
            write(self.mirror / f"{file.name}.gz", gzip.compress(self.content(file)))

    def archive(self, files: Sequence[File]) -> bytes:
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w:gz") as archive:
            for file in files:
                member = tarfile.TarInfo(file.path)
                member.size = file.size
                archive.addfile(member, io.BytesIO(self.content(file)))
        return stream.getvalue()


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _idx_contents(dataset: Dataset, generator: torch.Generator) -> dict[str, bytes]:
    contents = {}
    for images, labels in dataset.splits.values():
        pixels = torch.randint(0, 256, (20, 28, 28), dtype=torch.uint8, generator=generator)
        contents[images.path] = to_idx(pixels)
        contents[labels.path] = to_idx(torch.arange(20, dtype=torch.uint8) % 10)
    return contents


def _cifar_contents(dataset: Dataset, generator: torch.Generator) -> dict[str, bytes]:
    contents = {}
    for files in dataset.splits.values():
        for file in files:
            pixels = torch.randint(0, 256, (4, 3072), dtype=torch.uint8, generator=generator)
            contents[file.path] = cifar_batch(pixels.numpy().tobytes(), [3, 1, 9, 0])
    return contents


def _known_by(file: File, content: bytes) -> File:
    algorithm = file.digest.partition(":")[0]
    digest = hashlib.new(algorithm, content).hexdigest()
    return replace(file, size=len(content), digest=f"{algorithm}:{digest}")


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Make ``load`` see small sets, empty folders, and mirrors that are files."""
    here = World(tmp_path / "root", tmp_path / "shared", tmp_path / "mirror", {})
    generator = torch.Generator().manual_seed(1)
    for name in ("fashion-mnist", "mnist", "cifar10"):
        real = DATASETS[name]
        make = _cifar_contents if real.archive else _idx_contents
        contents = make(real, generator)
        here.contents |= contents
        small = replace(
            real,
            splits={
                split: tuple(_known_by(file, contents[file.path]) for file in files)
                for split, files in real.splits.items()
            },
            shared=here.shared if real.shared else None,
        )
        monkeypatch.setitem(DATASETS, name, small)

    def addresses(dataset: Dataset, file: File) -> list[str]:
        name = dataset.archive or f"{file.name}.gz"
        return [(here.mirror / name).as_uri()]

    monkeypatch.setattr(sources, "addresses", addresses)
    monkeypatch.setattr(catalog, "PACKING_BYTES", 30_000)  # random bytes do not pack
    monkeypatch.setenv("VAE_COURSE_DATA", str(here.root))
    return here
