"""Sprites: known factors, exact drawings, and the original archive read without pickle."""

import io
import math
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vae_course.data import DataError
from vae_course.disentangling import FACTORS, FactorImages, Sprites, read_dsprites

WORLD = Sprites(32)


def one(**factors: int) -> torch.Tensor:
    """Return the image `(side, side)` of the factors, the others at 0."""
    values = torch.tensor([[factors.get(name, 0) for name in FACTORS]])
    return WORLD.images(WORLD.index(values))[0, 0]


def test_the_full_world_is_as_large_as_dsprites() -> None:
    world = Sprites()
    assert world.factor_sizes == (3, 6, 40, 32, 32)
    assert len(world) == 737_280
    image = world.images(torch.tensor([len(world) - 1]))
    assert image.shape == (1, 1, 64, 64)
    assert image.dtype == torch.uint8
    assert set(image.unique().tolist()) == {0, 255}


@given(st.lists(st.integers(0, len(WORLD) - 1), min_size=1, max_size=20))
def test_index_and_factors_are_inverse(indices: list[int]) -> None:
    index = torch.tensor(indices)
    assert torch.equal(WORLD.index(WORLD.factors(index)), index)


def test_the_last_factor_changes_fastest() -> None:
    assert WORLD.factors(torch.tensor([0, 1, 16])).tolist() == [
        [0, 0, 0, 0, 0],
        [0, 0, 0, 0, 1],
        [0, 0, 0, 1, 0],
    ]


@pytest.mark.parametrize("shape", [0, 1, 2])
def test_position_shifts_by_one_pixel_and_nothing_is_cut(shape: int) -> None:
    start = one(shape=shape, scale=5, orientation=7)
    right = one(shape=shape, scale=5, orientation=7, x=15)
    down = one(shape=shape, scale=5, orientation=7, y=15)
    assert torch.equal(right, start.roll(15, 1))
    assert torch.equal(down, start.roll(15, 0))
    assert start.sum() == right.sum() == down.sum() > 0


@pytest.mark.parametrize(("shape", "area"), [(0, 2.0), (1, math.pi / 2), (2, None)])
def test_areas_are_those_of_the_shapes(shape: int, area: float | None) -> None:
    world = Sprites(64)
    factors = torch.tensor([[shape, scale, 3, 9, 9] for scale in range(6)])
    pixels = (world.images(world.index(factors)) > 0).sum((1, 2, 3)).double()
    radius = torch.linspace(0.5, 1, 6, dtype=torch.float64) * 16
    ratio = pixels / radius.square()
    torch.testing.assert_close(ratio, ratio[-1].expand(6), rtol=0.08, atol=0)
    if area:
        assert float(ratio[-1]) == pytest.approx(area, rel=0.03)


def test_orientation_turns_by_nine_degrees() -> None:
    heart = one(shape=2, scale=5, x=8, y=8)
    quarter = one(shape=2, scale=5, orientation=10, x=8, y=8)
    assert (quarter != _turn(heart)).float().mean() < 0.01  # pixels on the outline may round
    assert not torch.equal(heart, quarter)
    square = one(shape=0, scale=5, x=8, y=8)
    assert (one(shape=0, scale=5, orientation=10, x=8, y=8) != square).float().mean() < 0.02


def _turn(image: torch.Tensor) -> torch.Tensor:
    """Turn a quarter about the center of a shape at position (8, 8), pixel (16, 16)."""
    patch = image[8:25, 8:25]
    turned = image.clone()
    turned[8:25, 8:25] = torch.rot90(patch, -1, (0, 1))
    return turned


def test_every_combination_is_another_image_but_for_symmetry() -> None:
    index = WORLD.select(scale=[0, 5], orientation=[0, 3, 6], x=[2, 3], y=[2, 3])
    flat = WORLD.images(index).flatten(1)
    assert len(flat) == 3 * 2 * 3 * 2 * 2
    assert len(torch.unique(flat, dim=0)) == len(flat)


def test_select_and_without_share_the_world_out() -> None:
    chosen = WORLD.select(shape=[2], x=range(8))
    rest = WORLD.without(shape=[2], x=range(8))
    assert len(chosen) == len(WORLD) // 6
    assert torch.equal(torch.cat([chosen, rest]).sort().values, torch.arange(len(WORLD)))
    factors = WORLD.factors(chosen)
    assert set(factors[:, 0].tolist()) == {2}
    assert factors[:, 3].max() == 7


