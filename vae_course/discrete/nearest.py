"""Vector quantization: a code that is one entry of a codebook, and how the entries are learned."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class NearestEntries:
    """Encodings and the codebook entries nearest to them.

    Attributes:
        entries: e_k, the shape of z_e; its gradient goes to the codebook and not to the encoder.
        straight_through: the value of `entries`, with the gradient of z_e: what the decoder takes.
        indices: k, shape `(batch, ...)`, int64.
    """

    entries: Tensor
    straight_through: Tensor
    indices: Tensor


def quantize(z_e: Tensor, codebook: Tensor) -> NearestEntries:
    """z_q = e_k with k = argmin_j ‖z_e − e_j‖.

    Args:
        z_e: encodings, shape `(batch, ..., dim)`.
        codebook: shape `(codebook_size, dim)`.

    Raises:
        ValueError: encodings and codebook differ in their last dimension.

    Source: van den Oord et al. (2017), equations 1 and 2; section 3.2 for the gradient.
    """
    if z_e.shape[-1] != codebook.shape[-1]:
        raise ValueError(
            f"encodings {tuple(z_e.shape)} and codebook {tuple(codebook.shape)} differ in their "
            "last dimension: move the channels of a feature map there first"
        )
    flat, listed = z_e.detach().reshape(-1, z_e.shape[-1]), codebook.detach()
    center = listed.mean(0)  # far from the origin, cdist's matrix product would lose digits
    indices = torch.cdist(flat - center, listed - center).argmin(-1).view(z_e.shape[:-1])
    entries = codebook[indices]
    # Not z_e + (entries − z_e), which is the same but for its last bit.
    return NearestEntries(entries, entries.detach() + (z_e - z_e.detach()), indices)


def codebook_loss(z_e: Tensor, entries: Tensor) -> Tensor:
    """‖sg[z_e] − e‖²: moves the codebook to the encodings.

    Args:
        z_e: encodings, shape `(batch, ..., dim)`.
        entries: `NearestEntries.entries`, the same shape.

    Returns:
        Shape `(batch,)`: a sum over each image's encodings, as its reconstruction is.

    Source: van den Oord et al. (2017), equation 3, second term.
    """
    return (z_e.detach() - entries).square().flatten(1).sum(-1)


def commitment_loss(z_e: Tensor, entries: Tensor) -> Tensor:
    """‖z_e − sg[e]‖²: keeps the encodings near the codebook; its weight β is the caller's.

    Args:
        z_e: encodings, shape `(batch, ..., dim)`.
        entries: `NearestEntries.entries`, the same shape.

    Returns:
        Shape `(batch,)`: a sum over each image's encodings, as its reconstruction is.

    Source: van den Oord et al. (2017), equation 3, third term.
    """
    return (z_e - entries.detach()).square().flatten(1).sum(-1)


def summed_over_processes(counts: Tensor) -> Tensor:
    """Return the sum of a tensor over all processes of a run; of one, the tensor itself."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.all_reduce(counts)
    return counts


def code_counts(indices: Tensor, codebook_size: int) -> Tensor:
    """How often each code occurs among indices, over all processes: `(codebook_size,)`."""
    return summed_over_processes(torch.bincount(indices.flatten(), minlength=codebook_size))


def perplexity(indices: Tensor, codebook_size: int) -> Tensor:
    """exp(−Σ_k p_k log p_k), with p the frequencies of the indices: how many codes are in use.

    Where several processes train together, p counts the indices of all of them.

    Args:
        indices: any shape, each in 0 … `codebook_size` − 1.
        codebook_size: its entries.

    Returns:
        A scalar from 1 (one code takes everything) to `codebook_size` (all equally often).
    """
    counts = code_counts(indices, codebook_size)
    entropy: Tensor = torch.special.entr(counts / counts.sum()).sum()
    return entropy.exp()


@dataclass(frozen=True)
class EMAState:
    """A codebook that follows its encodings instead of a gradient.

    Attributes:
        codebook: e, shape `(codebook_size, dim)`.
        counts: moving average of how many encodings a code gets in a batch, `(codebook_size,)`.
        sums: moving average of the sum of those encodings, `(codebook_size, dim)`.
    """

    codebook: Tensor
    counts: Tensor
    sums: Tensor

    @classmethod
    def start(cls, codebook: Tensor) -> "EMAState":
        """Begin at a codebook, with nothing seen yet."""
        return cls(codebook, codebook.new_zeros(len(codebook)), torch.zeros_like(codebook))


@torch.no_grad()
def ema_update(state: EMAState, z_e: Tensor, indices: Tensor, decay: float = 0.99) -> EMAState:
    """N_k ← γ N_k + (1 − γ) n_k, m_k ← γ m_k + (1 − γ) Σ z_e, e_k = m_k / N_k.

    Both averages start at zero, so after t steps both are too small by the factor 1 − γ^t, which
    the ratio cancels: the first step puts a code at the mean of its encodings. (Starting m at the
    codebook but N at zero is the well-known mistake: the first step inflates e by 1 / (1 − γ).)
    Encodings are counted over all processes of a run.
    A code that nothing has chosen for so long that its N vanished stays where it is.

    Args:
        state: before the step; it is left as it was.
        z_e: encodings, shape `(batch, ..., dim)`.
        indices: `NearestEntries.indices` of them, shape `(batch, ...)`.
        decay: γ, in [0, 1).

    Returns:
        The state after the step.

    Raises:
        ValueError: `decay` is not in [0, 1).

    Source: van den Oord et al. (2017), appendix A.1.
    """
    if not 0 <= decay < 1:
        raise ValueError(f"decay = {decay} is not in [0, 1): it is the weight of the past")
    flat = z_e.reshape(-1, z_e.shape[-1]).to(state.sums)
    chosen = torch.zeros_like(state.counts).index_add(
        0, indices.flatten(), flat.new_ones(len(flat))
    )
    added = torch.zeros_like(state.sums).index_add(0, indices.flatten(), flat)
    counts = decay * state.counts + (1 - decay) * summed_over_processes(chosen)
    sums = decay * state.sums + (1 - decay) * summed_over_processes(added)
    alive = (counts > 1e-5).unsqueeze(-1)
    mean = sums / torch.where(alive, counts.unsqueeze(-1), 1.0)
    return EMAState(torch.where(alive, mean, state.codebook), counts, sums)
