"""A causal transformer over a sequence of codes: each is predicted from those before it."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vae_course.distributions import full_precision

Past = tuple[Tensor, Tensor]
"""Keys and values of the positions before, each `(batch, heads, positions, width / heads)`."""


def _attention(q: Tensor, k: Tensor, v: Tensor, *, is_causal: bool) -> Tensor:
    """torch's attention; on a CPU in float32, where bfloat16 takes ten times as long backwards."""
    if q.device.type == "cpu":
        q, k, v = full_precision(q), full_precision(k), full_precision(v)
    with torch.autocast("cpu", enabled=False):
        return F.scaled_dot_product_attention(q, k, v, is_causal=is_causal)


class _Block(nn.Module):
    """Attention to the past, then a small network at each position; both added to the stream."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention, self.before_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.to_qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, h: Tensor, past: Past | None = None) -> tuple[Tensor, Past]:
        """Map `(batch, positions, width)` to itself; with a past, one new position at a time."""
        qkv = self.to_qkv(self.before_attention(h))
        q, k, v = qkv.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        if past is not None:
            k, v = torch.cat([past[0], k], dim=2), torch.cat([past[1], v], dim=2)
        # One new position may look at all there is; a whole sequence only backwards.
        seen = _attention(q, k, v, is_causal=past is None)
        h = h + self.out(seen.transpose(1, 2).flatten(2))
        return h + self.mlp(self.before_mlp(h)), (k, v)


class CausalTransformer(nn.Module):
    """Logits of each code given those before it: `(batch, length)` => `(…, codebook_size)`.

    Args:
        codebook_size: how many values a code has.
        length: of a sequence.
        width: of the stream, a multiple of `heads`.
        heads: of the attention.
        layers: blocks.

    Raises:
        ValueError: a width that the heads do not divide.

    Source: Vaswani et al. (2017), the decoder; normalization before each part as in Radford et
    al. (2019).
    """

    def __init__(
        self, codebook_size: int, length: int, *, width: int = 128, heads: int = 4, layers: int = 4
    ) -> None:
        """Build embeddings and blocks."""
        super().__init__()
        if width % heads:
            raise ValueError(f"width = {width} is not a multiple of heads = {heads}")
        self.codebook_size, self.length = codebook_size, length
        self.embedding = nn.Embedding(codebook_size + 1, width)  # the last stands before all
        self.position = nn.Parameter(0.02 * torch.randn(length, width))
        self.blocks = nn.ModuleList(_Block(width, heads) for _ in range(layers))
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, codebook_size))
        nn.init.normal_(self.embedding.weight, std=0.02)

    def forward(self, indices: Tensor) -> Tensor:
        """Return logits `(batch, length, codebook_size)`; at t they depend on what is before t."""
        start = torch.full_like(indices[:, :1], self.codebook_size)
        h = self.embedding(torch.cat([start, indices[:, :-1]], dim=1)) + self.position
        for block in self.blocks:
            h, _ = block(h)
        out: Tensor = self.head(h)
        return out

    @torch.no_grad()
    def sample(
        self, n: int, generator: torch.Generator | None = None, temperature: float = 1.0
    ) -> Tensor:
        """Draw `(n, length)` codes, one position after the other, keeping keys and values.

        Args:
            n: how many sequences.
            generator: on the model's device.
            temperature: divides the logits; below 1 favors likely codes.

        Raises:
            ValueError: the temperature is not positive.
        """
        if not temperature > 0:
            raise ValueError(f"temperature = {temperature} is not positive")
        device = self.position.device
        drawn = torch.full((n, 1), self.codebook_size, device=device)
        pasts: list[Past | None] = [None] * len(self.blocks)
        for t in range(self.length):
            h = self.embedding(drawn[:, -1:]) + self.position[t]
            for k, block in enumerate(self.blocks):
                h, pasts[k] = block(h, pasts[k])
            weights = torch.softmax(full_precision(self.head(h[:, -1])) / temperature, dim=-1)
            drawn = torch.cat([drawn, torch.multinomial(weights, 1, generator=generator)], dim=1)
        return drawn[:, 1:]
