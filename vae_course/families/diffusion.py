"""Denoising diffusion in discrete time: a Markov chain to noise, and a learned chain back."""

import math
from typing import Protocol

import torch
from torch import Tensor, nn

from vae_course.distributions import full_precision
from vae_course.models import Model
from vae_course.networks import MLPEncoder
from vae_course.objectives import check_fits


class NoiseNetwork(Model):
    """ε_θ(x_t, t): which noise is in a noisy point, guessed from the point and the time.

    Args:
        steps: T, the length of the chain.
        width: of the three hidden layers.
    """

    frequencies: Tensor

    def __init__(self, steps: int, width: int = 128) -> None:
        """Build the layers; the time goes in as sines and cosines."""
        super().__init__()
        self.steps = steps
        self.register_buffer("frequencies", math.pi * 2.0 ** torch.arange(5) / 2)
        self.network = MLPEncoder((1, 1, 12), (width, width, width), 2)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """Return the noise, `(batch, 2)`, for points `(batch, 2)` at times `(batch,)` in 1..T."""
        phase = (t / self.steps)[:, None] * self.frequencies  # (batch, 5)
        features = torch.cat([x, torch.sin(phase), torch.cos(phase)], dim=-1)  # (batch, 12)
        out: Tensor = full_precision(self.network(features))
        return out


class Diffusion(Model):
    """q(x_t|x_{t−1}) = N(√(1−β_t) x_{t−1}, β_t I), and a chain p(x_{t−1}|x_t) that undoes it.

    Times run from 1 to T, as in the paper; β rises linearly, by the paper's rule for T = 1000
    scaled to T steps; the way back has p(x_{t−1}|x_t) = N(μ_θ(x_t, t), β_t I).

    Args:
        noise_model: called with (x_t, t); returns the noise it believes is in x_t, like x_t.
        steps: T, at least 60 (β_T = 20 / T has to stay well below 1).

    Raises:
        ValueError: fewer than 60 steps.

    Source: Ho et al. (2020), equations 2 to 11.
    """

    beta: Tensor
    alpha_bar: Tensor

    def __init__(self, noise_model: nn.Module, steps: int) -> None:
        """Hold β_0..β_T and ᾱ_0..ᾱ_T; index 0 is "no noise yet"."""
        super().__init__()
        if steps < 60:
            raise ValueError(f"steps = {steps}: with fewer than 60 the last β = 20 / T is too big")
        self.noise_model = noise_model
        self.steps = steps
        beta = torch.linspace(0.1 / steps, 20 / steps, steps, dtype=torch.float64)
        beta = torch.cat([torch.zeros(1, dtype=torch.float64), beta])
        self.register_buffer("beta", beta.float())
        self.register_buffer("alpha_bar", torch.cumprod(1 - beta, 0).float())

    def noisy(self, x: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """x_t = √ᾱ_t x + √(1 − ᾱ_t) ε: t steps of noise at once (equation 4)."""
        alpha_bar = self.alpha_bar[t, None]
        return alpha_bar.sqrt() * x + (1 - alpha_bar).sqrt() * noise

    def posterior_mean(self, x_t: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """Mean of q(x_{t−1} | x_t, x), where the noise in x_t is given (equation 11)."""
        beta, alpha_bar = self.beta[t, None], self.alpha_bar[t, None]
        return (x_t - beta / (1 - alpha_bar).sqrt() * noise) / (1 - beta).sqrt()

    def posterior_variance(self, t: Tensor) -> Tensor:
        """Variance of q(x_{t−1} | x_t, x), `(batch,)` (equation 7); at t = 1 it is 0."""
        return self.beta[t] * (1 - self.alpha_bar[t - 1]) / (1 - self.alpha_bar[t])

    def _at(self, t: int, count: int) -> Tensor:
        return torch.full((count,), t, device=self.beta.device)

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Start from N(0, I) and take all T steps back: `(n, 2)`, T passes of the network."""
        x = torch.randn(n, 2, generator=generator, dtype=self.beta.dtype, device=generator.device)
        for step in range(self.steps, 0, -1):
            t = self._at(step, n)
            mean = self.posterior_mean(x, t, self.noise_model(x, t))
            noise = torch.randn(x.shape, generator=generator, dtype=x.dtype, device=x.device)
            x = mean + self.beta[step].sqrt() * noise
        return x

    @torch.no_grad()
    def elbo(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """A lower bound on log p(x), one draw of every x_t: `(batch, 2)` => `(batch,)`, in nats.

        E[log p(x|x_1)] − Σ_{t=2}^T E[KL(q(x_{t−1}|x_t, x) ‖ p(x_{t−1}|x_t))]
        − KL(q(x_T|x) ‖ N(0, I)).

        Source: Ho et al. (2020), equation 5.
        """
        left = self.alpha_bar[-1]
        bound = -0.5 * (left * x.square() - left - torch.log(1 - left)).sum(-1)
        for step in range(self.steps, 0, -1):
            t = self._at(step, len(x))
            noise = torch.randn(x.shape, generator=generator, dtype=x.dtype, device=x.device)
            x_t = self.noisy(x, t, noise)
            guess = self.posterior_mean(x_t, t, self.noise_model(x_t, t))
            truth = self.posterior_mean(x_t, t, noise)  # at t = 1 it is x itself
            bound = bound - 0.5 * (truth - guess).square().sum(-1) / self.beta[step]
        ratio = self.posterior_variance(torch.arange(2, self.steps + 1)) / self.beta[2:]
        spread = 0.5 * (ratio - 1 - torch.log(ratio)).sum() + 0.5 * torch.log(
            2 * math.pi * self.beta[1]
        )
        return bound - x.shape[-1] * spread


class NoisyModel(Protocol):
    """A chain to noise, and a network that guesses which noise it was."""

    steps: int
    noise_model: nn.Module

    def noisy(self, x: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """Return x_t."""
        ...


def simple_loss(
    model: NoisyModel, x: Tensor, step: int, generator: torch.Generator | None = None
) -> Tensor:
    """‖ε − ε_θ(x_t, t)‖² at one random time and one random noise for each point: `(batch,)`.

    Source: Ho et al. (2020), equation 14.
    """
    check_fits(simple_loss, model, NoisyModel)
    t = torch.randint(1, model.steps + 1, (len(x),), generator=generator, device=x.device)
    noise = torch.randn(x.shape, generator=generator, dtype=x.dtype, device=x.device)
    guess = model.noise_model(model.noisy(x, t, noise), t)
    squared: Tensor = (noise - guess).square().sum(-1)
    return squared
