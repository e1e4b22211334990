"""Files from torchvision's mirrors: fetched into memory, checked, and only then handed on."""

import http.client
import importlib
import io
import sys
import urllib.request
from collections.abc import Sequence

from vae_course.data.catalog import Dataset, File
from vae_course.data.errors import BrokenFileError
from vae_course.data.store import read_stream, unpack

_TIMEOUT_SECONDS = 20
_PACKING_BYTES = 1_000_000  # what an archive may be larger than its files


def addresses(dataset: Dataset, file: File) -> list[str]:
    """List where ``file``, or the archive with it, is to be had: torchvision's own table.

    Raises:
        ImportError, RuntimeError: torchvision is missing, or does not fit the installed torch.
    """
    table = getattr(importlib.import_module("torchvision.datasets"), dataset.torchvision)
    if dataset.archive:
        return [table.url]
    return [
        f"{mirror}{name}"
        for mirror in table.mirrors
        for name, _ in table.resources
        if name == f"{file.name}.gz"
    ]


def download(dataset: Dataset, files: Sequence[File], tried: list[str]) -> dict[File, bytes]:
    """Fetch files from the first mirror that gives each of them whole.

    Args:
        dataset: The set that ``files`` belong to.
        files: What is wanted; all from one archive where the set has one.
        tried: Gets a line for each address that failed, and why.

    Returns:
        The checked contents; without the files after the first that could not be had.
    """
    found: dict[File, bytes] = {}
    batches = [files] if dataset.archive else [[file] for file in files]
    for batch in batches:
        contents = _first_whole(dataset, batch, tried)
        if contents is None:
            break
        found |= contents
    return found


def _first_whole(
    dataset: Dataset, files: Sequence[File], tried: list[str]
) -> dict[File, bytes] | None:
    try:
        urls = addresses(dataset, files[0])
    except (ImportError, RuntimeError) as error:
        tried.append(f"torchvision's mirrors: torchvision cannot be imported, {error}")
        return None
    limit = sum(file.size for file in dataset.files) + _PACKING_BYTES
    for url in urls:
        try:
            stream = io.BytesIO(fetch(url, limit=limit))
            if dataset.archive:
                return unpack(stream, files)
            return {files[0]: read_stream(stream, files[0], gzipped=True)}
        except BrokenFileError as error:
            tried.append(f"{url}: broken, {error}")
        except (OSError, http.client.HTTPException) as error:
            tried.append(f"{url}: {error}")
    return None


def fetch(url: str, *, limit: int) -> bytes:
    """Return what ``url`` serves, at most ``limit`` bytes; says so in one line on stderr."""
    print(f"vae-course: downloading {url}", file=sys.stderr)
    request = urllib.request.Request(url, headers={"User-Agent": "vae-course"})
    with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as response:
        content: bytes = response.read(limit)
    return content
