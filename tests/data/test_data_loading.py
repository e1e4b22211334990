import errno
import gzip
import importlib
import re
from urllib.error import URLError

import pytest
import torch

from vae_course.data import DataError, DataWarning, ReducedDataWarning, load, sources
from vae_course.data.catalog import DATASETS

NAMES = ["fashion-mnist", "mnist", "cifar10"]


@pytest.fixture(params=NAMES)
def dataset(request, world):
    return DATASETS[request.param]


def expected(world, dataset, split="train"):
    return dataset.decode(*(world.content(file) for file in dataset.splits[split]))


def assert_is(images, world, dataset, split="train"):
    pixels, labels = expected(world, dataset, split)
    assert (images.name, images.split, images.classes) == (dataset.name, split, dataset.classes)
    assert torch.equal(images.images, pixels) and torch.equal(images.labels, labels)
    assert len(images) == len(labels)


def names(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def refuse_network(monkeypatch):
    def fetch(url, *, limit):
        raise URLError("no network")

    monkeypatch.setattr(sources, "fetch", fetch)


# --- where the files come from ---------------------------------------------------------------


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_folder_filled_by_torchvision_is_read_as_it_is(world, dataset, split, monkeypatch):
    world.fill_root(dataset)
    refuse_network(monkeypatch)
    before = names(world.root)
    assert_is(load(dataset.name, split), world, dataset, split)
    assert names(world.root) == before


def test_gzipped_files_in_the_data_folder_will_do(world):
    dataset = DATASETS["mnist"]
    world.fill_root(dataset)
    for path in list(world.root.rglob("*ubyte")):
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    assert_is(load("mnist", "train"), world, dataset)


def test_data_dir_goes_before_the_environment(world, tmp_path):
    dataset = DATASETS["mnist"]
    world.fill_root(dataset)
    with pytest.raises(DataError, match="elsewhere"):
        load("mnist", "test", data_dir=tmp_path / "elsewhere")
    assert_is(load("mnist", "test", data_dir=str(world.root)), world, dataset, "test")


def test_without_any_setting_the_user_cache_is_used(world, monkeypatch, tmp_path):
    dataset = DATASETS["mnist"]
    world.fill_root(dataset)
    monkeypatch.delenv("VAE_COURSE_DATA")
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name: world.root)
    assert_is(load("mnist", "test"), world, dataset, "test")


def test_debian_files_are_read_in_place(world, monkeypatch):
    dataset = DATASETS["fashion-mnist"]
    world.fill_shared(dataset)
    refuse_network(monkeypatch)
    assert_is(load("fashion-mnist", "train"), world, dataset)
    assert not world.root.exists()


def test_a_download_is_announced_kept_and_not_repeated(world, dataset, monkeypatch, capsys):
    world.fill_mirror(dataset)
    assert_is(load(dataset.name, "train"), world, dataset)
    assert "downloading file://" in capsys.readouterr().err
    kept = {dataset.archive or f"{file.path}.gz" for file in dataset.splits["train"]}
    assert set(names(world.root)) == kept
    for path in kept:
        served = world.mirror / path.rpartition("/")[2]
        assert (world.root / path).read_bytes() == served.read_bytes()
    refuse_network(monkeypatch)
    assert_is(load(dataset.name, "train"), world, dataset)
    assert not capsys.readouterr().err


def test_the_second_mirror_serves_where_the_first_is_wrong(world, monkeypatch, tmp_path):
    dataset = DATASETS["mnist"]
    world.fill_mirror(dataset)
    portal = tmp_path / "portal.html"
    portal.write_text("<html>please log in</html>")
    good = sources.addresses
    monkeypatch.setattr(sources, "addresses", lambda d, f: [portal.as_uri(), *good(d, f)])
    assert_is(load("mnist", "train"), world, dataset)


# --- broken files ----------------------------------------------------------------------------


