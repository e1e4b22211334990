"""Where files come from: this machine, or torchvision's mirrors; broken ones are set aside."""

import errno
import http.client
import importlib
import io
import shutil
import sys
import urllib.request
import warnings
from collections.abc import Sequence
from pathlib import Path

from vae_course.data.catalog import Dataset, File
from vae_course.data.errors import BrokenFileError, DataError, DataWarning
from vae_course.data.packing import unpack
from vae_course.files import write_whole

_TIMEOUT_SECONDS = 20


def read(
    place: Path, dataset: Dataset, files: Sequence[File], tried: list[str]
) -> dict[File, bytes]:
    """Read files from a place on this machine, which may be missing or broken.

    Args:
        place: A file as it is, packed, or the archive; a broken one is renamed to
            ``NAME.broken``, but for those in the shared folder.
        dataset: The set that ``files`` belong to.
        files: What is wanted.
        tried: Gets a line that says why, where nothing is returned.

    Returns:
        All the files, checked, or none.
    """
    try:
        with place.open("rb") as stream:
            return unpack(stream, place.name, dataset, files)
    except (FileNotFoundError, NotADirectoryError):
        tried.append(f"{place}: no such file")
    except BrokenFileError as error:
        tried.append(f"{place}: broken, {error}")
        shared = place.parent == dataset.shared
        fate = "it is left as it is" if shared else _set_aside(place)
        _warn(f"{place} is broken ({error}); {fate}, and the next source is used")
    except OSError as error:
        tried.append(f"{place}: {error}")
        _warn(f"{place} cannot be read ({error}); the next source is used")
    return {}


def addresses(dataset: Dataset, file: File) -> list[str]:
    """List where ``file``, or the archive with it, is to be had: torchvision's own table.

    Raises:
        ImportError, RuntimeError: torchvision is missing, or does not fit the installed torch.
    """
    table = getattr(importlib.import_module("torchvision.datasets"), dataset.torchvision)
    if dataset.archive:
        return [table.url]
    names = [name for name, _ in table.resources if name == f"{file.name}.gz"]
    return [f"{mirror}{name}" for mirror in table.mirrors for name in names]


def download(
    dataset: Dataset, files: Sequence[File], root: Path, tried: list[str]
) -> dict[File, bytes]:
    """Fetch files from the first mirror that gives them whole, and keep what it gave.

    Args:
        dataset: The set that ``files`` belong to.
        files: One, or all that are wanted of an archive.
        root: The data folder; the packed file goes where torchvision puts it.
        tried: Gets a line for each address that failed, and why.

    Returns:
        All the files, checked, or none.

    Raises:
        DataError: The disk is full.
    """
    try:
        urls = addresses(dataset, files[0])
    except (ImportError, RuntimeError) as error:
        tried.append(f"torchvision's mirrors: torchvision cannot be imported, {error}")
        return {}
    name = dataset.archive or f"{files[0].path}.gz"
    for url in urls:
        try:
            packed = fetch(url, limit=dataset.limit)
            contents = unpack(io.BytesIO(packed), name, dataset, files)
        except BrokenFileError as error:
            tried.append(f"{url}: broken, {error}")
        except (OSError, http.client.HTTPException) as error:
            tried.append(f"{url}: {error}")
        else:
            _keep(packed, root / name)
            return contents
    return {}


def fetch(url: str, *, limit: int) -> bytes:
    """Return what ``url`` serves, at most ``limit`` bytes; says so in one line on stderr."""
    print(f"vae-course: downloading {url}", file=sys.stderr)
    request = urllib.request.Request(url, headers={"User-Agent": "vae-course"})
    with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as response:
        content: bytes = response.read(limit)
    return content


def _keep(packed: bytes, target: Path) -> None:
    """Write a checked file; where that cannot be, say so: its content is used all the same."""
    try:
        write_whole(target, packed)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            _warn(f"{target} could not be kept ({error}); the next run fetches it again")
            return
        present = next(place for place in target.parents if place.exists())
        raise DataError(
            f"the disk of {target} is full: {len(packed) / 1e6:.0f} MB are needed and "
            f"{shutil.disk_usage(present).free / 1e6:.0f} MB are free. Free some space, or name a "
            "data folder on another disk (data_dir=… or the environment variable VAE_COURSE_DATA)."
        ) from error


def _set_aside(place: Path) -> str:
    """Rename a broken file; return what became of it, in words."""
    broken = place.with_name(f"{place.name}.broken")
    try:
        place.replace(broken)
    except FileNotFoundError:
        return "another process has set it aside"
    except OSError as error:
        return f"it is left there, since it cannot be renamed ({error})"
    return f"it was set aside as {broken.name}"


def _warn(message: str) -> None:
    warnings.warn(message, DataWarning, stacklevel=5)  # whoever called load
