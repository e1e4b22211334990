"""The conditional VAE: q(z|x, y), p(x|z, y) and p(z|y), where y is a label or another image."""

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vae_course.conditional.networks import Condition, ConditionedMLP
from vae_course.conditional.predictors import LabelPredictor
from vae_course.distributions import DiagonalGaussian, full_precision
from vae_course.models import Model
from vae_course.models.parts import likelihood_part
from vae_course.models.shapes import as_image_shape, check_images
from vae_course.networks import Activation, MLPEncoder, check_network

PRIORS = ("learned", "standard")


class ConditionalVAE(Model):
    """A VAE in which every distribution may depend on a condition y.

    With zero weights on the condition, and the standard prior, it is the plain VAE.

    Args:
        image_shape: `(channels, height, width)` of x.
        latent_dim: size of z.
        condition: how many classes, if y is a label; or the shape of an image, if y is one.
        widths: hidden sizes of the fully connected networks, from the image inwards.
        network: `(encoder, decoder)`, modules of your own, called with flat images and conditions,
            `(batch, pixels)` => `(batch, 2 · latent)`, and with codes and conditions, `(batch,
            latent)` => `(batch, outputs)`; without them, a `ConditionedMLP` each.
        likelihood: a name from `vae_course.likelihoods`, or a module of your own.
        activation: a name from `vae_course.networks.ACTIVATIONS`, or what makes a module.
        prior: `"learned"`: p(z|y) = N(m(y), diag s²(y)); `"standard"`: N(0, I) for every y.

    Raises:
        ValueError: no hidden layer, or an unknown prior, likelihood or activation.

    Source: Sohn et al. (2015), section 4; Kingma et al. (2014), section 2.1, for labels.

    Example:
        >>> from vae_course.conditional import ConditionalVAE
        >>> from vae_course.models import sample_images
        >>> model = ConditionalVAE((1, 8, 8), latent_dim=2, condition=10, widths=(4,))
        >>> sample_images(model.given(7), 5).shape
        torch.Size([5, 1, 8, 8])
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        latent_dim: int,
        *,
        condition: Condition,
        widths: Sequence[int] = (512, 256),
        network: tuple[nn.Module, nn.Module] | None = None,
        likelihood: str | nn.Module = "bernoulli",
        activation: Activation = "relu",
        prior: str = "learned",
    ) -> None:
        """Build encoder, decoder, prior and likelihood."""
        super().__init__()
        if prior not in PRIORS:
            raise ValueError(f"unknown prior {prior!r}; choose one of {', '.join(PRIORS)}")
        self.image_shape = as_image_shape(image_shape)
        channels, height, width = self.image_shape
        self.latent_dim = latent_dim
        self.condition = condition if isinstance(condition, int) else tuple(condition)
        self.likelihood, per_pixel = likelihood_part(likelihood)
        self.output_shape = (channels * per_pixel, height, width)
        inwards, outwards = list(widths), list(reversed(widths))
        pixels, outputs = prod(self.image_shape), prod(self.output_shape)
        if network is not None:
            self.encoder, self.decoder = network
            y = _blank(self.condition)
            check_network(self.encoder, "the encoder", (pixels,), (2 * latent_dim,), y)
            check_network(self.decoder, "the decoder", (latent_dim,), (outputs,), y)
        else:
            sizes = (self.condition, inwards, 2 * latent_dim, activation)
            self.encoder = ConditionedMLP(pixels, *sizes)
            self.decoder = ConditionedMLP(latent_dim, self.condition, outwards, outputs, activation)
        self.prior_network = None
        if prior == "learned":
            self.prior_network = _prior_network(self.condition, inwards, 2 * latent_dim, activation)

    def prior(self, y: Tensor) -> DiagonalGaussian:
        """Return p(z|y), one for each condition, event `(latent,)`."""
        self.check_condition(y)
        if self.prior_network is None:
            leading = y.shape if isinstance(self.condition, int) else y.shape[:1]
            mean = torch.zeros(*leading, self.latent_dim, device=y.device)
            return DiagonalGaussian(mean, mean)
        mean, log_var = full_precision(self.prior_network(y)).chunk(2, dim=-1)
        return DiagonalGaussian(mean, log_var)

    def encode(self, x: Tensor, y: Tensor) -> DiagonalGaussian:
        """Return q(z|x, y) for images `(batch, channels, height, width)`.

        Args:
            x: the images.
            y: one condition each; or any labels that broadcast against `(batch,)`: those of shape
                `(classes, 1)` give q for every class and image, batch shape `(classes, batch)`.

        Raises:
            ValueError: the images or the conditions are not what the model takes.
        """
        check_images(x, self.image_shape, self.encoder)
        self.check_condition(y)
        mean, log_var = full_precision(self.encoder(x.flatten(1), y)).chunk(2, dim=-1)
        return DiagonalGaussian(mean, log_var)

    def decode(self, z: Tensor, y: Tensor) -> Distribution:
        """Return p(x|z, y) for codes `(..., latent)` and conditions that broadcast with them."""
        if z.shape[-1] != self.latent_dim:
            raise ValueError(
                f"codes have shape {tuple(z.shape)} but this model's latent size is "
                f"{self.latent_dim}"
            )
        self.check_condition(y)
        outputs = self.decoder(z, y)
        p: Distribution = self.likelihood(outputs.unflatten(-1, self.output_shape))
        return p

    def given(self, y: Tensor | int) -> "Given":
        """Return the model of x under one condition: a single label, or one for each image."""
        return Given(self, y)

    def check_condition(self, y: Tensor) -> None:
        """Raise `ValueError` for what is no label, or no image of the condition's shape.

        The labels' values are looked at on the CPU alone: elsewhere the look would wait for the
        device, and `fit` looks at all labels before it moves them there.
        """
        if isinstance(self.condition, int):
            if y.is_floating_point():
                raise ValueError(f"labels are whole numbers, not {y.dtype}")
            if y.device.type == "cpu" and ((y < 0) | (y >= self.condition)).any():
                raise ValueError(
                    f"labels range from {int(y.min())} to {int(y.max())} and this model knows the "
                    f"classes 0 to {self.condition - 1}: number them from 0, or build it for more"
                )
        elif y.dim() != 4 or tuple(y.shape[1:]) != self.condition:
            raise ValueError(
                f"the condition has shape {tuple(y.shape)} but this model takes (batch, "
                f"{', '.join(map(str, self.condition))})"
            )


def _blank(condition: Condition) -> Tensor:
    """Two conditions: zeros."""
    if isinstance(condition, int):
        return torch.zeros(2, dtype=torch.int64)
    return torch.zeros(2, *condition)


def _prior_network(
    condition: Condition, widths: Sequence[int], outputs: int, activation: Activation
) -> nn.Module:
    """Condition => (m, log s²) of p(z|y); it starts as N(0, I) for every y."""
    if isinstance(condition, int):
        table = nn.Embedding(condition, outputs)
        nn.init.zeros_(table.weight)
        return table
    channels, height, width = condition
    network = MLPEncoder((channels, height, width), widths, outputs, activation)
    last = network.layers[-1]
    for parameter in last.parameters():
        nn.init.zeros_(parameter)
    return network


class Given:
    """A conditional model under one condition: `prior()`, `encode(x)` and `decode(z)`.

    With it everything that is written for a VAE works for p(x|y): `log_weights`, `log_marginal`,
    `sample_images`, `ELBOLoss`, `estimate_elbo`.

    Args:
        model: the conditional VAE.
        y: a single label, for images and codes of any number; or a condition for each image.
    """

    def __init__(self, model: ConditionalVAE, y: Tensor | int) -> None:
        """Hold the model and the condition, on the model's device."""
        device = next(model.parameters()).device
        self.model = model
        self.latent_dim = model.latent_dim
        self.y = torch.as_tensor(y, device=device)

    def prior(self) -> DiagonalGaussian:
        """Return p(z|y)."""
        return self.model.prior(self.y)

    def encode(self, x: Tensor) -> DiagonalGaussian:
        """Return q(z|x, y).

        Raises:
            ValueError: there are several conditions, but not one for each image.
        """
        count = len(self.y) if self.y.dim() else 1
        if count not in (1, len(x)):
            raise ValueError(f"{len(x)} images but {count} conditions: give one for each image")
        return self.model.encode(x, self.y)

    def decode(self, z: Tensor) -> Distribution:
        """Return p(x|z, y) for codes `(..., latent)`."""
        return self.model.decode(z, self.y)


