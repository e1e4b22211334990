"""Writing a file so that a reader, or a kill, sees the old one or the new one: never half of it."""

import os
import re
import secrets
import shutil
import socket
from pathlib import Path


def write_whole(path: Path, content: str | bytes) -> None:
    """Write `content` (text as UTF-8) to `path`: a new temporary file, fsync, rename.

    A link at `path` is replaced, not followed. What killed writers of the same file left behind
    on this machine is swept first.

    Raises:
        OSError: the file cannot be written; it names the file, and what was there is still there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path)
    temporary = path.with_name(f".{path.name}.{_host()}-{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as file:  # x: it has to be new, so no planted link is followed
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def remove(path: Path) -> None:
    """Remove the file or the folder at `path`, if there is one; a link goes, not what it names."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _sweep(path: Path) -> None:
    """Remove temporary files of `path` whose writer, a process of this machine, has died."""
    leftover = re.compile(rf"\.{re.escape(path.name)}\.{re.escape(_host())}-(\d+)\.\w+\.tmp")
    for other in path.parent.iterdir():
        found = leftover.fullmatch(other.name)
        if found and not _alive(int(found[1])):
            other.unlink(missing_ok=True)


def _host() -> str:
    return re.sub(r"\W", "_", socket.gethostname())


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
