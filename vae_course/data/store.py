"""Files on this machine: read and checked, broken ones set aside, new ones kept whole."""

import contextlib
import errno
import gzip
import hashlib
import shutil
import tarfile
import tempfile
import time
import warnings
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO, TypeVar

from vae_course.data.catalog import File
from vae_course.data.errors import BrokenFileError, DataError, DataWarning

T = TypeVar("T")

_PART = ".vae-course-part-"
_STALE_SECONDS = 3600


def check(content: bytes, file: File) -> bytes:
    """Return ``content`` if its size and digest are those of ``file``, else BrokenFileError."""
    if len(content) != file.size:
        more = " or more" if len(content) > file.size else ""
        raise BrokenFileError(f"{len(content)}{more} bytes instead of {file.size}")
    algorithm, _, expected = file.digest.partition(":")
    found = hashlib.new(algorithm, content, usedforsecurity=False).hexdigest()
    if found != expected:
        raise BrokenFileError(f"its {algorithm} digest is {found}, not {expected}")
    return content


def read_stream(stream: BinaryIO, file: File, *, gzipped: bool) -> bytes:
    """Read one file's content, unpacked and checked; never more than its size and one byte."""
    try:
        source = gzip.GzipFile(fileobj=stream) if gzipped else stream
        content = source.read(file.size + 1)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise BrokenFileError(f"not a whole gzip file: {error}") from error
    return check(content, file)


def unpack(stream: BinaryIO, files: Iterable[File]) -> dict[File, bytes]:
    """Read files out of a ``.tar.gz``, each checked; nothing is written.

    Raises:
        BrokenFileError: The archive ends early, or a file in it is missing or wrong.
    """
    wanted = {file.path: file for file in files}
    found = {}
    try:
        with tarfile.open(fileobj=stream, mode="r|gz") as archive:
            for member in archive:
                file = wanted.get(member.name)
                content = archive.extractfile(member) if file else None
                if file and content:
                    found[file] = check(content.read(file.size + 1), file)
                if len(found) == len(wanted):
                    break
    except (EOFError, gzip.BadGzipFile, zlib.error, tarfile.TarError) as error:
        raise BrokenFileError(f"not a whole .tar.gz file: {error}") from error
    if missing := [file.name for file in wanted.values() if file not in found]:
        raise BrokenFileError(f"{', '.join(missing)} missing in it")
    return found


def attempt(
    place: Path, read: Callable[[BinaryIO], T], tried: list[str], *, ours: bool = True
) -> T | None:
    """Read a file that may be missing or broken.

    Args:
        place: The file.
        read: Takes its content from the open file; raises BrokenFileError.
        tried: Gets a line that says why, where nothing is returned.
        ours: Whether a broken file may be set aside (renamed to ``NAME.broken``).

    Returns:
        What ``read`` returned, or None.
    """
    try:
        with place.open("rb") as stream:
            return read(stream)
    except (FileNotFoundError, NotADirectoryError):
        tried.append(f"{place}: no such file")
    except BrokenFileError as error:
        tried.append(f"{place}: broken, {error}")
        fate = _set_aside(place) if ours else "it is left as it is"
        _warn(f"{place} is broken ({error}); {fate}, and the next source is used")
    except OSError as error:
        tried.append(f"{place}: {error}")
        _warn(f"{place} cannot be read ({error}); the next source is used")
    return None


def keep(contents: dict[File, bytes], root: Path) -> None:
    """Write checked contents below ``root``, each under its name only when it is whole.

    Each goes to a temporary folder beside its place and is renamed, so two processes that do this
    at once, or one that is killed, leave no half file. Where nothing can be written, that is
    said in a DataWarning and the contents are used all the same.

    Raises:
        DataError: The disk is full; what was written of the file is removed.
    """
    try:
        for file, content in contents.items():
            target = root / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            _sweep(target.parent)
            with tempfile.TemporaryDirectory(prefix=_PART, dir=target.parent) as folder:
                part = Path(folder, file.name)
                part.write_bytes(content)
                part.replace(target)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            _warn(
                f"the files could not be kept in {root} ({error}); the next run fetches them again"
            )
            return
        needed = sum(file.size for file in contents)
        raise DataError(
            f"the disk of {root} is full: {needed / 1e6:.0f} MB are needed and "
            f"{_free(root) / 1e6:.0f} MB are free. Free some space, or name a data folder on "
            "another disk (data_dir=… or the environment variable VAE_COURSE_DATA)."
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


def _sweep(folder: Path) -> None:
    """Remove what killed processes left; writing a file takes seconds, so an hour is long ago."""
    for part in folder.glob(f"{_PART}*"):
        with contextlib.suppress(FileNotFoundError):  # its process has just finished
            if time.time() - part.stat().st_mtime > _STALE_SECONDS:
                shutil.rmtree(part)


def _free(folder: Path) -> int:
    present = next(place for place in (folder, *folder.parents) if place.exists())
    return shutil.disk_usage(present).free


def _warn(message: str) -> None:
    warnings.warn(message, DataWarning, stacklevel=4)
