"""Scores by intervention: hold one factor, let the others vary, and look at the codes."""

from collections.abc import Callable, Sequence

import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

Represent = Callable[[Tensor], Tensor]
"""Factor values `(N, K)` to codes `(N, latent)`: draw the images, encode, take the means."""

_AT_ONCE = 16_384  # images drawn and encoded together


def beta_vae_score(
    represent: Represent,
    factor_sizes: Sequence[int],
    *,
    train: int = 10_000,
    test: int = 5_000,
    batch_size: int = 64,
    generator: torch.Generator,
) -> float:
    """Accuracy of a linear classifier that has to name the factor two sets of images share.

    One point: choose a factor k; draw `batch_size` pairs of images alike in v_k; its features are
    the mean of |z_1 − z_2| over the pairs, its label is k.

    Returns:
        A number from about 1 / K (chance) to 1.

    Raises:
        ValueError: fewer than two factors that vary.

    Source: Higgins et al. (2017), section 3; settings of Locatello et al. (2019).
    """
    varying = _varying(factor_sizes)

    def points(count: int) -> tuple[Tensor, Tensor]:
        chosen = varying[torch.randint(len(varying), (count,), generator=generator)]
        first = _draw(factor_sizes, (count, batch_size), generator)
        second = _draw(factor_sizes, (count, batch_size), generator)
        rows = torch.arange(count)
        first[rows, :, chosen] = second[rows, :, chosen]
        distance = (_codes(represent, first) - _codes(represent, second)).abs().mean(1)
        return distance, chosen

    features, labels = points(train)
    classifier = LogisticRegression(max_iter=1_000).fit(features.numpy(), labels.numpy())
    test_features, test_labels = points(test)
    return float(classifier.score(test_features.numpy(), test_labels.numpy()))


def factor_vae_score(
    represent: Represent,
    factor_sizes: Sequence[int],
    *,
    train: int = 10_000,
    test: int = 5_000,
    batch_size: int = 64,
    variance_points: int = 10_000,
    generator: torch.Generator,
) -> float:
    """Accuracy of a majority vote that has to name the factor held fixed.

    One point: choose a factor k and a value for it; draw `batch_size` images that have it; the
    point is the latent whose variance over them, relative to its variance over all images, is
    least. Latents whose standard deviation over all images is below 0.05 are left out.

    Returns:
        A number from about 1 / K (chance) to 1; 0 when every latent is left out.

    Raises:
        ValueError: fewer than two factors that vary.

    Source: Kim & Mnih (2018), section 4; settings of Locatello et al. (2019), whose
        disentanglement_lib compares the root of the variance with 0.05.
    """
    varying = _varying(factor_sizes)
    spread = represent(_draw(factor_sizes, (variance_points,), generator)).double().var(0)
    active = (spread.sqrt() >= 0.05).nonzero().flatten()
    if not len(active):
        return 0.0

    def points(count: int) -> tuple[Tensor, Tensor]:
        chosen = varying[torch.randint(len(varying), (count,), generator=generator)]
        factors = _draw(factor_sizes, (count, batch_size), generator)
        rows = torch.arange(count)
        factors[rows, :, chosen] = factors[rows, 0, chosen].unsqueeze(-1)
        relative = _codes(represent, factors).var(1) / spread
        return active[relative[:, active].argmin(-1)], chosen

    votes = torch.zeros(len(spread), len(factor_sizes))
    latents, labels = points(train)
    votes.index_put_((latents, labels), torch.ones(train), accumulate=True)
    latents, labels = points(test)
    return float((votes.argmax(-1)[latents] == labels).double().mean())


def _varying(factor_sizes: Sequence[int]) -> Tensor:
    varying = (torch.tensor(list(factor_sizes)) > 1).nonzero().flatten()
    if len(varying) < 2:
        raise ValueError(f"factor sizes {tuple(factor_sizes)}: at least two have to vary")
    return varying


def _draw(
    factor_sizes: Sequence[int], shape: tuple[int, ...], generator: torch.Generator
) -> Tensor:
    """Draw factor values uniformly, `(*shape, K)`."""
    columns = [torch.randint(size, shape, generator=generator) for size in factor_sizes]
    return torch.stack(columns, dim=-1)


def _codes(represent: Represent, factors: Tensor) -> Tensor:
    """Represent `(count, batch, K)` in pieces; returns `(count, batch, latent)`."""
    pieces = [represent(piece) for piece in factors.flatten(0, 1).split(_AT_ONCE)]
    codes = torch.cat(pieces).double()
    return codes.view(*factors.shape[:2], codes.shape[-1])
