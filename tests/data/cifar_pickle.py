"""Write a batch as CIFAR-10's publishers did: Python 2's cPickle, protocol 2, opcode by opcode."""

import struct


def _text(value: str) -> bytes:
    return b"U" + bytes([len(value)]) + value.encode("latin-1")


def _numbers(values: list[int]) -> bytes:
    """Write a list of small integers in groups of 1000, as cPickle does."""
    groups = [values[start : start + 1000] for start in range(0, len(values), 1000)]
    return b"]" + b"".join(
        b"(" + b"".join(b"K" + bytes([value]) for value in group) + b"e" for group in groups
    )


def _array(pixels: bytes, rows: int, *, column_major: bool) -> bytes:
    head = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    shape = b"M" + struct.pack("<H", rows) + b"M" + struct.pack("<H", len(pixels) // rows) + b"\x86"
    minus_one = b"J\xff\xff\xff\xff"
    state = b"(K\x03U\x01|NNN" + 2 * minus_one + b"K\x00tb"
    dtype = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R" + state
    order = b"\x88" if column_major else b"\x89"
    data = b"T" + struct.pack("<i", len(pixels)) + pixels
    return head + b"(K\x01" + shape + dtype + order + data + b"tb"


def cifar_batch(pixels: bytes, labels: list[int], *, column_major: bool = False) -> bytes:
    """Return the pickle of a dict of batch_label, labels, data and filenames."""
    return b"".join(
        (
            b"\x80\x02}(",
            _text("batch_label") + _text("training batch 1 of 5"),
            _text("labels") + _numbers(labels),
            _text("data") + _array(pixels, len(labels), column_major=column_major),
            _text("filenames") + b"](" + _text("leptodactylus_s_000004.png") * len(labels) + b"e",
            b"u.",
        )
    )
