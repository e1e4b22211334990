"""Another prior for a trained model: fitted to its codes when the training is over."""

import torch
from torch import Tensor
from torch.distributions import Distribution, MultivariateNormal

from vae_course.distributions import DiagonalGaussian
from vae_course.models import VAE
from vae_course.priors.mixtures import LatentMixture


class WithPrior:
    """A trained model seen with another prior; encoder and decoder stay the model's own.

    Args:
        model: anything with `encode` and `decode`.
        prior: any distribution over codes, event `(latent,)`.
    """

    def __init__(self, model: VAE, prior: Distribution) -> None:
        """Hold the model and its new prior."""
        self.model = model
        self.latent_dim = model.latent_dim
        self._prior = prior

    def prior(self) -> Distribution:
        """Return the new p(z)."""
        return self._prior

    def encode(self, x: Tensor) -> DiagonalGaussian:
        """Return the model's q(z|x)."""
        return self.model.encode(x)

    def decode(self, z: Tensor) -> Distribution:
        """Return the model's p(x|z)."""
        return self.model.decode(z)


def with_prior(model: VAE, prior: Distribution) -> WithPrior:
    """Return p(x|z) and q(z|x) of a model with another p(z); nothing is copied or trained."""
    return WithPrior(model, prior)


def fit_mixture(codes: Tensor, components: int, *, seed: int = 0) -> LatentMixture:
    """Fit Σ_k π_k N(m_k, S_k) with full covariances to codes, by expectation maximization.

    Args:
        codes: samples of the aggregate posterior, `(N, latent)`.
        components: how many Gaussians.
        seed: of the start (k-means).

    Returns:
        The mixture, on the codes' device and in their type.

    Raises:
        ValueError: fewer codes than components.

    Source: Ghosh et al. (2020), section 4: ex-post density estimation.
    """
    from sklearn.mixture import GaussianMixture  # here, because it takes seconds to import

    estimate = GaussianMixture(components, reg_covar=1e-4, random_state=seed, tol=1e-2)
    estimate.fit(codes.detach().double().cpu().numpy())
    weights, means, covariances = (
        torch.as_tensor(array).to(codes)
        for array in (estimate.weights_, estimate.means_, estimate.covariances_)
    )
    gaussians = MultivariateNormal(means, covariances, validate_args=False)
    return LatentMixture(weights, gaussians)
