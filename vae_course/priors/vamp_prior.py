"""The VampPrior: a mixture of the encoder's own posteriors, at inputs that are learned."""

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vae_course.distributions import DiagonalGaussian
from vae_course.models import VAE, Model
from vae_course.priors.mixtures import LatentMixture


class VampPriorVAE(Model):
    """A VAE whose prior is p(z) = (1/K) Σ_k q(z|u_k), with learned pseudo-inputs u_k.

    The u_k are images; as weights they are held by their logits, so that they stay in (0, 1). The
    prior moves with the encoder, and it has no closed-form KL: train it by `SampledELBOLoss`.

    Args:
        vae: its encoder and decoder are used, and trained with the pseudo-inputs.
        pseudo_inputs: where the u_k start, images in [0, 1], `(K, channels, height, width)`.

    Raises:
        ValueError: the pseudo-inputs do not have the shape of the VAE's images.

    Source: Tomczak & Welling (2018), section 3; the authors keep the u_k in [0, 1] by a hard tanh.
    """

    def __init__(self, vae: VAE, pseudo_inputs: Tensor) -> None:
        """Hold the VAE and the logits of the pseudo-inputs."""
        super().__init__()
        if tuple(pseudo_inputs.shape[1:]) != vae.image_shape:
            raise ValueError(
                f"pseudo-inputs have shape {tuple(pseudo_inputs.shape)} but this model's images "
                f"are {vae.image_shape}"
            )
        self.vae = vae
        self.latent_dim = vae.latent_dim
        self.pseudo_logits = nn.Parameter(torch.logit(pseudo_inputs.clamp(0.02, 0.98)))

    @property
    def pseudo_inputs(self) -> Tensor:
        """The u_k, images in (0, 1), `(K, channels, height, width)`."""
        return torch.sigmoid(self.pseudo_logits)

    def prior(self) -> LatentMixture:
        """Return p(z) = (1/K) Σ_k q(z|u_k), event `(latent,)`."""
        posteriors = self.encode(self.pseudo_inputs)  # K Gaussians
        return LatentMixture(posteriors.mean.new_ones(len(self.pseudo_logits)), posteriors)

    def encode(self, x: Tensor) -> DiagonalGaussian:
        """Return q(z|x) for images `(batch, channels, height, width)`."""
        return self.vae.encode(x)

    def decode(self, z: Tensor) -> Distribution:
        """Return p(x|z) for codes `(..., latent)`."""
        return self.vae.decode(z)
