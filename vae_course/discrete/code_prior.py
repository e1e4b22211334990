"""A learned prior over maps of indices."""

from collections.abc import Sequence
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor

from vae_course.discrete.transformer import CausalTransformer
from vae_course.distributions import full_precision
from vae_course.models import Model


class CodePrior(Model):
    """log p(k) = Σ_t log p(k_t | k_1, …, k_{t−1}), row by row, with a causal transformer.

    Args:
        codebook_size: how many values an index has.
        map_shape: of the maps, `(h, w)`.
        width: of the transformer, a multiple of `heads`.
        heads: of its attention.
        layers: blocks.

    Source: van den Oord et al. (2017), section 3.3, where the network is a PixelCNN.
    """

    def __init__(
        self,
        codebook_size: int,
        map_shape: Sequence[int],
        *,
        width: int = 128,
        heads: int = 4,
        layers: int = 4,
    ) -> None:
        """Build the transformer."""
        super().__init__()
        self.map_shape = tuple(map_shape)
        self.transformer = CausalTransformer(
            codebook_size, prod(map_shape), width=width, heads=heads, layers=layers
        )

    def log_prob(self, indices: Tensor) -> Tensor:
        """Return log p of maps `(batch, h, w)`: `(batch,)`, nats per image.

        Raises:
            ValueError: maps of another shape.
        """
        if tuple(indices.shape[1:]) != self.map_shape:
            raise ValueError(
                f"maps have shape {tuple(indices.shape)}, this prior takes (batch, "
                f"{', '.join(map(str, self.map_shape))})"
            )
        flat = indices.flatten(1)
        logits = full_precision(self.transformer(flat))
        return -F.cross_entropy(logits.transpose(1, 2), flat, reduction="none").sum(-1)

    def sample(
        self, n: int, generator: torch.Generator | None = None, temperature: float = 1.0
    ) -> Tensor:
        """Draw n maps `(n, h, w)`."""
        drawn = self.transformer.sample(n, generator, temperature)
        return drawn.view(n, *self.map_shape)
