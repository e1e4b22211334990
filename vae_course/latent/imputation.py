"""Missing pixels: codes from p(z|x_obs), three ways, and images completed from them.

`observed` is boolean, of the shape of the images, True where a pixel is known. What a batch of
images holds at its missing pixels is never looked at, and may be NaN.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Bernoulli, Distribution, Independent, Normal

from vae_course.objectives import LatentVariableModel, check_observed


def observed_log_prob(p: Distribution, x: Tensor, observed: Tensor) -> Tensor:
    """Return log p(x_obs|z) = Σ over observed pixels of log p(x_d|z), the shape of p's batch.

    Pixels are independent given z, so those that are missing integrate to one and drop out.

    Args:
        p: the likelihood at some codes, `Independent` over pixels.
        x: images, broadcastable to p's.
        observed: mask of the shape of `x`.

    Raises:
        TypeError: `p` is not an `Independent`; its pixels cannot be told apart.

    Source: Mattei & Frellsen (2019), whose bound is built from this term.
    """
    if not isinstance(p, Independent):
        raise TypeError(f"{type(p).__name__} is not Independent over pixels")
    known = torch.where(observed, x, 0.0)
    pixels = p.base_dist.log_prob(known)
    return torch.where(observed, pixels, 0.0).flatten(-len(p.event_shape)).sum(-1)


def draw_pixels(p: Distribution, generator: torch.Generator | None = None) -> Tensor:
    """Draw x ~ p(x|z) with an explicit generator, for Gaussian and Bernoulli pixels.

    Raises:
        TypeError: pixels of another kind.
    """
    pixels = p.base_dist if isinstance(p, Independent) else p
    if isinstance(pixels, Bernoulli):
        return torch.bernoulli(pixels.mean, generator=generator)
    if not isinstance(pixels, Normal):
        raise TypeError(f"draws Gaussian and Bernoulli pixels, not {type(pixels).__name__}")
    mean = pixels.mean
    noise = torch.randn(mean.shape, generator=generator, dtype=mean.dtype, device=mean.device)
    return mean + pixels.stddev * noise


@torch.no_grad()
def complete(
    model: LatentVariableModel,
    z: Tensor,
    x: Tensor,
    observed: Tensor,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Keep the observed pixels of `x` and draw the others from p(x|z).

    With z ~ p(z|x_obs) the result is a draw from p(x_mis|x_obs).

    Args:
        model: anything with `decode`.
        z: codes, `(..., batch, latent)`.
        x: images, `(batch, ...)`.
        observed: mask of the shape of `x`.
        generator: source of the pixels' noise.

    Returns:
        `(..., batch, *image)`.
    """
    return torch.where(observed, x, draw_pixels(model.decode(z), generator))


@dataclass(frozen=True)
class ImportanceSample:
    """Proposals for the code of incomplete images, with their weights.

    Attributes:
        z: `(k, batch, latent)`, drawn from q(z|filled image).
        log_w: log p(x_obs|z) + log p(z) − log q(z|filled image), `(k, batch)`, nats per image.
    """

    z: Tensor
    log_w: Tensor

    @property
    def weights(self) -> Tensor:
        """Self-normalized weights w_i / Σ_j w_j, `(k, batch)`: one for each image's proposals."""
        return torch.softmax(self.log_w, dim=0)

    @property
    def effective_size(self) -> Tensor:
        """1 / Σ_i w̃_i², between 1 and k: `(batch,)` (Owen 2013, chapter 9)."""
        return 1 / self.weights.square().sum(0)

    def resample(self, draws: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw `(draws, batch, latent)` codes with the weights' probabilities, with repeats."""
        index = torch.multinomial(self.weights.T, draws, replacement=True, generator=generator).T
        return self.z.take_along_dim(index.unsqueeze(-1), dim=0)


@torch.no_grad()
def importance_resampling(
    model: LatentVariableModel,
    x: Tensor,
    observed: Tensor,
    filled: Tensor,
    k: int,
    *,
    generator: torch.Generator | None = None,
) -> ImportanceSample:
    """Weigh k proposals z ~ q(z|filled) by w = p(x_obs|z) p(z) / q(z|filled).

    Resampling by the weights gives draws from p(z|x_obs) as k → ∞, whatever the filling was; how
    good they are at finite k is what `effective_size` tells.

    Args:
        model: anything with `encode`, `decode` and `prior`.
        x: images, `(batch, ...)`.
        observed: mask of the shape of `x`.
        filled: what the encoder is shown: `x` with its missing pixels filled somehow.
        k: proposals an image.
        generator: source of the proposals.

    Source: Smith & Gelfand (1992), on resampling; Mattei & Frellsen (2019), on these weights.
    """
    whole = torch.where(observed, x, filled)
    check_observed(model, whole)
    q = model.encode(whole)
    z = q.sample((k,), generator)
    log_px = observed_log_prob(model.decode(z), x, observed)  # (k, batch)
    return ImportanceSample(z, log_px + model.prior().log_prob(z) - q.log_prob(z))


@dataclass(frozen=True)
class Chain:
    """Codes that a Markov chain went through, one chain for each image.

    Attributes:
        z: `(draws, batch, latent)`, after burn-in.
        accepted: share of proposals taken, `(batch,)`; all ones for pseudo-Gibbs.
    """

    z: Tensor
    accepted: Tensor


@torch.no_grad()
def pseudo_gibbs(
    model: LatentVariableModel,
    x: Tensor,
    observed: Tensor,
    filled: Tensor,
    draws: int,
    *,
    burn_in: int,
    corrected: bool = False,
    generator: torch.Generator | None = None,
) -> Chain:
    """Alternate z ~ q(z|x_obs, x_mis) and x_mis ~ p(x_mis|z).

    With the true posterior in place of q this is Gibbs sampling, and its codes are draws from
    p(z|x_obs). With an approximate q the chain ends up near there, but not there. `corrected`
    adds the Metropolis-Hastings test that repairs it: a proposal z' is taken with probability
    min(1, [p(x, z') q(z|x)] / [p(x, z) q(z'|x)]), x being the image as completed so far.

    Args:
        model: anything with `encode`, `decode` and `prior`.
        x: images, `(batch, ...)`.
        observed: mask of the shape of `x`.
        filled: what the missing pixels are at the start.
        draws: sweeps that are kept.
        burn_in: sweeps before them that are not.
        corrected: whether to accept or reject: Metropolis-within-Gibbs.
        generator: source of all randomness.

    Source: Rezende et al. (2014), on missing data; Mattei & Frellsen (2018), algorithm 1.
    """
    x = torch.where(observed, x, filled)
    check_observed(model, x)
    z = model.encode(x).sample((), generator)
    kept, accepted = [], torch.zeros(len(x), device=x.device)
    for sweep in range(burn_in + draws):
        q = model.encode(x)
        proposal = q.sample((), generator)
        take = torch.ones(len(x), dtype=torch.bool, device=x.device)
        if corrected:
            codes = torch.stack([proposal, z])  # (2, batch, latent)
            log_w = model.decode(codes).log_prob(x) + model.prior().log_prob(codes)
            gain = (log_w - q.log_prob(codes)).diff(dim=0)[0].neg()
            uniform = torch.rand(gain.shape, generator=generator, device=x.device)
            take = uniform.log() < gain
        z = torch.where(take.unsqueeze(-1), proposal, z)
        x = complete(model, z, x, observed, generator)
        if sweep >= burn_in:
            kept.append(z)
            accepted += take
    return Chain(torch.stack(kept), accepted / draws)
