"""What holds for every test: one thread, no progress bars, no deadline; and its yardsticks.

These are a model in which everything is known, and generators. torch is imported where a test
asks for one of them.
"""

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    import torch

    from vae_course.models import LinearGaussian

# Before torch is imported, and for the processes that tests start.
os.environ["TQDM_DISABLE"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"

settings.register_profile(
    "vae-course",
    deadline=None,
    derandomize=True,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("vae-course")


@pytest.fixture
def generator() -> "torch.Generator":
    import torch

    return torch.Generator().manual_seed(0)


@pytest.fixture
def linear(generator: "torch.Generator") -> "LinearGaussian":
    """Six pixels, three latents: the exact posterior is not diagonal."""
    from vae_course.models import random_linear_gaussian

    return random_linear_gaussian(6, 3, 0.7, generator)


@pytest.fixture
def line(generator: "torch.Generator") -> "LinearGaussian":
    """Five pixels, one latent: `encode` is the exact posterior."""
    from vae_course.models import random_linear_gaussian

    return random_linear_gaussian(5, 1, 0.5, generator)


@pytest.fixture
def x(linear: "LinearGaussian") -> "torch.Tensor":
    """Draw eight observations of `linear`."""
    import torch

    torch.manual_seed(1)
    return linear.marginal().sample((8,))
