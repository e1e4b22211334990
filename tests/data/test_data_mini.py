import gzip
import hashlib
import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from vae_course.data import DataError, DataWarning, load, sources
from vae_course.data.catalog import DATASETS

REPOSITORY = Path(__file__).parents[2]
SOURCES = json.loads(Path(__file__).with_name("mini_sources.json").read_text())
BUNDLED = DATASETS["fashion-mnist-mini"].shared
SIZES = {"train": 10_000, "test": 2_000}


@pytest.fixture(scope="module")
def make_mini():
    spec = importlib.util.spec_from_file_location(
        "make_mini", REPOSITORY / "scripts" / "make_mini.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rows(images):
    return [hashlib.sha256(image.tobytes()).hexdigest() for image in images.numpy()]


@pytest.mark.parametrize("split", ["train", "test"])
def test_bundled_split_is_whole_and_balanced(split):
    mini = load("fashion-mnist-mini", split)
    assert (mini.name, mini.split, len(mini)) == ("fashion-mnist-mini", split, SIZES[split])
    assert mini.images.shape == (SIZES[split], 1, 28, 28) and mini.images.dtype == torch.uint8
    assert mini.labels.dtype == torch.int64 and mini.image_shape == (1, 28, 28)
    assert mini.labels.bincount().tolist() == [SIZES[split] // 10] * 10
    assert len(mini.classes) == 10 and mini.classes[9] == "Ankle boot"


@pytest.mark.parametrize("split", ["train", "test"])
def test_bundled_images_are_those_recorded_from_the_whole_split(split):
    mini = load("fashion-mnist-mini", split)
    digests = rows(mini.images)
    assert [source["class"] for source in SOURCES[split]] == list(range(10))
    for source in SOURCES[split]:
        assert digests[source["position"]] == source["sha256"]
        assert mini.labels[source["position"]] == source["class"]


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_seed_draws_the_bundled_images_from_their_own_split(
    split, make_mini, monkeypatch, tmp_path
):
    """Every image where this machine has the whole set, else those that were recorded."""
    monkeypatch.setattr(sources, "addresses", lambda dataset, file: [])
    monkeypatch.setenv("VAE_COURSE_DATA", str(tmp_path))
    mini = load("fashion-mnist-mini", split)
    seed = make_mini.SEED + (split == "test")
    recorded = {source["position"]: source["index"] for source in SOURCES[split]}
    try:
        whole = load("fashion-mnist", split, fallback=False)
    except DataError:
        # Only the labels of bundled images are known: give the others a class of their own.
        labels = torch.full((6 * SIZES[split],), 10)
        labels[list(recorded.values())] = mini.labels[list(recorded)]
        index = make_mini.draw(labels, per_class=1, seed=seed)
        assert index.tolist() == sorted(recorded.values())
    else:
        index = make_mini.draw(whole.labels, per_class=SIZES[split] // 10, seed=seed)
        assert torch.equal(whole.images[index], mini.images)
        assert torch.equal(whole.labels[index], mini.labels)
        assert index[list(recorded)].tolist() == list(recorded.values())


def test_the_splits_share_no_image():
    train, test = (set(rows(load("fashion-mnist-mini", split).images)) for split in SIZES)
    assert not train & test


def test_draw_is_balanced_seeded_and_ascending(make_mini):
    labels = torch.arange(1000) % 10
    index = make_mini.draw(labels, per_class=7, seed=5)
    assert labels[index].bincount().tolist() == [7] * 10
    assert (index.diff() > 0).all()
    assert torch.equal(index, make_mini.draw(labels, per_class=7, seed=5))
    assert not torch.equal(index, make_mini.draw(labels, per_class=7, seed=6))


def test_bundled_files_reproduce_and_stay_small():
    files = sorted(BUNDLED.glob("*.gz"))
    assert len(files) == 4
    assert sum(file.stat().st_size for file in files) < 6_000_000
    assert all(file.read_bytes()[4:8] == bytes(4) for file in files), "no time stamp inside"


def test_a_broken_bundled_file_is_named_and_never_read(monkeypatch, tmp_path):
    mini = DATASETS["fashion-mnist-mini"]
    monkeypatch.setitem(DATASETS, mini.name, replace(mini, shared=tmp_path))
    for file in mini.splits["test"]:
        content = gzip.decompress((BUNDLED / f"{file.name}.gz").read_bytes())
        (tmp_path / f"{file.name}.gz").write_bytes(gzip.compress(content[:-1] + b"\xff"))
    with (
        pytest.warns(DataWarning, match="t10k-.*broken"),
        pytest.raises(DataError, match="reinstall vae-course"),
    ):
        load(mini.name, "test")
    assert len(list(tmp_path.iterdir())) == 2, "the package's own files are not renamed"
