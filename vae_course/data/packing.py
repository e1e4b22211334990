"""Files taken out of ``.gz`` and ``.tar.gz``, never more bytes than they have, and checked."""

import gzip
import hashlib
import io
import itertools
import tarfile
import zlib
from collections.abc import Sequence
from typing import BinaryIO

from vae_course.data.catalog import Dataset, File
from vae_course.data.errors import BrokenFileError

_MOST_MEMBERS = 100


def unpack(
    stream: BinaryIO, name: str, dataset: Dataset, files: Sequence[File]
) -> dict[File, bytes]:
    """Read files of a set out of what ``name`` ends in: ``.tar.gz``, ``.gz``, or one as it is.

    However much a stream unpacks to, no more is than the file (of an archive: the set) has.

    Raises:
        BrokenFileError: The stream ends early, or a file in it is missing or wrong.
    """
    archive = name.endswith(".tar.gz")
    limit = dataset.limit if archive else files[0].size
    source = gzip.GzipFile(fileobj=stream) if name.endswith(".gz") else stream
    try:
        content = source.read(limit + 1)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise BrokenFileError(f"not a whole gzip file: {error}") from error
    if not archive:
        return {files[0]: _checked(content, files[0])}
    if len(content) > limit:
        raise BrokenFileError(f"more than {limit} bytes in it")
    return _members(content, files)


def _members(content: bytes, files: Sequence[File]) -> dict[File, bytes]:
    """Take files out of a tar archive; links and more than a hundred members are not followed."""
    wanted, found = {file.path: file for file in files}, {}
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
            for member in itertools.islice(archive, _MOST_MEMBERS):
                file = wanted.get(member.name)
                stream = archive.extractfile(member) if file and member.isreg() else None
                if file and stream:
                    found[file] = _checked(stream.read(file.size + 1), file)
    except (tarfile.TarError, ValueError, RecursionError) as error:
        raise BrokenFileError(f"not a whole .tar.gz file: {error}") from error
    if missing := [file.name for file in files if file not in found]:
        raise BrokenFileError(f"{', '.join(missing)} missing in it")
    return found


def _checked(content: bytes, file: File) -> bytes:
    """Return ``content`` if its size and digest are those of ``file``."""
    if len(content) != file.size:
        more = " or more" if len(content) > file.size else ""
        raise BrokenFileError(f"{len(content)}{more} bytes instead of {file.size}")
    algorithm, _, expected = file.digest.partition(":")
    found = hashlib.new(algorithm, content, usedforsecurity=False).hexdigest()
    if found != expected:
        raise BrokenFileError(f"its {algorithm} digest is {found}, not {expected}")
    return content
