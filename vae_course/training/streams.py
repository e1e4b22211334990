"""Random streams: each a function of the seed, of what it is for, and of where the run stands."""

from typing import Self

import torch
from numpy.random import SeedSequence
from torch import Tensor

# What a stream is for: the second number that seeds it. Without it the streams would meet, because
# SeedSequence takes (seed, 3) and (seed, 3, 0) for the same.
ORDER, NOISE, HELD_OUT, LOOK, READING, HELD_OUT_ORDER = 1, 2, 3, 4, 5, 6


def reseed(generator: torch.Generator, *entropy: int) -> torch.Generator:
    """Seed by a hash of several numbers, so that neighboring steps share nothing."""
    word = SeedSequence(entropy).generate_state(1, "uint64")[0]
    return generator.manual_seed(int(word) >> 1)


def seeded_generator(device: torch.device | str, *entropy: int) -> torch.Generator:
    """Return a new generator on `device`, seeded by a hash of several numbers."""
    return reseed(torch.Generator(device), *entropy)


class OwnStream:
    """A stretch of code whose draws from torch's global CPU generator are of a stream of its own.

    Entered again, it goes on where it was left; outside, nobody's draws are moved.
    """

    def __init__(self, *entropy: int) -> None:
        """Start the stream."""
        self.inner = seeded_generator("cpu", *entropy).get_state()

    def __enter__(self) -> Self:
        """Put the stream in the place of the global generator's."""
        self.outer = torch.get_rng_state()
        torch.set_rng_state(self.inner)
        return self

    def __exit__(self, *error: object) -> None:
        """Put the global one back."""
        self.inner = torch.get_rng_state()
        torch.set_rng_state(self.outer)


class GlobalStreams:
    """torch's global generators, from which dropout draws: they are kept where a run moved them."""

    def __init__(self, device: torch.device) -> None:
        """Note where they stand."""
        self.device = device
        self.start = self._states()

    def moved(self) -> dict[str, Tensor]:
        """Return the states of those that have moved since."""
        return {
            name: state
            for name, state in self._states().items()
            if not torch.equal(state, self.start[name])
        }

    def restore(self, states: dict[str, Tensor]) -> None:
        """Move them to where another run left them."""
        if "cpu" in states:
            torch.set_rng_state(states["cpu"])
        if "cuda" in states:
            torch.cuda.set_rng_state(states["cuda"], self.device)

    def _states(self) -> dict[str, Tensor]:
        states = {"cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            states["cuda"] = torch.cuda.get_rng_state(self.device)
        return states
