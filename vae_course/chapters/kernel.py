"""The kernel that a chapter runs in: this Python, its own settings, its peak memory read."""

import os
import resource
import sys
from pathlib import Path
from typing import Any, cast

from ipykernel.kernelspec import get_kernel_dict
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning.local_provisioner import LocalProvisioner


class ChapterKernel(AsyncKernelManager):
    """A kernel manager for one chapter; subclass it with the chapter's `cwd` and `env`.

    nbclient takes a class and calls it itself, so the settings are class attributes. The kernel
    is always the Python that runs this, whatever kernel is installed under the name `python3`.
    (mypy: the parent's own methods are asynchronous as well, under a synchronous annotation.)
    """

    cwd: Path
    extra_env: dict[str, str]
    peak_memory_mb: float | None

    @property
    def kernel_spec(self) -> KernelSpec:
        """This Python's ipykernel, silent but for errors (its outputs are in the notebook)."""
        return KernelSpec(**get_kernel_dict(extra_arguments=["--log-level=ERROR"]))

    async def start_kernel(self, **options: Any) -> None:  # type: ignore[override]
        """Start the kernel in its own folder and environment."""
        env = {**os.environ, **self.extra_env}
        await super().start_kernel(**{**options, "cwd": str(self.cwd), "env": env})

    async def shutdown_kernel(  # type: ignore[override]
        self, now: bool = False, restart: bool = False
    ) -> None:
        """Read the kernel's peak memory while it is still there, then stop it."""
        type(self).peak_memory_mb = _peak_memory_mb(cast(LocalProvisioner, self.provisioner).pid)
        await super().shutdown_kernel(now=now, restart=restart)


def kernel_class(*, folder: Path, threads: int) -> type[ChapterKernel]:
    """Make the kernel manager class of one chapter.

    The kernel works in `folder` (a scratch folder: a chapter cannot lean on, or write, a file
    beside it), with `threads` for its matrix products, no progress bars in the stored output
    and none of the user's IPython start-up files.
    """
    env = {
        "TQDM_DISABLE": "1",
        "OMP_NUM_THREADS": str(threads),
        # Threads that wait asleep: spinning ones make a run ten times slower beside other work.
        "OMP_WAIT_POLICY": "PASSIVE",
        "IPYTHONDIR": str(folder / ".ipython"),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }
    return type(
        "Kernel", (ChapterKernel,), {"cwd": folder, "extra_env": env, "peak_memory_mb": None}
    )


def _peak_memory_mb(pid: int | None) -> float:
    """Peak resident memory in MB of the running process `pid`.

    Linux counts it for each process. Elsewhere it is the largest of all children that have
    ended so far, which is right for a worker's first chapter.
    """
    status = Path(f"/proc/{pid}/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return peak / (1024**2 if sys.platform == "darwin" else 1024)
