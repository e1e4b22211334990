"""What a run ran on: cores, GPU, versions; found without importing torch."""

import functools
import os
import platform
import shutil
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

# A change of any of these runs the chapters again.
PACKAGES = (
    "torch",
    "torchvision",
    "numpy",
    "matplotlib",
    "lightning-fabric",
    "scikit-learn",
    "papermill",
)


def cores() -> int:
    """Count the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@functools.cache
def gpu() -> str | None:
    """Name the first NVIDIA GPU that this process may use, or None."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return None
    if (tool := shutil.which("nvidia-smi")) is None:
        return "NVIDIA GPU" if Path("/dev/nvidia0").exists() else None
    query = [tool, "--query-gpu=name", "--format=csv,noheader"]
    found = subprocess.run(query, capture_output=True, text=True, check=False, timeout=60)
    return found.stdout.splitlines()[0].strip() if found.returncode == 0 and found.stdout else None


def default_jobs() -> int:
    """Say how many chapters run at once: one a core, or one in all where a GPU is shared."""
    return 1 if gpu() else cores()


def hardware() -> dict[str, str | int | None]:
    """Describe this machine in a few words."""
    return {
        "cpu": _cpu(),
        "cores": cores(),
        "gpu": gpu(),
        "bfloat16": _multiplies_in_bfloat16(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def this_run() -> dict[str, Any]:
    """Say where, with what and when: the one form in which a result tells of its run."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return {"hardware": hardware(), "versions": versions(), "date": now}


def _multiplies_in_bfloat16() -> bool:
    """Whether this CPU has units for bfloat16, in which case networks' products are rounded."""
    info = Path("/proc/cpuinfo")
    flags = info.read_text() if info.exists() else ""
    return "avx512_bf16" in flags or "amx_bf16" in flags


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    for line in info.read_text().splitlines() if info.exists() else []:
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """List the versions of Python and of the installed packages a result depends on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found
