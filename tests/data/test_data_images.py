import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vae_course.data import ImageSet, Labeled, binarize, to_unit

EVERY_PIXEL = torch.arange(256, dtype=torch.uint8)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def test_binarize_has_probability_pixel_over_255():
    draws = 20_000
    x = binarize(EVERY_PIXEL.repeat(draws, 1), seeded(0))
    p = EVERY_PIXEL.double() / 255
    frequency = x.double().mean(dim=0)
    z = (frequency - p)[1:-1] / (p * (1 - p) / draws).sqrt()[1:-1]
    assert z.abs().max() < 4.5  # 254 standard normals
    assert 0.85 < z.std() < 1.15
    assert abs(z.mean()) < 0.25


def test_black_is_never_and_white_always_drawn():
    ends = torch.tensor([0, 255], dtype=torch.uint8).repeat(500_000, 1)
    x = binarize(ends, seeded(1))
    assert x[:, 0].max() == 0
    assert x[:, 1].min() == 1


def test_pixels_are_drawn_independently():
    x = binarize(torch.full((20_000, 16), 128, dtype=torch.uint8), seeded(2))
    off_diagonal = torch.corrcoef(x.T) - torch.eye(16)
    assert off_diagonal.abs().max() < 0.04  # 120 of standard deviation 0.007


@settings(deadline=None)
@given(
    shape=st.lists(st.integers(0, 5), min_size=1, max_size=4),
    seed=st.integers(0, 2**32),
)
def test_binarize_is_deterministic_for_every_shape(shape, seed):
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=seeded(seed))
    x = binarize(images, seeded(seed))
    assert x.shape == images.shape and x.dtype == torch.float32
    assert torch.equal(x, binarize(images, seeded(seed)))
    assert ((x == 0) | (x == 1)).all()


def test_binarize_moves_its_generator_on_and_leaves_the_images_and_the_global_one():
    images = EVERY_PIXEL.clone()
    generator = seeded(3)
    before = torch.get_rng_state()
    assert not torch.equal(binarize(images, generator), binarize(images, generator))
    assert torch.equal(images, EVERY_PIXEL)
    assert torch.equal(torch.get_rng_state(), before)


def test_to_unit_ends_at_exactly_zero_and_one():
    x = to_unit(EVERY_PIXEL)
    assert x.dtype == torch.float32 and x[0] == 0 and x[255] == 1
    assert torch.equal((x.double() * 255).round().to(torch.uint8), EVERY_PIXEL)


@pytest.mark.parametrize("dtype", [torch.float32, torch.int64, torch.bool])
def test_only_uint8_is_taken(dtype):
    images = torch.ones(1, 1, 2, 2).to(dtype)
    with pytest.raises(TypeError, match="uint8"):
        to_unit(images)
    with pytest.raises(TypeError, match=str(dtype)):
        binarize(images, seeded(0))


def test_generator_of_another_device_is_named():
    images = torch.zeros(2, dtype=torch.uint8, device="meta")
    with pytest.raises(ValueError, match=r"images are on meta and the generator on cpu"):
        binarize(images, seeded(0))


# --- arrays, and what is neither -------------------------------------------------------------

GRAY = np.arange(256, dtype=np.uint8)
READ_ONLY = GRAY.copy()
READ_ONLY.setflags(write=False)


@pytest.mark.parametrize("array", [GRAY, READ_ONLY, GRAY[::-1], GRAY[::2]])
def test_arrays_are_taken_however_they_lie_in_memory(array):
    tensor = torch.tensor(array.copy())
    assert torch.equal(to_unit(array), to_unit(tensor))
    assert torch.equal(binarize(array, seeded(0)), binarize(tensor, seeded(0)))


def test_a_tensor_made_of_an_array_shares_no_memory_with_it():
    images, labels = np.zeros((3, 2)), np.zeros(3, dtype=">i4")
    data = Labeled(images, labels)
    images += 1
    assert data.images.dtype == torch.float64 and not data.images.any()
    assert data.labels.dtype == torch.int64


@pytest.mark.parametrize("values", [[1, 2], None, "x", np.array(["a"]), np.array([None])])
def test_what_is_neither_tensor_nor_array_of_numbers_is_named(values):
    ask = [
        to_unit,
        lambda x: binarize(x, seeded(0)),
        lambda x: Labeled(x, torch.zeros(2, dtype=torch.int64)),
        lambda x: Labeled(torch.zeros(1), x),
    ]
    for function in ask:
        with pytest.raises(TypeError, match=r"(images|labels): .*numpy array of numbers"):
            function(values)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, bool])
