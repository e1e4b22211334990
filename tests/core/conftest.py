"""The yardsticks of the tests: a model in which everything is known, and generators."""

import pytest
import torch

from vae_course.models import LinearGaussian, random_linear_gaussian


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def linear(generator: torch.Generator) -> LinearGaussian:
    """Six pixels, three latents: the exact posterior is not diagonal."""
    return random_linear_gaussian(6, 3, 0.7, generator)


@pytest.fixture
def line(generator: torch.Generator) -> LinearGaussian:
    """Five pixels, one latent: `encode` is the exact posterior."""
    return random_linear_gaussian(5, 1, 0.5, generator)


@pytest.fixture
def x(linear: LinearGaussian) -> torch.Tensor:
    """Draw eight observations of `linear`."""
    torch.manual_seed(1)
    return linear.marginal().sample((8,))
