"""Where the ELBO loses: the amortization gap, measured by fitting q to each image by itself."""

import torch
from torch import Tensor

from vae_course.distributions import DiagonalGaussian, kl
from vae_course.objectives import LatentVariableModel, check_diagonal, check_observed, elbo


def refine_posterior(
    model: LatentVariableModel,
    x: Tensor,
    *,
    steps: int = 200,
    samples: int = 8,
    learning_rate: float = 0.02,
    generator: torch.Generator | None = None,
) -> DiagonalGaussian:
    """Give every image its own q(z) = N(μ, diag σ²), the ELBO's maximum over μ and log σ².

    Starts at the encoder's q(z|x) and climbs the ELBO by Adam with the decoder held fixed. What
    the ELBO gains is the amortization gap: the price of one encoder for all images.

    Args:
        model: anything with `encode`, `decode` and `prior`; its weights stay as they are.
        x: images, `(batch, ...)`.
        steps: of Adam; its rate decays to zero along half a cosine.
        samples: draws of z for each image and step.
        learning_rate: of the first step.
        generator: source of the samples.

    Returns:
        q with batch shape `(batch,)`.

    Source: Cremer et al. (2018), section 3.
    """
    check_observed(model, x)
    with torch.no_grad():
        start = model.encode(x)
    check_diagonal(refine_posterior, start)
    mean = start.mean.clone().requires_grad_()
    log_var = start.log_var.clone().requires_grad_()
    optimizer = torch.optim.Adam([mean, log_var], lr=learning_rate)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        with torch.enable_grad():
            q = DiagonalGaussian(mean, log_var)
            log_px = model.decode(q.rsample((samples,), generator)).log_prob(x).mean(0)
            loss = -elbo(log_px, kl(q, model.prior())).sum()
        mean.grad, log_var.grad = torch.autograd.grad(loss, [mean, log_var])
        optimizer.step()
        decay.step()
    return DiagonalGaussian(mean.detach(), log_var.detach())
