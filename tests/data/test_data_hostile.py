"""Files that are broken on purpose: bombs, links, mutants. Each ends in one named error, or right.

`VAE_COURSE_FUZZ=20000 pytest tests/data/test_data_hostile.py` tries longer.
"""

import gzip
import io
import signal
import struct
import tarfile
import tracemalloc
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from cifar_pickle import cifar_batch
from mutations import mutants

from vae_course.data import DataError, DataWarning, load
from vae_course.data.catalog import DATASETS
from vae_course.data.errors import BrokenFileError
from vae_course.data.formats import decode_cifar, from_idx, to_idx
from vae_course.data.packing import unpack

MEBIBYTE = 2**20


@contextmanager
def bounded(mebibytes: int) -> Iterator[None]:
    """Fail where more memory is used than that, or where it hangs."""
    signal.alarm(500)
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < mebibytes * MEBIBYTE
    finally:
        tracemalloc.stop()
        signal.alarm(0)


def zeros(mebibytes: int) -> bytes:
    """Return a gzip file of so many zeros: a thousandth of it in size."""
    stream = io.BytesIO()
    with gzip.GzipFile(fileobj=stream, mode="wb") as file:
        for _ in range(mebibytes):
            file.write(bytes(MEBIBYTE))
    return stream.getvalue()


BOMB = zeros(256)


def member(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE, link: str = "") -> bytes:
    """Return a member's header."""
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = size, kind, link
    return info.tobuf(tarfile.GNU_FORMAT)


# --- bombs: a small file that unpacks to a large one ---------------------------------------------


def test_a_gzip_bomb_in_the_data_folder_or_on_a_mirror_is_a_broken_file(world):
    dataset = DATASETS["mnist"]
    for folder in (world.root / "MNIST" / "raw", world.mirror):
        folder.mkdir(parents=True)
        for file in dataset.splits["train"]:
            (folder / f"{file.name}.gz").write_bytes(BOMB)
    with (
        bounded(2),
        pytest.warns(DataWarning, match="or more bytes instead of"),
        pytest.raises(DataError, match=r"file://\S*: broken, \d+ or more bytes instead of"),
    ):
        load("mnist", "train")


def test_a_gzip_bomb_in_the_shared_folder_is_left_and_said(world):
    dataset = DATASETS["fashion-mnist"]
    world.shared.mkdir()
    for file in dataset.files:
        (world.shared / f"{file.name}.gz").write_bytes(BOMB)
    with (
        bounded(2),
        pytest.warns(DataWarning, match="left as it is"),
        pytest.raises(DataError, match="or more bytes instead of"),
    ):
        load("fashion-mnist", "train", fallback=False)


def test_a_file_that_is_too_large_is_not_read_to_its_end(world):
    dataset = DATASETS["mnist"]
    world.fill_mirror(dataset)
    place = world.root / dataset.splits["test"][0].path
    place.parent.mkdir(parents=True)
    with place.open("wb") as file:
        file.truncate(2**33)  # takes no room on the disk
    with bounded(2), pytest.warns(DataWarning, match="or more bytes instead of"):
        load("mnist", "test")


def test_a_mirror_that_serves_without_end_is_cut_off(world):
    world.mirror.mkdir()
    for file in DATASETS["mnist"].files:
        with (world.mirror / f"{file.name}.gz").open("wb") as stream:
            stream.truncate(2**33)
    with bounded(2), pytest.raises(DataError, match="not a whole gzip file"):
        load("mnist", "test")


TARS = {
    "a member of 256 MiB": member("cifar-10-batches-py/readme.html", 256 * MEBIBYTE),
    "a long name of 256 MiB": member("x", 256 * MEBIBYTE, tarfile.GNUTYPE_LONGNAME),
    "a pax header of 256 MiB": member("x", 256 * MEBIBYTE, tarfile.XHDTYPE),
    "nothing but zeros": b"",
}


@pytest.mark.parametrize("place", ["root", "mirror"])
@pytest.mark.parametrize("head", TARS.values(), ids=TARS)
def test_a_tar_bomb_is_a_broken_file(world, head, place):
    dataset = DATASETS["cifar10"]
    folder = getattr(world, place)
    folder.mkdir()
    (folder / dataset.archive).write_bytes(gzip.compress(head) + BOMB)
    with warnings.catch_warnings(), bounded(2):
        warnings.simplefilter("ignore", DataWarning)
        with pytest.raises(DataError, match=r"broken, more than \d+ bytes in it"):
            load("cifar10", "train")


