"""Workers on other machines: a Dask cluster that somebody has started."""

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from vae_course.chapters import machine
from vae_course.chapters.notebooks import ChapterError


@dataclass(frozen=True)
class Cluster:
    """Where chapters go: an executor, how many it runs at once, and what its machines are."""

    executor: Executor
    at_once: int
    hardware: list[dict[str, Any]]


@contextmanager
def connected(address: str) -> Iterator[Cluster]:
    """Connect to a Dask scheduler, such as `tcp://host:8786`, whose workers have this package.

    A chapter goes to each thread of a worker: start workers with `--nthreads 1`. A chapter of a
    worker that dies goes to another one. No folder has to be shared: notebooks travel.

    Raises:
        ChapterError: nobody answers there, it has no workers, or dask is not installed.
    """
    try:
        from distributed import Client
    except ModuleNotFoundError as error:
        raise ChapterError(
            f"--scheduler needs {error.name}: in the clone, pip install -e '.[cluster]' brings it"
        ) from None
    try:
        client = Client(address, timeout=10, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ChapterError(f"no Dask scheduler answers at {address}: {reason}") from error
    try:
        threads = client.nthreads()
        if not threads:
            raise ChapterError(f"the scheduler at {address} has no workers: start some first")
        known = client.run(machine.hardware, on_error="ignore")
        kinds = [kind for kind in known.values() if isinstance(kind, dict)]
        executor = client.get_executor(pure=False)
        yield Cluster(executor, sum(threads.values()), kinds)
    finally:
        client.close()
