"""Four ways to be discrete, with one interface."""

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vae_course.discrete.nearest import (
    EMAState,
    codebook_loss,
    commitment_loss,
    ema_update,
    quantize,
)
from vae_course.distributions import full_precision, gumbel_softmax


@dataclass(frozen=True)
class QuantizerOutput:
    """What a quantizer makes of encodings `(batch, ..., dim)`.

    Attributes:
        z_q: what the decoder takes, the shape of the encodings, with a gradient to them.
        indices: which code, shape `(batch, ...)`, int64.
        loss: what the quantizer adds to the loss, `(batch,)`, summed over each image's encodings.
    """

    z_q: Tensor
    indices: Tensor
    loss: Tensor


class Quantizer(nn.Module):
    """Encodings to codes. In training mode a quantizer may follow what it sees, as a batch norm.

    Attributes:
        codebook_size: how many codes there are.
        dim: of an encoding.
    """

    codebook_size: int
    dim: int

    @abstractmethod
    def forward(self, z_e: Tensor, generator: torch.Generator | None = None) -> QuantizerOutput:
        """Quantize encodings `(batch, ..., dim)`."""

    @abstractmethod
    def lookup(self, indices: Tensor) -> Tensor:
        """Return the codes `(..., dim)` of indices `(...)`."""


class GradientCodebook(Quantizer):
    """A codebook that is a parameter: loss ‖sg[z_e] − e‖² + β ‖z_e − sg[e]‖².

    Args:
        codebook_size: entries.
        dim: of an entry.
        commitment: β, the weight of the *second* term, the encoder's.

    Source: van den Oord et al. (2017), equation 3.
    """

    def __init__(self, codebook_size: int, dim: int, commitment: float = 0.25) -> None:
        """Start uniformly in ±1 / codebook_size, as most public PyTorch code does."""
        super().__init__()
        self.codebook_size, self.dim, self.commitment = codebook_size, dim, commitment
        self.codebook = nn.Parameter(
            torch.empty(codebook_size, dim).uniform_(-1 / codebook_size, 1 / codebook_size)
        )

    def forward(self, z_e: Tensor, generator: torch.Generator | None = None) -> QuantizerOutput:
        """Quantize to the nearest entry."""
        found = quantize(z_e, self.codebook)
        loss = codebook_loss(z_e, found.entries) + self.commitment * commitment_loss(
            z_e, found.entries
        )
        return QuantizerOutput(found.straight_through, found.indices, loss)

    def lookup(self, indices: Tensor) -> Tensor:
        """Return entries."""
        return self.codebook[indices]

    @torch.no_grad()
    def start(self, codebook: Tensor) -> None:
        """Begin at given entries, those of `kmeans_codebook` for instance."""
        self.codebook.copy_(codebook)


