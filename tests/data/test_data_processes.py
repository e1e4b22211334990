"""Real processes on one cache: two that fill it at once, and one that is killed while it does."""

import gzip
import hashlib
import subprocess
import sys

from vae_course.data import load
from vae_course.data.catalog import DATASETS

CACHES = 40

# One process imports torch, for the sake of time, and forks the three that matter.
SCRIPT = f"""
import os, signal, sys
from dataclasses import replace
from pathlib import Path
from vae_course.data import load, sources
from vae_course.data.catalog import DATASETS

base, digests = Path(sys.argv[1]), sys.argv[2:]
def known(file, digest):
    return replace(file, size=(base / file.name).stat().st_size, digest=digest)
mnist = DATASETS["mnist"]
train = tuple(known(f, d) for f, d in zip(mnist.splits["train"], digests, strict=True))
DATASETS["mnist"] = replace(mnist, splits={{"train": train}})
sources.addresses = lambda dataset, file: [(base / f"{{file.name}}.gz").as_uri()]

def fill():
    os.read(wait, 1)
    for cache in range({CACHES}):
        images = load("mnist", "train", data_dir=base / f"cache-{{cache}}")
        assert images.labels.tolist() == [i % 10 for i in range(len(images))]

def die():
    os.fsync = lambda file: os.kill(os.getpid(), signal.SIGKILL)
    load("mnist", "train", data_dir=base / "killed")

def fork(work):
    if child := os.fork():
        return child
    status = 1
    try:
        work()
        status = 0
    finally:
        os._exit(status)

wait, go = os.pipe()
children = [fork(fill), fork(fill), fork(die)]
os.write(go, b"..")
codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
assert codes == [0, 0, -signal.SIGKILL], codes
"""


def test_caches_filled_by_two_processes_are_whole_and_a_killed_one_leaves_no_half_file(world):
    dataset = DATASETS["mnist"]
    files = dataset.splits["train"]
    world.fill_mirror(dataset)
    for file in files:
        (world.mirror / file.name).write_bytes(world.content(file))
    command = [sys.executable, "-c", SCRIPT, str(world.mirror), *(file.digest for file in files)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr

    for number in range(CACHES):
        raw = world.mirror / f"cache-{number}" / "MNIST" / "raw"
        assert {path.name for path in raw.iterdir()} == {f"{file.name}.gz" for file in files}
        for file in files:
            content = gzip.decompress((raw / f"{file.name}.gz").read_bytes())
            assert f"sha256:{hashlib.sha256(content).hexdigest()}" == file.digest

    cache = world.mirror / "killed"
    left = [path.relative_to(cache) for path in cache.rglob("*") if path.is_file()]
    assert len(left) == 1 and left[0].suffix == ".tmp", "only a temporary file"
    assert len(load("mnist", "train", data_dir=cache)) == 20
    assert not (cache / left[0]).exists(), "it is swept"
