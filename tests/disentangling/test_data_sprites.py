"""Sprites: known factors, exact drawings, and the original archive read without pickle."""

import io
import math
import os
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mutations import mutants

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


class Trap:
    """What runs code when it is unpickled: it makes a folder."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable[..., None], tuple[str]]:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("name", ["imgs", "latents_classes", "metadata"])
def test_a_planted_pickle_is_never_run(tmp_path: Path, name: str) -> None:
    images, classes = small_world()
    arrays = {"imgs": images, "latents_classes": classes}
    arrays[name] = np.array([Trap(tmp_path / "ran")] * 48, dtype=object)
    np.savez(tmp_path / "dsprites.npz", **arrays)
    if name == "metadata":
        assert len(read_dsprites(tmp_path / "dsprites.npz")) == 48
    else:
        with pytest.raises(DataError, match=f"{name} is object"):
            read_dsprites(tmp_path / "dsprites.npz")
    assert not (tmp_path / "ran").exists()


def npy(shape: str, dtype: str = "|u1", content: bytes = b"") -> bytes:
    """Return an array's file with a header that states what it likes."""
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}}}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + content


@pytest.mark.parametrize(
    ("images", "classes"),
    [
        (npy("(2147483648, 64, 64)"), None),
        (npy("(48, 2147483648, 2147483648)"), None),
        (None, npy("(2147483648, 6)", "<i8")),
        (None, npy("(737280, 6)", "|V99999999")),
        (None, npy("(-1, 6)", "<i8")),
        (npy("(737280, 64, 64)", content=bytes(2**26)), None),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\xff", None),
    ],
)
def test_sizes_that_no_archive_has_cost_no_memory(
    tmp_path: Path, images: bytes | None, classes: bytes | None
) -> None:
    parts = packed_parts()
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("imgs.npy", images or parts["imgs.npy"])
        bomb.writestr("latents_classes.npy", classes or parts["latents_classes.npy"])
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="is not a whole dSprites archive"):
            read_dsprites(tmp_path / "x.npz")
        assert tracemalloc.get_traced_memory()[1] < 2**26
    finally:
        tracemalloc.stop()


def packed_parts() -> dict[str, bytes]:
    parts = {}
    for name, array in zip(("imgs", "latents_classes"), small_world(), strict=True):
        stream = io.BytesIO()
        np.save(stream, array)
        parts[f"{name}.npy"] = stream.getvalue()
    return parts


def zipped(parts: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as file:
        for name, content in parts.items():
            file.writestr(name, content)
    return stream.getvalue()


@pytest.mark.filterwarnings("ignore")  # numpy's, of headers by Python 2
def test_mutants_of_an_archive_end_in_one_error_or_in_a_whole_world(tmp_path: Path) -> None:
    parts = packed_parts()
    cases = [mutant for seed in (1, 2) for mutant in mutants(zipped(parts), seed)]
    for name in parts:
        cases += [zipped(parts | {name: mutant}) for mutant in mutants(parts[name], 3, head=128)]
    path = tmp_path / "x.npz"
    tracemalloc.start()
    try:
        for case in cases:
            path.write_bytes(case)
            try:
                world = read_dsprites(path)
            except DataError:
                continue
            assert len(world.images(torch.arange(len(world)))) == len(world)
        assert tracemalloc.get_traced_memory()[1] < 2**26
    finally:
        tracemalloc.stop()


def test_another_order_and_another_packing_are_refused(tmp_path: Path) -> None:
    images, classes = small_world()
    path = tmp_path / "x.npz"
    archive(path, images, classes[::-1].copy())
    with pytest.raises(DataError, match="not in order"):
        read_dsprites(path)
    path.write_bytes(zipped(packed_parts(), zipfile.ZIP_LZMA))
    with pytest.raises(DataError, match="another method"):
        read_dsprites(path)


@pytest.mark.parametrize(
    ("index", "error", "message"),
    [
        (torch.tensor([1.0]), TypeError, "whole numbers"),
        (torch.tensor([float("nan")]), TypeError, "whole numbers"),
        (torch.tensor([True]), TypeError, "whole numbers"),
        (np.array([0.5]), TypeError, "whole numbers"),
        ([1, 2], TypeError, "numpy array"),
        (torch.tensor(1), ValueError, r"\(N,\)"),
        (torch.tensor([[1]]), ValueError, r"\(N,\)"),
    ],
)
def test_indices_are_whole_numbers_in_a_row(index: object, error: type, message: str) -> None:
    for ask in (WORLD.images, WORLD.factors, WORLD.only(shape=[1]).images):
        with pytest.raises(error, match=message):
            ask(index)


def test_arrays_and_no_indices_at_all_are_taken() -> None:
    assert torch.equal(WORLD.images(np.array([7])), WORLD.images(torch.tensor([7])))
    assert WORLD.images(torch.tensor([], dtype=torch.int64)).shape == (0, 1, 32, 32)
    with pytest.raises(ValueError, match=r"\(2, 4\), not \(N, 5\)"):
        WORLD.index(torch.zeros(2, 4, dtype=torch.int64))
    with pytest.raises(TypeError, match=r"shape \[0\.0"):
        WORLD.index(torch.zeros(2, 5))


@pytest.mark.parametrize("choice", [2, [0.9], ["heart"], None])
def test_choices_are_lists_of_whole_numbers(choice: object) -> None:
    for ask in (WORLD.select, WORLD.without, WORLD.only):
        with pytest.raises(TypeError, match=r"shape=.*list whole numbers"):
            ask(shape=choice)


@pytest.mark.parametrize("side", [32.0, "32", None, 0, -32, 4])
def test_a_side_is_a_whole_number(side: object) -> None:
    with pytest.raises(ValueError, match="multiple of 4"):
        Sprites(side)