class EMACodebook(Quantizer):
    """A codebook whose entries are moving averages of the encodings that chose them.

    In training mode each call moves the entries (`ema_update`, over all processes together) and,
    where `restart_below` is positive, sets every entry that gets fewer encodings a batch than
    that, on average, to a random encoding of the batch.

    Args:
        codebook_size: entries.
        dim: of an entry.
        commitment: β, weight of ‖z_e − sg[e]‖².
        decay: γ of the averages.
        restart_below: encodings a batch below which an entry is dead; 0 never restarts.

    Source: van den Oord et al. (2017), appendix A.1; Dhariwal et al. (2020), section 3.1, for the
    restart.
    """

    codebook: Tensor
    counts: Tensor
    sums: Tensor
    steps: Tensor

    def __init__(
        self,
        codebook_size: int,
        dim: int,
        commitment: float = 0.25,
        decay: float = 0.99,
        restart_below: float = 0.0,
    ) -> None:
        """Start from N(0, 1), as most public code does.

        In many dimensions that is far from an encoder's first outputs, and most entries are never
        chosen: restart them, or `start` elsewhere.
        """
        super().__init__()
        self.codebook_size, self.dim, self.commitment = codebook_size, dim, commitment
        self.decay, self.restart_below = decay, restart_below
        self.register_buffer("codebook", torch.randn(codebook_size, dim))
        self.register_buffer("counts", torch.zeros(codebook_size))
        self.register_buffer("sums", torch.zeros(codebook_size, dim))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def forward(self, z_e: Tensor, generator: torch.Generator | None = None) -> QuantizerOutput:
        """Quantize to the nearest entry; in training mode, move the entries afterwards."""
        found = quantize(z_e, self.codebook)
        if self.training:
            self._follow(z_e.detach(), found.indices, generator)
        loss = self.commitment * commitment_loss(z_e, found.entries)
        return QuantizerOutput(found.straight_through, found.indices, loss)

    def lookup(self, indices: Tensor) -> Tensor:
        """Return entries."""
        return self.codebook[indices]

    @torch.no_grad()
    def start(self, codebook: Tensor) -> None:
        """Begin at given entries, with nothing seen yet."""
        self.codebook.copy_(codebook)
        for average in (self.counts, self.sums, self.steps):
            average.zero_()

    @torch.no_grad()
    def _follow(self, z_e: Tensor, indices: Tensor, generator: torch.Generator | None) -> None:
        state = EMAState(self.codebook, self.counts, self.sums)
        self._keep(ema_update(state, z_e, indices, self.decay))
        self.steps += 1
        if self.restart_below > 0:
            self._restart(z_e.reshape(-1, self.dim), generator)

    def _restart(self, encodings: Tensor, generator: torch.Generator | None) -> None:
        """Put dead entries on random encodings, as if just alive enough to be left alone."""
        seen = 1 - self.decay ** self.steps.to(self.counts)  # what an average from zero has seen
        dead = self.counts < self.restart_below * seen
        order = torch.randint(
            len(encodings), (self.codebook_size,), generator=generator, device=encodings.device
        )
        drawn = _from_first_process(encodings[order].to(self.codebook))
        counts = torch.where(dead, self.restart_below * seen, self.counts)
        codebook = torch.where(dead.unsqueeze(-1), drawn, self.codebook)
        sums = torch.where(dead.unsqueeze(-1), drawn * counts.unsqueeze(-1), self.sums)
        self._keep(EMAState(codebook, counts, sums))

    def _keep(self, state: EMAState) -> None:
        self.codebook.copy_(state.codebook)
        self.counts.copy_(state.counts)
        self.sums.copy_(state.sums)