def test_arrays_of_another_type_are_refused_truly(dtype):
    with pytest.raises(TypeError, match=r"images are torch\.\w+, but gray levels.* torch\.uint8"):
        to_unit(np.ones(3, dtype=dtype))


@pytest.mark.parametrize("generator", [0, None, np.random.default_rng(0)])
def test_what_is_no_generator_is_named(generator):
    with pytest.raises(TypeError, match=r"not a torch\.Generator: torch\.Generator\(\)"):
        binarize(EVERY_PIXEL, generator)


# --- labels ----------------------------------------------------------------------------------

X = torch.rand(4, 1, 2, 2)


@pytest.mark.parametrize(
    "labels",
    [
        torch.tensor([0, -1, 2, 1]),  # classes, one not known
        torch.rand(4, 1, 1, 2),  # half an image
        torch.zeros(4, 1, 1, 2, dtype=torch.uint8),
        torch.full((4, 3), 1 / 3),  # probabilities
        torch.rand(4, 1),  # one measured number each
    ],
)
def test_labels_of_every_kind_are_kept(labels):
    data = Labeled(X, labels)
    assert len(data) == 4 and torch.equal(data.labels, labels)
    some = data[torch.tensor([2, 0])]
    assert torch.equal(some.images, X[[2, 0]]) and torch.equal(some.labels, labels[[2, 0]])


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32])
def test_classes_are_kept_as_int64(dtype):
    assert Labeled(X, torch.tensor([0, 3, 2, 1], dtype=dtype)).labels.dtype == torch.int64


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        (torch.arange(3), ValueError, r"4 images but 3 labels"),
        (torch.tensor(1), ValueError, "no axis of labels"),
        (torch.arange(4)[:, None], ValueError, r"classes are \(N,\), labels\[:, 0\]"),
        (torch.arange(4.0), TypeError, r"torch\.float32.*labels\.long\(\)"),
        (torch.full((4,), float("nan")), TypeError, "whole numbers"),
        (torch.tensor([True] * 4), TypeError, r"torch\.bool"),
        (torch.empty(0, dtype=torch.int64), ValueError, "one label for each image"),
    ],
)
def test_labels_that_can_never_be_right_are_refused_at_once(labels, error, message):
    with pytest.raises(error, match=message):
        Labeled(X, labels)


@pytest.mark.parametrize("index", [1, torch.tensor(1), np.int64(1), torch.tensor([[0, 1]])])
def test_an_index_that_takes_the_axis_away_is_refused(index):
    for labels in (torch.arange(4), torch.rand(4, 1, 1, 2)):
        with pytest.raises(TypeError, match="give a slice"):
            Labeled(X, labels)[index]
    with pytest.raises(TypeError, match="give a slice"):
        list(Labeled(X, torch.arange(4)))


def test_to_changes_what_is_measured_and_leaves_classes_whole():
    data = Labeled(X, torch.arange(4)).to(torch.float64)
    assert data.images.dtype == torch.float64 and data.labels.dtype == torch.int64
    both = Labeled(X, X).to(torch.float64)
    assert both.labels.dtype == torch.float64
    assert Labeled(X, torch.arange(4)).to("meta").labels.device.type == "meta"


@pytest.mark.parametrize(
    ("images", "labels", "error", "message"),
    [
        (torch.rand(2, 1, 4, 4), [0, 1], TypeError, "torch.float32"),
        (torch.zeros(2, 4, 4, dtype=torch.uint8), [0, 1], ValueError, r"not \(N, C, H, W\)"),
        (torch.zeros(0, 1, 4, 4, dtype=torch.uint8), [], ValueError, "at least one"),
        (torch.zeros(2, 1, 4, 4, dtype=torch.uint8), [0, 3], ValueError, "one of 3 classes"),
        (torch.zeros(2, 1, 4, 4, dtype=torch.uint8), [0, -1], ValueError, "0 to 2"),
        (torch.zeros(2, 1, 4, 4, dtype=torch.uint8), [0], ValueError, "one label for each"),
        (torch.zeros(2, 1, 4, 4, dtype=torch.uint8), [0.0, 1.0], TypeError, "whole numbers"),
    ],
)
def test_an_image_set_is_checked(images, labels, error, message):
    whole = torch.tensor(labels) if labels else torch.empty(0, dtype=torch.int64)
    with pytest.raises(error, match=message):
        ImageSet(images, whole, name="own", split="train", classes=("a", "b", "c"))


def test_an_image_set_of_arrays():
    images = np.zeros((2, 1, 4, 5), dtype=np.uint8)
    own = ImageSet(images, np.array([0, 1], np.int8), name="own", split="train", classes=("a", "b"))
    assert own.image_shape == (1, 4, 5) and own.labels.dtype == torch.int64
