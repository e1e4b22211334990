import pickle

import numpy as np
import pytest
import torch
from cifar_pickle import cifar_batch
from hypothesis import given, settings
from hypothesis import strategies as st

from vae_course.data.errors import BrokenFileError
from vae_course.data.formats import decode_cifar, decode_idx, from_idx, to_idx


@settings(deadline=None)
@given(
    shape=st.lists(st.integers(0, 5), min_size=1, max_size=4),
    seed=st.integers(0, 2**32),
    cut=st.integers(1, 30),
)
def test_idx_round_trip_and_every_cut_is_noticed(shape, seed, cut):
    generator = torch.Generator().manual_seed(seed)
    values = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    content = to_idx(values)
    assert torch.equal(from_idx(content), values)
    with pytest.raises(BrokenFileError):
        from_idx(content[:-cut])
    with pytest.raises(BrokenFileError):
        from_idx(content + b"\0")


def test_idx_header_is_the_published_one():
    assert to_idx(torch.tensor([[7, 8]], dtype=torch.uint8)) == bytes.fromhex(
        "00000802 00000001 00000002 0708"
    )


def test_idx_of_another_type_is_refused():
    with pytest.raises(BrokenFileError, match="unsigned bytes"):
        from_idx(b"\0\0\x0d\x01\0\0\0\x01\0\0\0\0")


def test_decode_idx_shapes_and_types():
    pixels = torch.arange(12, dtype=torch.uint8).view(3, 2, 2)
    labels = torch.tensor([2, 0, 1], dtype=torch.uint8)
    images, classes = decode_idx(to_idx(pixels), to_idx(labels))
    assert torch.equal(images, pixels.view(3, 1, 2, 2))
    assert classes.dtype == torch.int64 and classes.tolist() == [2, 0, 1]


@pytest.mark.parametrize("column_major", [False, True])
def test_cifar_batches_come_out_in_order(column_major):
    generator = np.random.default_rng(0)
    rows = [generator.integers(0, 256, (n, 3072), dtype=np.uint8) for n in (1203, 300)]
    labels = [generator.integers(0, 10, len(part)).tolist() for part in rows]
    order = "F" if column_major else "C"
    batches = [
        cifar_batch(part.tobytes(order), names, column_major=column_major)
        for part, names in zip(rows, labels, strict=True)
    ]
    images, classes = decode_cifar(*batches)
    assert np.array_equal(images.numpy(), np.concatenate(rows).reshape(-1, 3, 32, 32))
    assert classes.dtype == torch.int64 and classes.tolist() == labels[0] + labels[1]


def test_cifar_reader_executes_nothing(tmp_path):
    target = tmp_path / "executed"

    class Trap:
        def __reduce__(self):
            return (type(target).touch, (target,))

    with pytest.raises(BrokenFileError):
        decode_cifar(pickle.dumps(Trap(), protocol=2))
    assert not target.exists()


def test_cifar_pixels_must_fit_the_labels():
    with pytest.raises(BrokenFileError, match="2 labels, but 3072 bytes"):
        decode_cifar(cifar_batch(bytes(3072), [1, 2]))
