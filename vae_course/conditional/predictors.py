"""Networks that predict without a latent variable: a label of an image, an image of another."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.distributions import Categorical, Distribution

from vae_course.distributions import full_precision
from vae_course.models import Model
from vae_course.models.parts import likelihood_part
from vae_course.models.shapes import as_image_shape, check_images
from vae_course.networks import Activation, ImageShape, MLPEncoder


class LabelPredictor(Model):
    """p(y|x) for a label y: fully connected layers and a softmax.

    Args:
        image_shape: `(channels, height, width)`.
        classes: how many labels there are.
        widths: hidden sizes.
        activation: a name from `vae_course.networks.ACTIVATIONS`, or what makes a module.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        *,
        classes: int,
        widths: Sequence[int] = (512, 256),
        activation: Activation = "relu",
    ) -> None:
        """Build the layers."""
        super().__init__()
        self.image_shape = as_image_shape(image_shape)
        self.network = MLPEncoder(self.image_shape, widths, classes, activation)

    def forward(self, x: Tensor) -> Categorical:
        """Return p(y|x) for images `(batch, channels, height, width)`; batch shape `(batch,)`."""
        check_images(x, self.image_shape, self.network)
        return Categorical(logits=full_precision(self.network(x)), validate_args=False)


class ImagePredictor(Model):
    """p(x|y) for an image x given an image y, every pixel by itself: regression, no latents.

    Its layers are those of a `ConditionalVAE`'s decoder without z.

    Args:
        image_shape: `(channels, height, width)` of x.
        condition: the same of y.
        widths: hidden sizes, from the image x inwards, as for `ConditionalVAE`: used in reverse.
        likelihood: a name from `vae_course.likelihoods`, or a module of your own.
        activation: a name from `vae_course.networks.ACTIVATIONS`, or what makes a module.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        *,
        condition: Sequence[int],
        widths: Sequence[int] = (512, 256),
        likelihood: str | nn.Module = "bernoulli",
        activation: Activation = "relu",
    ) -> None:
        """Build layers and likelihood."""
        super().__init__()
        channels, height, width = image_shape
        self.condition: ImageShape = (condition[0], condition[1], condition[2])
        self.likelihood, per_pixel = likelihood_part(likelihood)
        self.output_shape = (channels * per_pixel, height, width)
        outputs = channels * per_pixel * height * width
        self.network = MLPEncoder(self.condition, list(reversed(widths)), outputs, activation)

    def forward(self, y: Tensor) -> Distribution:
        """Return p(x|y) for conditions `(batch, channels, height, width)`."""
        check_images(y, self.condition, self.network)
        p: Distribution = self.likelihood(self.network(y).unflatten(-1, self.output_shape))
        return p