class SemiSupervisedVAE(Model):
    """Kingma's M2: a conditional VAE over labels with a classifier q(y|x), for labels half known.

    p(x, y, z) = p(y) p(z) p(x|z, y) with p(y) uniform; q(y, z|x) = q(y|x) q(z|x, y).

    Args:
        image_shape: `(channels, height, width)`.
        latent_dim: size of z.
        classes: how many.
        widths: hidden sizes of the VAE's networks and of the classifier.
        likelihood: a name from `vae_course.likelihoods`, or a module of your own.
        activation: a name from `vae_course.networks.ACTIVATIONS`, or what makes a module.

    Source: Kingma et al. (2014), section 2.1, "M2".
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        latent_dim: int,
        *,
        classes: int,
        widths: Sequence[int] = (512, 256),
        likelihood: str | nn.Module = "bernoulli",
        activation: Activation = "relu",
    ) -> None:
        """Build the conditional VAE, then the classifier."""
        super().__init__()
        self.classes = classes
        self.vae = ConditionalVAE(
            image_shape,
            latent_dim,
            condition=classes,
            widths=widths,
            likelihood=likelihood,
            activation=activation,
            prior="standard",
        )
        self.classifier = LabelPredictor(
            image_shape, classes=classes, widths=widths, activation=activation
        )

    def classify(self, x: Tensor) -> torch.distributions.Categorical:
        """Return q(y|x), batch shape `(batch,)`."""
        p: torch.distributions.Categorical = self.classifier(x)
        return p

    def prior(self, y: Tensor) -> DiagonalGaussian:
        """Return p(z|y), which is N(0, I)."""
        return self.vae.prior(y)

    def encode(self, x: Tensor, y: Tensor) -> DiagonalGaussian:
        """Return q(z|x, y)."""
        return self.vae.encode(x, y)

    def decode(self, z: Tensor, y: Tensor) -> Distribution:
        """Return p(x|z, y)."""
        return self.vae.decode(z, y)

    def given(self, y: Tensor | int) -> Given:
        """Return the model of x under one label."""
        return self.vae.given(y)