def truncated(content):
    return content[: len(content) // 2]


def one_bit_wrong(content):
    return content[:-1] + bytes([content[-1] ^ 1])


def too_long(content):
    return content + b"more"


@pytest.mark.parametrize("damage", [truncated, one_bit_wrong, too_long])
def test_a_broken_file_is_named_set_aside_and_replaced(world, dataset, damage, monkeypatch):
    world.fill_root(dataset)
    world.fill_mirror(dataset)
    last = world.root / dataset.splits["train"][-1].path
    last.write_bytes(damage(last.read_bytes()))
    damaged = last.read_bytes()
    with pytest.warns(DataWarning, match=f"{last.name} is broken .*set aside as {last.name}.br"):
        images = load(dataset.name, "train")
    assert_is(images, world, dataset)
    assert last.with_name(f"{last.name}.broken").read_bytes() == damaged and not last.exists()
    refuse_network(monkeypatch)
    assert_is(load(dataset.name, "train"), world, dataset)


@pytest.mark.parametrize("damage", [truncated, one_bit_wrong, lambda content: b"<html>"])
def test_a_broken_gzip_file_is_set_aside(world, damage):
    dataset = DATASETS["mnist"]
    world.fill_mirror(dataset)
    name = dataset.splits["train"][0].path
    packed = world.root / f"{name}.gz"
    packed.parent.mkdir(parents=True)
    damaged = damage(gzip.compress(world.contents[name]))
    packed.write_bytes(damaged)
    with pytest.warns(DataWarning, match="gz is broken"):
        assert_is(load("mnist", "train"), world, dataset)
    assert packed.with_name(f"{packed.name}.broken").read_bytes() == damaged
    assert packed.read_bytes() == (world.mirror / packed.name).read_bytes()


def test_a_broken_file_with_nothing_to_replace_it_is_never_read(world):
    dataset = DATASETS["mnist"]
    world.fill_root(dataset)
    labels = world.root / dataset.splits["train"][1].path
    labels.write_bytes(one_bit_wrong(labels.read_bytes()))
    with (
        pytest.warns(DataWarning, match="broken"),
        pytest.raises(DataError, match=r"train-labels-idx1-ubyte: broken, its sha256 digest is"),
    ):
        load("mnist", "train")


def test_a_half_extracted_folder_is_completed_from_the_archive_beside_it(world, monkeypatch):
    dataset = DATASETS["cifar10"]
    world.fill_root(dataset)
    world.fill_mirror(dataset)
    (world.mirror / dataset.archive).replace(world.root / dataset.archive)
    refuse_network(monkeypatch)
    folder = world.root / "cifar-10-batches-py"
    (folder / "data_batch_3").write_bytes(truncated((folder / "data_batch_3").read_bytes()))
    for name in ("data_batch_4", "data_batch_5", "test_batch"):
        (folder / name).unlink()
    with pytest.warns(DataWarning, match="data_batch_3 is broken"):
        assert_is(load("cifar10", "train"), world, dataset)
    assert (folder / "data_batch_3.broken").exists()
    assert_is(load("cifar10", "train"), world, dataset)


def test_a_truncated_archive_is_set_aside_and_downloaded(world):
    dataset = DATASETS["cifar10"]
    world.fill_mirror(dataset)
    world.root.mkdir()
    whole = (world.mirror / dataset.archive).read_bytes()
    (world.root / dataset.archive).write_bytes(truncated(whole))
    with pytest.warns(DataWarning, match=r"tar.gz is broken"):
        assert_is(load("cifar10", "train"), world, dataset)


def test_an_archive_without_one_of_its_files_is_refused(world):
    dataset = DATASETS["cifar10"]
    incomplete = world.archive(dataset.splits["train"][:4])
    world.mirror.mkdir()
    (world.mirror / dataset.archive).write_bytes(incomplete)
    with pytest.raises(DataError, match="broken, data_batch_5 missing in it"):
        load("cifar10", "train")


def test_a_broken_debian_file_is_said_and_left(world):
    dataset = DATASETS["fashion-mnist"]
    world.fill_shared(dataset)
    world.fill_mirror(dataset)
    images = world.shared / "train-images-idx3-ubyte.gz"
    images.write_bytes(truncated(images.read_bytes()))
    before = names(world.shared)
    with pytest.warns(DataWarning, match=r"train-images.* is broken .*left as it is"):
        assert_is(load("fashion-mnist", "train"), world, dataset)
    assert names(world.shared) == before


def test_a_file_that_cannot_be_renamed_is_left_and_said(world, monkeypatch):
    dataset = DATASETS["mnist"]
    world.fill_root(dataset)
    world.fill_mirror(dataset)
    labels = world.root / dataset.splits["train"][1].path
    labels.write_bytes(b"short")
    refuse_writing(monkeypatch, errno.EROFS)
    with pytest.warns(DataWarning) as caught:
        assert_is(load("mnist", "train"), world, dataset)
    said = " ".join(str(warning.message) for warning in caught)
    assert "left there, since it cannot be renamed" in said and "could not be kept" in said
    assert labels.read_bytes() == b"short"


def test_a_file_that_cannot_be_read_is_said_and_replaced(world):
    dataset = DATASETS["mnist"]
    world.fill_root(dataset)
    world.fill_mirror(dataset)
    labels = world.root / dataset.splits["train"][1].path
    labels.unlink()
    labels.mkdir()
    with pytest.warns(DataWarning, match="train-labels-idx1-ubyte cannot be read") as caught:
        assert_is(load("mnist", "train"), world, dataset)
    assert [warning.filename for warning in caught] == [__file__], "the caller's line is named"
    assert labels.with_name(f"{labels.name}.gz").exists()


# --- folders that cannot be written ----------------------------------------------------------


def refuse_writing(monkeypatch, number):
    def refuse(self, *args):
        raise OSError(number, "refused", str(self))

    monkeypatch.setattr("pathlib.Path.replace", refuse)


def test_below_a_regular_file_debian_files_still_load(world, tmp_path):
    dataset = DATASETS["fashion-mnist"]
    world.fill_shared(dataset)
    (tmp_path / "file").write_text("no folder")
    images = load("fashion-mnist", "train", data_dir=tmp_path / "file" / "cache")
    assert_is(images, world, dataset)


def test_in_a_read_only_cache_a_download_is_used_and_said_not_to_be_kept(world, dataset, tmp_path):
    world.fill_mirror(dataset)
    (tmp_path / "file").write_text("no folder")
    with pytest.warns(DataWarning, match="could not be kept"):
        images = load(dataset.name, "train", data_dir=tmp_path / "file" / "cache")
    assert_is(images, world, dataset)


@pytest.mark.parametrize("fallback", [True, False])
def test_a_full_disk_is_an_error_with_a_way_out_and_leaves_nothing(world, monkeypatch, fallback):
    dataset = DATASETS["fashion-mnist"]
    world.fill_mirror(dataset)

    def fill_up(file):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", fill_up)
    pattern = rf"{re.escape(str(world.root))}\S* is full: \d+ MB are needed and \d+ MB are free"
    with pytest.raises(DataError, match=pattern) as caught:
        load("fashion-mnist", "train", fallback=fallback)
    assert "VAE_COURSE_DATA" in str(caught.value)
    assert names(world.root) == []


# --- what cannot be had ----------------------------------------------------------------------


def test_without_network_the_bundled_part_stands_in_loudly(world, monkeypatch):
    refuse_network(monkeypatch)
    with pytest.warns(ReducedDataWarning, match="USING LESS DATA") as caught:
        images = load("fashion-mnist", "test")
    assert images.name == "fashion-mnist-mini" and len(images) == 2000
    assert "no network" in str(caught[0].message)


def test_without_fallback_every_place_and_way_out_is_named(world, monkeypatch):
    refuse_network(monkeypatch)
    with pytest.raises(DataError) as caught:
        load("fashion-mnist", "train", fallback=False)
    said = str(caught.value)
    raw = world.root / "FashionMNIST" / "raw"
    for place in (
        f"{raw / 'train-images-idx3-ubyte'}: no such file",
        f"{raw / 'train-images-idx3-ubyte.gz'}: no such file",
        f"{world.shared / 'train-images-idx3-ubyte.gz'}: no such file",
        f"{(world.mirror / 'train-images-idx3-ubyte.gz').as_uri()}: <urlopen error no network>",
        "VAE_COURSE_DATA",
        "dataset-fashion-mnist",
        "fashion-mnist-mini",
    ):
        assert place in said


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_the_other_sets_never_fall_back(world, monkeypatch, name):
    refuse_network(monkeypatch)
    with pytest.raises(DataError, match="no network") as caught:
        load(name, "train")
    said = str(caught.value)
    assert "VAE_COURSE_DATA" in said and "connect" in said and "fashion-mnist-mini" in said


def test_a_torchvision_that_cannot_be_imported_is_one_more_failed_place(world, monkeypatch):
    def addresses(dataset, file):
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr(sources, "addresses", addresses)
    with pytest.warns(ReducedDataWarning, match="nms does not exist"):
        load("fashion-mnist", "test")


@pytest.mark.parametrize(
    ("name", "message"),
    [("fashon-mnist", "did you mean 'fashion-mnist'"), ("imagenet", "choose one of fashion-mnist")],
)
def test_an_unknown_name_is_refused_with_the_choices(name, message):
    with pytest.raises(ValueError, match=message):
        load(name, "train")


@pytest.mark.parametrize("split", ["val", "Train", ""])
def test_an_unknown_split_is_refused_with_the_choices(split):
    with pytest.raises(ValueError, match="choose one of train, test"):
        load("fashion-mnist-mini", split)


# --- the real catalog ------------------------------------------------------------------------


def test_the_catalog_agrees_with_torchvision():
    torchvision = importlib.import_module("torchvision.datasets")
    for name in ("fashion-mnist", "mnist"):
        for file in DATASETS[name].files:
            urls = sources.addresses(DATASETS[name], file)
            assert urls and all(url.endswith(f"/{file.name}.gz") for url in urls)
            assert file.digest.startswith("sha256:") and len(file.digest) == 7 + 64
    cifar, theirs = DATASETS["cifar10"], torchvision.CIFAR10
    files = [*cifar.splits["train"], *cifar.splits["test"]]
    known = [[file.name, file.digest.removeprefix("md5:")] for file in files]
    assert known == theirs.train_list + theirs.test_list
    assert {file.path.split("/")[0] for file in files} == {theirs.base_folder}
    assert cifar.archive == theirs.filename and sources.addresses(cifar, files[0]) == [theirs.url]
    assert DATASETS["fashion-mnist"].classes == tuple(torchvision.FashionMNIST.classes)
