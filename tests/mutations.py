"""Mutants of a valid file, for the readers' fuzzers."""

import os
import random
from collections.abc import Iterator

CASES = int(os.environ.get("VAE_COURSE_FUZZ", "150"))  # of each kind of file; more by hand
MARKS = [
    b"\0" * 4,
    b"\xff" * 4,
    b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    b"\x80\0\0\0",
    b"\xff" * 8,
]
DIGITS = [b"0", b"-1", b"2147483648", b"9" * 19, b"9" * 400, b"(" * 300, b"-" * 4000]


def mutants(content: bytes, seed: int, *, cases: int = CASES, head: int = 200) -> Iterator[bytes]:
    """Cut, flip, splice, and inflate what may be a size; half of it within the first bytes."""
    dice = random.Random(seed)
    for _ in range(cases):
        mutant = content
        for _ in range(dice.choice([1, 1, 1, 2, 4])):
            mutant = _mutate(mutant, dice, head)
        yield mutant


def _mutate(content: bytes, dice: random.Random, head: int) -> bytes:
    size = len(content)
    at = dice.randrange(1 + min(size, head) if dice.random() < 0.5 else 1 + size)
    other = dice.randrange(1 + size)
    match dice.randrange(6):
        case 0:  # cut the end, the start, or a piece
            return dice.choice([content[:at], content[at:], content[:at] + content[at + 9 :]])
        case 1:  # flip one bit
            flipped = bytes(byte ^ 1 << dice.randrange(8) for byte in content[at : at + 1])
            return content[:at] + flipped + content[at + 1 :]
        case 2:  # splice a piece of it in
            return content[:at] + content[other : other + dice.choice([1, 16, 600])] + content[at:]
        case 3:  # a size of 32 or 64 bits
            mark = dice.choice(MARKS)
            return content[:at] + mark + content[at + len(mark) :]
        case 4:  # a size in words
            digits = [i for i, byte in enumerate(content[:head]) if chr(byte).isdigit()] or [at]
            place = dice.choice(digits)
            return content[:place] + dice.choice(DIGITS) + content[place + 1 :]
        case _:  # any bytes
            return content[:at] + dice.randbytes(8) + content[at + 8 :]
