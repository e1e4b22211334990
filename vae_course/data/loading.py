"""``load``: from the name of a set to its images, whatever it takes, or a clear error."""

import difflib
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import platformdirs

from vae_course.data.catalog import DATASETS, Dataset, File
from vae_course.data.errors import DataError, ReducedDataWarning
from vae_course.data.images import ImageSet
from vae_course.data.sources import download, read

T = TypeVar("T")

_WHOLE = "fashion-mnist"
_BUNDLED = "fashion-mnist-mini"
_VARIABLE = "VAE_COURSE_DATA"


def load(
    name: str, split: str, *, data_dir: str | Path | None = None, fallback: bool = True
) -> ImageSet:
    """Load one split of an image set into memory.

    Each file is looked for in the data folder (laid out as torchvision does it), then, for
    ``fashion-mnist``, in Debian's package ``dataset-fashion-mnist``, then at torchvision's mirrors.
    Its size and digest are checked before it is used; a broken file is set aside and replaced.
    ``fashion-mnist-mini`` (10,000 + 2,000 images, balanced) is inside the package.

    Args:
        name: ``fashion-mnist``, ``fashion-mnist-mini``, ``mnist`` or ``cifar10``.
        split: ``train`` or ``test``.
        data_dir: The data folder; else the environment variable ``VAE_COURSE_DATA``; else the
            user's cache folder.
        fallback: Whether ``fashion-mnist-mini`` may stand in for ``fashion-mnist``, with a
            ReducedDataWarning, where that cannot be had.

    Returns:
        All images (uint8) and labels; its ``name`` says what was really loaded.

    Raises:
        ValueError: There is no such set or split.
        DataError: The files cannot be had (or the disk is full); it lists the places tried and the
            ways out.

    Examples:
        >>> test = load("fashion-mnist-mini", "test")
        >>> test.images.shape, test.images.dtype
        (torch.Size([2000, 1, 28, 28]), torch.uint8)
        >>> test.classes[test.labels[0]]
        'Pullover'
    """
    dataset = _choose("data set", name, DATASETS)
    files = _choose("split", split, dataset.splits)
    tried: list[str] = []
    found = _gather(dataset, files, _root(data_dir), tried)
    if len(found) < len(files):
        message = _failure(dataset, split, tried)
        if not (fallback and name == _WHOLE):
            raise DataError(message)
        warnings.warn(
            f"USING LESS DATA: {_BUNDLED} stands in, since {message}",
            ReducedDataWarning,
            stacklevel=2,
        )
        return load(_BUNDLED, split)
    images, labels = dataset.decode(*(found[file] for file in files))
    return ImageSet(images, labels, name=name, split=split, classes=dataset.classes)


def _root(data_dir: str | Path | None) -> Path:
    chosen = data_dir or os.environ.get(_VARIABLE) or platformdirs.user_cache_path("vae-course")
    return Path(chosen).expanduser()


def _gather(
    dataset: Dataset, files: tuple[File, ...], root: Path, tried: list[str]
) -> dict[File, bytes]:
    """Return the contents of what can be had; for the rest, ``tried`` says why not."""
    found: dict[File, bytes] = {}
    for place, held in _places(dataset, files, root):
        if wanted := [file for file in held if file not in found]:
            found |= read(place, dataset, wanted, tried)
    missing = [file for file in files if file not in found]
    batches = [missing] if dataset.archive else [[file] for file in missing]
    for batch in batches if missing and dataset.torchvision else ():
        new = download(dataset, batch, root, tried)
        found |= new
        if not new:
            break  # what no mirror has of one file, it has not of the next
    return found


def _places(
    dataset: Dataset, files: tuple[File, ...], root: Path
) -> Iterator[tuple[Path, Sequence[File]]]:
    """Yield where on this machine files may be, in the order in which they are looked for."""
    for file in files:
        if dataset.torchvision:
            yield root / file.path, [file]
        if dataset.torchvision and not dataset.archive:
            yield root / f"{file.path}.gz", [file]
        if dataset.shared:
            yield dataset.shared / f"{file.name}.gz", [file]
    if dataset.archive:
        yield root / dataset.archive, files


def _choose(kind: str, name: str, known: Mapping[str, T]) -> T:
    if isinstance(name, str) and name in known:
        return known[name]
    close = difflib.get_close_matches(str(name), known, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    raise ValueError(f"there is no {kind} {name!r}: {hint}choose one of {', '.join(known)}")


def _failure(dataset: Dataset, split: str, tried: list[str]) -> str:
    places = "\n".join(f"  - {line}" for line in tried)
    if not dataset.torchvision:
        return f"{dataset.name} ({split}) is not whole: reinstall vae-course. Tried:\n{places}"
    connect = "connect to the network and run this again"
    if dataset.name == _WHOLE:
        connect += ", or install Debian's package dataset-fashion-mnist"
    return (
        f"{dataset.name} ({split}) cannot be had. Tried:\n{places}\n"
        "Three ways out:\n"
        f"  1. set data_dir or the environment variable {_VARIABLE} to a folder that "
        f"torchvision.datasets.{dataset.torchvision}(folder, download=True) filled;\n"
        f"  2. {connect};\n"
        f'  3. ask for "{_BUNDLED}", which is inside the package.'
    )
