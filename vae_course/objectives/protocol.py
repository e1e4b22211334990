"""What an objective asks of a model: three distributions."""

from typing import Protocol

from torch import Tensor
from torch.distributions import Distribution

from vae_course.distributions import DiagonalGaussian


class LatentVariableModel(Protocol):
    """Anything with p(z), q(z|x) and p(x|z) as `torch.distributions` objects."""

    def prior(self) -> DiagonalGaussian:
        """Return p(z)."""
        ...

    def encode(self, x: Tensor) -> DiagonalGaussian:
        """Return q(z|x), batch shape `(batch,)`."""
        ...

    def decode(self, z: Tensor) -> Distribution:
        """Return p(x|z), batch shape `z.shape[:-1]`."""
        ...
