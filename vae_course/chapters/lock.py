"""One run at a time works on a profile's book; a second one says for whom it waits."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from vae_course.chapters.project import Project
from vae_course.files import remove, write_whole


@contextmanager
def held(project: Project, *, profile: str, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the profile's folders under `_build/`; wait, with a word, while another run does.

    What killed runs left behind is swept first: with the lock in hand, nobody works in it.

    Args:
        project: whose folders.
        profile: smoke, quick or full.
        say: hears whom we wait for.
    """
    from filelock import FileLock, Timeout

    folder = project.root / "_build"
    folder.mkdir(exist_ok=True)
    holder = folder / f".{profile}.holder"
    lock = FileLock(folder / f".{profile}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        who = holder.read_text(encoding="utf-8").strip() if holder.is_file() else "another run"
        say(f"waiting for {who}, which works on the {profile} book")
        lock.acquire()
    try:
        write_whole(holder, f"process {os.getpid()} on {socket.gethostname()}\n")
        sweep(folder / "executed" / profile)
        yield
    finally:
        remove(holder)
        lock.release()


def sweep(folder: Path) -> None:
    """Remove what killed runs left in a folder of executed chapters; links are not followed."""
    for pattern in (".run-*", ".*.tmp"):
        for left in folder.glob(pattern):
            remove(left)
