"""A stack of latent layers: z_L → … → z_1 → x, and two ways to infer it."""

from collections.abc import Sequence
from itertools import pairwise
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from vae_course.distributions import (
    DiagonalGaussian,
    diagonal_kl,
    precision_weighted,
)
from vae_course.hierarchical.stacked import Stacked, StackOutput, as_gaussian, repeated
from vae_course.hierarchical.stages import Stages, conv_stages, mlp_stages
from vae_course.models import Model
from vae_course.models.parts import likelihood_part
from vae_course.networks import (
    Activation,
    ImageShape,
    as_image_shape,
    as_size,
    as_sizes,
    check_network,
)

INFERENCES = ("bottom-up", "ladder")
NETWORKS = ("mlp", "conv")


_Gaussians = tuple[DiagonalGaussian, ...]
_Layers = tuple[_Gaussians, _Gaussians, tuple[Tensor, ...]]  # q, prior and z, z_1 first


class HierarchicalVAE(Stacked, Model):
    """p(x, z) = p(x|z_1) p(z_1|z_2) … p(z_{L−1}|z_L) p(z_L), with Gaussian layers.

    Inference goes one of two ways. `"bottom-up"`: q(z|x) = q(z_1|x) q(z_2|z_1) … q(z_L|z_{L−1}),
    each layer from a sample of the one below. `"ladder"`: networks without noise climb from the
    image to the top; then, from the top down, each layer's q(z_l|z_{l+1}, x) is the
    precision-weighted product of what the image says and of the model's own p(z_l|z_{l+1}).

    Codes are flat vectors `(batch, latent)` in both networks; the convolutional one folds them. The
    log-variances that networks give are kept within ±10.

    Args:
        image_shape: `(channels, height, width)`.
        latents: the layers from the image upwards, z_1 first: sizes (mlp) or shapes of maps,
            `(channels, height, width)` (conv).
        widths: for each layer its hidden sizes (mlp), or `(channels, hidden channels)` of its
            residual block (conv).
        network: `"mlp"` or `"conv"`; or `Stages` of your own, and then no widths.
        inference: `"bottom-up"` or `"ladder"`.
        likelihood: a name from `vae_course.likelihoods`, or a module of your own.
        activation: a name from `vae_course.networks.ACTIVATIONS`, for the mlp.

    Raises:
        ValueError: an unknown name, or sizes that do not fit.

    Source: Burda et al. (2016), section 2, for bottom-up; Sønderby et al. (2016), section 2, for
    the ladder.

    Example:
        >>> from vae_course.hierarchical import HierarchicalVAE
        >>> model = HierarchicalVAE((1, 8, 8), (4, 2), widths=((16,), (8,)))
        >>> model(torch.zeros(5, 1, 8, 8)).kl.shape
        torch.Size([5, 2])
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        latents: Sequence[int] | Sequence[Sequence[int]],
        *,
        widths: Sequence[Sequence[int]] = (),
        network: str | Stages = "mlp",
        inference: str = "ladder",
        likelihood: str | nn.Module = "bernoulli",
        activation: Activation = "relu",
    ) -> None:
        """Build the stages and the likelihood."""
        super().__init__()
        _check_names(network, inference, len(latents), len(widths))
        self.image_shape = as_image_shape(image_shape)
        channels, height, width = self.image_shape
        self.inference = inference
        self.likelihood, per_pixel = likelihood_part(likelihood, self.image_shape)
        self.latent_dims = tuple(_latent_size(layer, size) for layer, size in enumerate(latents))
        if isinstance(network, str):
            stages = self._stages(network, latents, widths, activation, per_pixel)
        else:
            stages = network
        self.trunks, self.heads = nn.ModuleList(stages.trunks), nn.ModuleList(stages.heads)
        self.decoder = stages.decoder
        self.conditionals = nn.ModuleList(stages.conditionals)
        if not isinstance(network, str):
            self._check_stages((channels * per_pixel, height, width))

    def _check_stages(self, output_shape: ImageShape) -> None:
        """Look at stages of your own, one after the other, as inference runs them."""
        below: tuple[int, ...] = self.image_shape
        for layer, size in enumerate(self.latent_dims):
            features = check_network(self.trunks[layer], f"trunk {layer + 1}", below, None)
            check_network(self.heads[layer], f"head {layer + 1}", features, (2 * size,))
            below = (size,) if self.inference == "bottom-up" else features
        for layer, (size, above) in enumerate(pairwise(self.latent_dims)):
            name = f"conditional {layer + 1}"
            check_network(self.conditionals[layer], name, (above,), (2 * size,))
        check_network(self.decoder, "the decoder", self.latent_dims[:1], output_shape)

    def _stages(
        self,
        network: str,
        latents: Any,
        widths: Sequence[Sequence[int]],
        activation: Activation,
        per_pixel: int,
    ) -> Stages:
        through = self.inference == "bottom-up"
        options: dict[str, Any] = {"through_codes": through, "parameters_per_pixel": per_pixel}
        if network == "mlp":
            return mlp_stages(self.image_shape, latents, widths, activation=activation, **options)
        return conv_stages(self.image_shape, [tuple(n) for n in latents], widths, **options)

    def prior(self, layer: int, above: Tensor | None = None, count: int = 1) -> DiagonalGaussian:
        """Return p(z_l|z_{l+1}), batch shape `(batch,)`; for the last layer N(0, I).

        Args:
            layer: l, from 1 to L.
            above: z_{l+1}, `(batch, latent)`; nothing for the last layer.
            count: the batch's size where `above` does not say it.
        """
        if above is None:
            zeros = next(self.parameters()).new_zeros(count, self.latent_dims[layer - 1])
            return DiagonalGaussian(zeros, zeros)
        return as_gaussian(self.conditionals[layer - 1](above))

    def _pass(self, x: Tensor, samples: int, generator: torch.Generator | None) -> StackOutput:
        """Infer and decode; what needs no codes is computed once for all samples."""
        go = self._climb_and_descend if self.inference == "ladder" else self._climb
        q, prior, z = go(x, samples, generator)
        return StackOutput(q, prior, z, self._divergences(q, prior, z), self.decode(z[0]))

    def _climb(self, x: Tensor, samples: int, generator: torch.Generator | None) -> _Layers:
        """Bottom-up: q(z_1|x), a sample of it, q(z_2|z_1), a sample of it, …"""
        q = [repeated(as_gaussian(self.heads[0](self.trunks[0](x))), samples)]
        z = [q[0].rsample(generator=generator)]
        for trunk, head in zip(self.trunks[1:], self.heads[1:], strict=True):
            q.append(as_gaussian(head(trunk(z[-1]))))
            z.append(q[-1].rsample(generator=generator))
        prior = [self.prior(layer, above) for layer, above in enumerate(z[1:], start=1)]
        prior.append(self.prior(self.layers, count=len(z[0])))
        return tuple(q), tuple(prior), tuple(z)

    def _climb_and_descend(
        self, x: Tensor, samples: int, generator: torch.Generator | None
    ) -> _Layers:
        """Ladder: up without noise, then down, merged with the prior at each layer but the top."""
        features, evidence = x, []
        for trunk, head in zip(self.trunks, self.heads, strict=True):
            features = trunk(features)
            evidence.append(repeated(as_gaussian(head(features)), samples))
        q = [evidence[-1]]
        z = [q[0].rsample(generator=generator)]
        prior = [self.prior(self.layers, count=len(z[0]))]
        for layer in range(self.layers - 1, 0, -1):
            prior.insert(0, self.prior(layer, z[0]))
            q.insert(0, precision_weighted(evidence[layer - 1], prior[0]))
            z.insert(0, q[0].rsample(generator=generator))
        return tuple(q), tuple(prior), tuple(z)

    def _divergences(self, q: _Gaussians, prior: _Gaussians, z: tuple[Tensor, ...]) -> Tensor:
        """Each layer's share of E_q[log q(z|x) − log p(z)], `(batch, layers)`.

        In closed form where the codes that q and p are conditioned on are drawn before z_l: in the
        ladder everywhere, bottom-up only at the top. Below it, z_{l+1} of p(z_l|z_{l+1}) is drawn
        *from* z_l, and KL(q(z_l|z_{l−1}) ‖ p(z_l|z_{l+1})) at the samples would be another number:
        there it is log q − log p at the sample, whose mean can be negative.
        """
        closed = self.layers - 1 if self.inference == "bottom-up" else 0
        shares = [
            q[i].log_prob(z[i]) - prior[i].log_prob(z[i])
            if i < closed
            else diagonal_kl(q[i], prior[i]).sum(-1)
            for i in range(self.layers)
        ]
        return torch.stack(shares, dim=-1)

    @torch.no_grad()
    def draw(self, n: int, generator: torch.Generator | None = None) -> tuple[Tensor, ...]:
        """Draw n stacks of codes from the prior, top first; z_1 comes first in the tuple."""
        top = self.prior(self.layers, count=n).sample(generator=generator)
        return self.redraw((*[top] * self.layers,), self.layers, generator)

    @torch.no_grad()
    def redraw(
        self, z: Sequence[Any], fixed: int, generator: torch.Generator | None = None
    ) -> tuple[Tensor, ...]:
        """Keep the layers from z_l = z_fixed upwards and draw those below from the prior again.

        Args:
            z: a stack of codes, z_1 first; those below `fixed` are not looked at.
            fixed: the lowest layer that stays, from 1 (nothing is drawn) to L.
            generator: source of the samples.

        Raises:
            ValueError: there is no such layer.
        """
        if not 1 <= fixed <= self.layers:
            raise ValueError(f"fixed = {fixed}, but the layers are 1 to {self.layers}")
        stack: list[Tensor] = list(z[fixed - 1 :])
        for layer in range(fixed - 1, 0, -1):
            stack.insert(0, self.prior(layer, stack[0]).sample(generator=generator))
        return tuple(stack)


def _latent_size(layer: int, size: Any) -> int:
    """How many numbers a layer has, whose size or map's shape is given."""
    if isinstance(size, Sequence):
        return prod(as_sizes(f"latents[{layer}]", size))
    return as_size(f"latents[{layer}]", size)


def _check_names(network: str | Stages, inference: str, latents: int, widths: int) -> None:
    if inference not in INFERENCES:
        raise ValueError(f"unknown inference {inference!r}; choose one of {', '.join(INFERENCES)}")
    if isinstance(network, Stages):
        counts = len(network.trunks), len(network.heads), len(network.conditionals)
        if counts != (latents, latents, latents - 1) or widths:
            raise ValueError(
                f"stages with {counts[0]} trunks, {counts[1]} heads and {counts[2]} conditionals "
                f"for {latents} latent layers, and widths for {widths}: a layer has a trunk and a "
                "head, each but the last a conditional, and your own stages need no widths"
            )
        return
    if network not in NETWORKS:
        raise ValueError(
            f"unknown network {network!r}; choose one of {', '.join(NETWORKS)}, or give Stages"
        )
    if latents != widths or not latents:
        raise ValueError(
            f"{latents} latent layers and widths for {widths}: each layer has its own, and there "
            "is at least one"
        )