def test_wrong_questions_are_answered_by_name() -> None:
    with pytest.raises(ValueError, match=r"no factor \['color'\]; there are shape, scale"):
        WORLD.select(color=[0])
    with pytest.raises(IndexError, match=r"shape.*there are 3, 0 to 2"):
        WORLD.select(shape=[3])
    with pytest.raises(IndexError, match="there are 184320"):
        WORLD.images(torch.tensor([len(WORLD)]))
    with pytest.raises(IndexError, match="0 to"):
        WORLD.factors(torch.tensor([-1]))
    with pytest.raises(ValueError, match="side = 30"):
        Sprites(30)


def archive(path: Path, images: np.ndarray, classes: np.ndarray) -> None:
    np.savez_compressed(
        path,
        imgs=images,
        latents_classes=classes,
        metadata=np.array({"pickled": True}, dtype=object),
    )


def small_world() -> tuple[np.ndarray, np.ndarray]:
    """Make an archive's arrays from a corner of ours, with the color that the original has."""
    index = WORLD.select(scale=[0, 1], orientation=[0, 1], x=[0, 1], y=[0, 1])
    images = WORLD.images(index)[:, 0].numpy() // 255
    factors = FactorImages((3, 2, 2, 2, 2)).factors(torch.arange(len(index))).numpy()
    return images, np.concatenate([np.zeros_like(factors[:, :1]), factors], axis=1)


def test_the_original_archive_is_read_without_its_pickle(tmp_path: Path) -> None:
    images, classes = small_world()
    archive(tmp_path / "dsprites.npz", images, classes)
    read = read_dsprites(tmp_path / "dsprites.npz")
    assert read.factor_sizes == (3, 2, 2, 2, 2)
    index = torch.tensor([0, 5, 47])
    assert np.array_equal(read.images(index)[:, 0].numpy(), images[index.numpy()] * 255)
    assert read.factors(index).tolist() == classes[index.numpy(), 1:].tolist()


def test_broken_archives_are_named(tmp_path: Path) -> None:
    images, classes = small_world()
    path = tmp_path / "dsprites.npz"
    with pytest.raises(DataError, match=r"dsprites\.npz is not a whole dSprites archive"):
        read_dsprites(path)
    path.write_bytes(b"not a zip")
    with pytest.raises(DataError, match="not a zip file"):
        read_dsprites(path)
    np.savez(path, imgs=images)
    with pytest.raises(DataError, match="latents_classes"):
        read_dsprites(path)
    archive(path, images[:-1], classes)
    with pytest.raises(DataError, match="47 images do not fill"):
        read_dsprites(path)
    archive(path, images.astype(np.float32), classes)
    with pytest.raises(DataError, match="float32"):
        read_dsprites(path)
    whole = io.BytesIO()
    np.save(whole, images)
    with zipfile.ZipFile(path, "w") as broken:
        broken.writestr("imgs.npy", whole.getvalue()[:-10])
        labels = io.BytesIO()
        np.save(labels, classes)
        broken.writestr("latents_classes.npy", labels.getvalue())
    with pytest.raises(DataError, match="ends after image 0"):
        read_dsprites(path)


def test_a_smaller_world_has_the_images_of_its_choice() -> None:
    choice = {"shape": [2], "scale": [0, 5], "orientation": range(0, 40, 10), "x": [3, 1]}
    small = WORLD.only(**choice)
    assert small.factor_sizes == (1, 2, 4, 2, 16)
    everything = torch.arange(len(small))
    assert torch.equal(small.images(everything), WORLD.images(WORLD.select(**choice)))
    assert torch.equal(small.index(small.factors(everything)), everything)


def test_a_smaller_world_numbers_the_chosen_values_by_place() -> None:
    small = WORLD.only(x=[3, 1])
    inside = torch.tensor([[1, 2, 7, 1, 4]])
    outside = torch.tensor([[1, 2, 7, 1, 4]])  # the second x of the choice is x = 1
    assert torch.equal(small.images(small.index(inside)), WORLD.images(WORLD.index(outside)))
    again = small.only(scale=[4]).images(torch.tensor([0]))
    assert torch.equal(again, WORLD.images(WORLD.index(torch.tensor([[0, 4, 0, 3, 0]]))))


def test_a_smaller_world_refuses_what_is_not_there() -> None:
    with pytest.raises(ValueError, match=r"no factor \['color'\]"):
        WORLD.only(color=[0])
    with pytest.raises(IndexError, match=r"scale \[6\]: there are 6, 0 to 5"):
        WORLD.only(scale=[6])
    with pytest.raises(IndexError, match="image"):
        WORLD.only(scale=[1]).images(torch.tensor([len(WORLD)]))
