"""What an objective asks of a model: three distributions."""

from typing import Protocol, runtime_checkable

import torch
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


@runtime_checkable
class JointModel(Protocol):
    """A model of several latent variables that weighs samples of all of them itself."""

    def log_weights(self, x: Tensor, k: int, generator: torch.Generator | None = None) -> Tensor:
        """Return log p(x, z_i) − log q(z_i|x) for k samples, `(batch, k)`."""
        ...
