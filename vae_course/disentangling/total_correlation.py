"""The KL of a batch taken apart: what β-TCVAE weighs is the middle one of three terms."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Distribution, Normal

from vae_course.distributions import DiagonalGaussian, log_standard_normal


@dataclass(frozen=True)
class TCTerms:
    """Estimates at one z ~ q(z|x) each, `(batch,)` in nats per image; they sum to a sampled KL.

    Attributes:
        mutual_information: log q(z|x) − log q(z), of image and code.
        total_correlation: log q(z) − Σ_d log q(z_d), the dependence of the latents.
        dimension_wise_kl: Σ_d log q(z_d) − log p(z), to the prior, latent by latent.
    """

    mutual_information: Tensor
    total_correlation: Tensor
    dimension_wise_kl: Tensor


def stratified_weights(batch: int, n_data: int) -> Tensor:
    """W_ij with E[Σ_j W_ij q(z_i|x_j)] = q(z_i), the aggregate posterior over all the data.

    Image i is certain to be in its own batch, so it counts 1/N; the M = batch − 1 others stand for
    the N − 1 that remain and count (N − 1) / (N M) each. (Chen et al. give one of the others
    (N − M) / (N M) and the rest 1/M: the average over which one is what stands here, so the result
    does not depend on the order of the batch and is exact when the batch is the whole data.)

    Returns:
        Shape `(batch, batch)`; each row sums to 1.

    Raises:
        ValueError: fewer than two images in the batch, or fewer in the data than in the batch.

    Source: Chen et al. (2018), appendix C, minibatch stratified sampling.
    """
    if not 2 <= batch <= n_data:
        raise ValueError(
            f"a batch of {batch} from n_data = {n_data} images: the aggregate posterior needs at "
            "least two images in the batch, and no fewer in the data"
        )
    others = (n_data - 1) / (n_data * (batch - 1))
    return torch.full((batch, batch), others, dtype=torch.float64).fill_diagonal_(1 / n_data)


def minibatch_weights(batch: int, n_data: int) -> Tensor:
    """1 / (N M) for each of the M images: simpler than stratified weights, and biased.

    Image i itself, whose posterior is the largest at z_i, counts as much as any other, where it
    should count 1/N of a whole of 1. And the rows sum to 1/N: against weights of sum 1 that adds
    the constants log N to the mutual information, (latents − 1) log N to the total correlation and
    −latents log N to the KL of the single latents.
    Constants have no gradient, but the terms are not to be read as what they are named.

    Returns:
        Shape `(batch, batch)`.

    Raises:
        ValueError: fewer images in the data than in the batch, or none.

    Source: Chen et al. (2018), equation 3, minibatch-weighted sampling.
    """
    if not 1 <= batch <= n_data:
        raise ValueError(f"a batch of {batch} from n_data = {n_data} images")
    return torch.full((batch, batch), 1 / (n_data * batch), dtype=torch.float64)


def tc_decomposition(
    z: Tensor, mean: Tensor, log_var: Tensor, weights: Tensor, prior: Distribution | None = None
) -> TCTerms:
    """E_x KL(q(z|x) ‖ p(z)) = I(x; z) + KL(q(z) ‖ Π_d q(z_d)) + Σ_d KL(q(z_d) ‖ p(z_d)).

    Args:
        z: one sample of each q(z|x), shape `(batch, latent)`.
        mean: μ of q(z|x), the same shape.
        log_var: log σ² of q(z|x), the same shape.
        weights: how much posterior j counts in q(z_i), `(batch, batch)`: from
            `stratified_weights` or `minibatch_weights`.
        prior: p(z), with a factor for each latent; N(0, I) when left out.

    Returns:
        Three terms of shape `(batch,)`, nats per image.

    Source: Chen et al. (2018), equation 2.
    """
    log_weights = weights.log().to(z)
    # log q(z_i,d | x_j): a batch of codes against a batch of posteriors, `(batch, batch, latent)`.
    pairs = Normal(mean, torch.exp(0.5 * log_var), validate_args=False).log_prob(z.unsqueeze(1))
    log_qzx = DiagonalGaussian(mean, log_var).log_prob(z)
    log_qz = torch.logsumexp(log_weights + pairs.sum(-1), dim=1)
    log_product = torch.logsumexp(log_weights.unsqueeze(-1) + pairs, dim=1).sum(-1)
    log_pz = log_standard_normal(z) if prior is None else prior.log_prob(z)
    return TCTerms(log_qzx - log_qz, log_qz - log_product, log_product - log_pz)