def _from_first_process(tensor: Tensor) -> Tensor:
    """Give every process the first one's values."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.broadcast(tensor, src=0)
    return tensor


class FiniteScalar(Quantizer):
    """No codebook: each coordinate is squashed and rounded to one of a few levels.

    With L levels, z ↦ round(½ (L − 1) tanh(z + s) − o) / ⌊L / 2⌋, where o = ½ for even L and 0 for
    odd, and s makes 0 stay at 0. The codes are the grid of all combinations; none can die.

    Args:
        levels: L for each coordinate; the number of codes is their product.

    Raises:
        ValueError: fewer than two levels.

    Source: Mentzer et al. (2024), section 3.1 and appendix A.1.
    """

    basis: Tensor
    level: Tensor

    def __init__(self, levels: Sequence[int]) -> None:
        """Fix the grid."""
        super().__init__()
        if not levels or min(levels) < 2:
            raise ValueError(f"levels = {list(levels)}: each coordinate needs at least two")
        self.codebook_size, self.dim = math.prod(levels), len(levels)
        basis = [math.prod(levels[:k]) for k in range(len(levels))]
        self.register_buffer("level", torch.tensor(levels), persistent=False)
        self.register_buffer("basis", torch.tensor(basis), persistent=False)

    def forward(self, z_e: Tensor, generator: torch.Generator | None = None) -> QuantizerOutput:
        """Round; the gradient is that of the squashing."""
        bounded = self._bound(z_e)
        rounded = bounded.round()
        half = self.level // 2
        straight = rounded.detach() + (bounded - bounded.detach())
        indices = ((rounded.detach() + half).long() * self.basis).sum(-1)
        return QuantizerOutput(straight / half, indices, z_e.new_zeros(len(z_e)))

    def lookup(self, indices: Tensor) -> Tensor:
        """Return grid points."""
        digits = indices.unsqueeze(-1) // self.basis % self.level
        half = self.level // 2
        return (digits - half) / half

    def _bound(self, z: Tensor) -> Tensor:
        # A thousandth more than ½ (L − 1), so that the outermost levels can be reached; of many
        # levels not so much more that it would round to a level outside.
        reach = torch.minimum((self.level - 1) * 1.001 / 2, self.level / 2 - 0.1)
        offset = torch.where(self.level % 2 == 0, 0.5, 0.0)
        return torch.tanh(z + torch.atanh(offset / reach)) * reach - offset


class GumbelCodebook(Quantizer):
    """A relaxed choice: q(k|x) is a categorical, its sample a Gumbel-softmax mixture of entries.

    In training mode the decoder takes a soft mixture of entries; otherwise the likeliest entry.
    The loss is KL(q ‖ uniform) = log K − H(q), for each encoding.

    Args:
        codebook_size: entries.
        dim: of an entry, and of the encodings that are mapped to logits.
        temperature: τ of the relaxation.

    Source: Jang et al. (2017); Ramesh et al. (2021), section 2.1, for images.
    """

    def __init__(self, codebook_size: int, dim: int, temperature: float = 1.0) -> None:
        """Build the logits' layer and the entries."""
        super().__init__()
        self.codebook_size, self.dim, self.temperature = codebook_size, dim, temperature
        self.to_logits = nn.Linear(dim, codebook_size)
        self.codebook = nn.Parameter(torch.randn(codebook_size, dim))

    def forward(self, z_e: Tensor, generator: torch.Generator | None = None) -> QuantizerOutput:
        """Mix entries by a relaxed sample."""
        log_q = F.log_softmax(full_precision(self.to_logits(z_e)), dim=-1)
        indices = log_q.argmax(-1)
        kl = (log_q.exp() * (log_q + math.log(self.codebook_size))).sum(-1)
        if self.training:
            weights = gumbel_softmax(log_q, self.temperature, 1, generator).squeeze(0)
            z_q = weights @ self.codebook
        else:
            z_q = self.codebook[indices]
        return QuantizerOutput(z_q, indices, kl.flatten(1).sum(-1))

    def lookup(self, indices: Tensor) -> Tensor:
        """Return entries."""
        return self.codebook[indices]


QUANTIZERS: dict[str, type[Quantizer]] = {
    "gradient": GradientCodebook,
    "ema": EMACodebook,
    "finite-scalar": FiniteScalar,
    "gumbel": GumbelCodebook,
}


def kmeans_codebook(z_e: Tensor, codebook_size: int, seed: int = 0) -> Tensor:
    """Return the centers of `codebook_size` clusters of encodings.

    Args:
        z_e: encodings, shape `(..., dim)`; ten for each code or more.
        codebook_size: its entries.
        seed: of the clustering.

    Returns:
        Shape `(codebook_size, dim)`, on the device of the encodings.

    Raises:
        ValueError: fewer encodings than codes.

    Source: Łańcucki et al. (2020), section III.
    """
    from sklearn.cluster import KMeans  # here, because it takes seconds to import

    flat = full_precision(z_e.detach().reshape(-1, z_e.shape[-1]))
    if len(flat) < codebook_size:
        raise ValueError(
            f"{len(flat)} encodings cannot start {codebook_size} codes: pass more images"
        )
    found = KMeans(codebook_size, n_init=1, max_iter=20, random_state=seed).fit(flat.cpu().numpy())
    return torch.from_numpy(found.cluster_centers_).to(flat)