def test_a_packed_archive_within_the_archive_is_not_unpacked_as_well(world):
    dataset = DATASETS["cifar10"]
    with bounded(2), pytest.raises(BrokenFileError, match=r"not a whole .tar.gz"):
        unpack(io.BytesIO(gzip.compress(BOMB[:9999])), "x.tar.gz", dataset, dataset.files)


def test_members_without_end_and_links_are_not_followed(world, monkeypatch):
    dataset = DATASETS["cifar10"]
    monkeypatch.setattr("vae_course.data.catalog.PACKING_BYTES", 50 * MEBIBYTE)
    name = dataset.files[0].path
    loop = member(name, kind=tarfile.SYMTYPE, link=name)
    backwards = bytearray(member("x"))
    backwards[124:136] = struct.pack(">q", -1024).rjust(12, b"\xff")
    backwards[148:156] = b"%06o\0 " % (sum(backwards[:148]) + 8 * 32 + sum(backwards[156:]))
    for content in (
        loop,
        member("x") * 50_000,
        member("y") * 3 + bytes(backwards) * 9,
        member("x", 600, tarfile.GNUTYPE_LONGNAME) * 30_000,
    ):
        with bounded(60), pytest.raises(BrokenFileError, match=r"missing in it|not a whole \.tar"):
            unpack(io.BytesIO(gzip.compress(content)), "x.tar.gz", dataset, dataset.files)


# --- mutants ------------------------------------------------------------------------------------


def outcome(read, *contents: bytes):
    """Return what a reader makes of a file; None for the error that is allowed."""
    try:
        return read(*contents)
    except BrokenFileError:
        return None


def test_mutants_of_an_idx_file():
    content = to_idx(torch.arange(60, dtype=torch.uint8).view(3, 4, 5))
    with bounded(2):
        for mutant in mutants(content, seed=1, head=16):
            values = outcome(from_idx, mutant)
            assert values is None or to_idx(values) == mutant


@pytest.mark.parametrize("shape", [(2**31,), (2**32 - 1,) * 3 + (0,), (2**16,) * 4, (1,) * 99])
def test_idx_sizes_that_no_file_has(shape):
    header = struct.pack(f">4B{len(shape)}I", 0, 0, 8, len(shape), *shape)
    with bounded(2):
        for content in (header, header + bytes(1)):
            assert outcome(from_idx, content) is None


@pytest.mark.filterwarnings("ignore:invalid escape sequence")  # of Python's own pickletools
def test_mutants_of_a_cifar_batch():
    content = cifar_batch(bytes(range(256)) * 24, [3, 7])
    with bounded(4):
        for mutant in mutants(content, seed=2):
            found = outcome(decode_cifar, mutant)
            if found is not None:
                images, labels = found
                assert images.shape == (len(labels), 3, 32, 32) and images.dtype == torch.uint8


def around(pack, content: bytes, seed: int) -> Iterator[bytes]:
    """Mutate what is packed, then the packing."""
    yield from (pack(mutant) for mutant in mutants(content, seed))
    yield from mutants(pack(content), seed + 1)


@pytest.mark.parametrize("name", ["fashion-mnist", "cifar10"])
def test_mutants_of_packed_files_give_the_right_content_or_one_error(world, name):
    """Where the digest is right, so is the content, whatever is around it."""
    dataset = DATASETS[name]
    files = dataset.files if dataset.archive else dataset.files[:1]
    ending = ".tar.gz" if dataset.archive else ".gz"
    content = gzip.decompress(world.archive(files)) if dataset.archive else world.content(files[0])
    right = 0
    with bounded(16):
        for mutant in around(gzip.compress, content, seed=3):
            try:
                found = unpack(io.BytesIO(mutant), f"x{ending}", dataset, files)
            except BrokenFileError:
                continue
            assert found == {file: world.content(file) for file in files}
            right += 1
    assert right, "some mutants differ where it does not matter"


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_mutants_in_the_data_folder_are_never_read(world, name):
    """Load a set whose files are mutants: right from the mirror, whatever lies there."""
    dataset = DATASETS[name]
    world.fill_mirror(dataset)
    pixels, labels = dataset.decode(*(world.content(file) for file in dataset.splits["test"]))
    place = world.root / (dataset.archive or f"{dataset.splits['test'][0].path}.gz")
    place.parent.mkdir(parents=True)
    served = world.mirror / place.name
    with warnings.catch_warnings(), bounded(16):
        warnings.simplefilter("ignore", DataWarning)
        for mutant in mutants(served.read_bytes(), seed=5):
            place.write_bytes(mutant)
            images = load(name, "test")
            assert torch.equal(images.images, pixels) and torch.equal(images.labels, labels)
