"""What the layers of a stack are used for: ELBO and KL by layer, active units, pixel variance."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from vae_course.hierarchical.stacked import Stacked, StackOutput
from vae_course.hierarchical.vae import HierarchicalVAE
from vae_course.objectives import check_observed


@dataclass(frozen=True)
class StackEstimate:
    """Terms of held-out images, in nats per image.

    Attributes:
        elbo: log p(x|z_1) averaged over samples, minus the KLs, `(N,)`.
        reconstruction: −log p(x|z_1), averaged over samples, `(N,)`.
        kl: each layer's KL, averaged over samples of the layers it depends on, `(N, layers)`.
    """

    elbo: Tensor
    reconstruction: Tensor
    kl: Tensor


@torch.no_grad()
def estimate_stack(
    model: Stacked,
    x: Tensor,
    *,
    samples: int = 4,
    chunk: int = 4096,
    generator: torch.Generator | None = None,
) -> StackEstimate:
    """ELBO(x) and each layer's KL for each image, averaged over stacks of codes.

    Args:
        model: a stack.
        x: images, `(N, ...)`, of any number.
        samples: stacks drawn for an image.
        chunk: pairs of image and stack decoded at once; memory does not grow past it, or past
            `samples` where that is more.
        generator: source of the samples.

    Raises:
        ValueError: samples < 1.
    """
    reconstruction, kl = [], []
    for batch, out in _passes(model, x, samples, chunk, generator):
        log_px = out.p.log_prob(batch.repeat(samples, *[1] * (x.dim() - 1)))
        reconstruction.append(-log_px.view(samples, -1).mean(0))
        kl.append(out.kl.view(samples, len(batch), -1).mean(0))
    first, second = torch.cat(reconstruction), torch.cat(kl)
    return StackEstimate(-first - second.sum(-1), first, second)


@torch.no_grad()
def unit_variances(
    model: Stacked,
    x: Tensor,
    *,
    samples: int = 4,
    chunk: int = 4096,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, ...]:
    """Var_x(E_q[z_lu | x]) for each unit u of each layer l; above 0.01 a unit counts as active.

    The mean of a layer depends on sampled codes of the layers it is conditioned on, and the noise
    of a finite average would count as variance. So E_q is estimated twice, from independent
    samples, and the *covariance* of the two over images taken: unbiased, and at times negative.

    Args:
        model: a stack.
        x: images, `(N, ...)`.
        samples: stacks drawn for an image for each of the two estimates.
        chunk: as for `estimate_stack`.
        generator: source of the samples.

    Returns:
        For each layer, z_1 first, a tensor `(latent,)`.

    Source: Burda et al. (2016), section 5.2, for the variance and its threshold.
    """
    halves: list[list[Tensor]] = [[], []]
    for batch, out in _passes(model, x, 2 * samples, chunk, generator):
        means = torch.cat([q.mean for q in out.q], dim=-1).view(2, samples, len(batch), -1)
        for half, mean in zip(halves, means.mean(1), strict=True):
            half.append(mean)
    first, second = (torch.cat(half) - torch.cat(half).mean(0) for half in halves)
    covariance = (first * second).sum(0) / (len(x) - 1)
    return tuple(covariance.split(model.latent_dims))


@torch.no_grad()
def variance_shares(
    model: HierarchicalVAE,
    pairs: int,
    *,
    generator: torch.Generator | None = None,
    chunk: int = 1024,
) -> Tensor:
    """Which part of the variance of generated images each layer adds to those above it.

    With V_l = E[Var(E[x|z_1] | z_l, …, z_L)], summed over pixels, and V_{L+1} the whole variance,
    layer l has the share (V_{l+1} − V_l) / V_{L+1}: the law of total variance, from the top down.
    V_l is half the mean squared difference of two mean images that share the layers from l upwards.

    Args:
        model: a stack.
        pairs: pairs of images for each V_l.
        generator: source of the samples.
        chunk: pairs drawn at once.

    Returns:
        `(layers,)`, z_1 first; they sum to 1. An estimate can be slightly negative.
    """
    totals = torch.zeros(model.layers + 1, dtype=torch.float64)  # V_1 = 0: z_1 fixes the mean
    for start in range(0, pairs, chunk):
        stack = model.draw(min(chunk, pairs - start), generator)
        image = model.decode(stack[0]).mean
        others = [model.redraw(stack, fixed, generator) for fixed in range(2, model.layers + 1)]
        others.append(model.draw(len(image), generator))
        for layer, other in enumerate(others, start=1):
            difference = image - model.decode(other[0]).mean
            totals[layer] += 0.5 * difference.double().square().sum().cpu()
    return (totals.diff() / totals[-1]).float()


def _passes(
    model: Stacked,
    x: Tensor,
    samples: int,
    chunk: int,
    generator: torch.Generator | None,
) -> Iterator[tuple[Tensor, StackOutput]]:
    """Batches of images, each with a pass of `samples` stacks."""
    if samples < 1:
        raise ValueError(f"samples = {samples}: an estimate needs at least one sample")
    check_observed(model, x)
    for batch in x.split(max(1, chunk // samples)):
        yield batch, model.infer(batch, samples, generator)
