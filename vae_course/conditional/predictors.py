"""Networks that predict without a latent variable: a label of an image, an image of another."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.distributions import Categorical, Distribution

from vae_course.likelihoods import likelihood as make_likelihood
from vae_course.models.shapes import check_images
from vae_course.networks import ImageShape, MLPEncoder


class LabelPredictor(nn.Module):
    """p(y|x) for a label y: fully connected layers and a softmax.

    Args:
        image_shape: `(channels, height, width)`.
        classes: how many labels there are.
        widths: hidden sizes.
        activation: a name from `vae_course.networks.ACTIVATIONS`.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        *,
        classes: int,
        widths: Sequence[int] = (512, 256),
        activation: str = "relu",
    ) -> None:
        """Build the layers."""
        super().__init__()
        channels, height, width = image_shape
        self.image_shape: ImageShape = (channels, height, width)
        self.network = MLPEncoder(self.image_shape, widths, classes, activation)
        self.config = {
            "image_shape": list(self.image_shape),
            "classes": classes,
            "widths": list(widths),
            "activation": activation,
        }

    def forward(self, x: Tensor) -> Categorical:
        """Return p(y|x) for images `(batch, channels, height, width)`; batch shape `(batch,)`."""
        check_images(x, self.image_shape)
        return Categorical(logits=self.network(x).float(), validate_args=False)


class ImagePredictor(nn.Module):
    """p(x|y) for an image x given an image y, every pixel by itself: regression, no latents.

    Its layers are those of a `ConditionalVAE`'s decoder without z.

    Args:
        image_shape: `(channels, height, width)` of x.
        condition: the same of y.
        widths: hidden sizes, from the image x inwards, as for `ConditionalVAE`: used in reverse.
        likelihood: a name from `vae_course.likelihoods`.
        activation: a name from `vae_course.networks.ACTIVATIONS`.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        *,
        condition: Sequence[int],
        widths: Sequence[int] = (512, 256),
        likelihood: str = "bernoulli",
        activation: str = "relu",
    ) -> None:
        """Build layers and likelihood."""
        super().__init__()
        channels, height, width = image_shape
        self.condition: ImageShape = (condition[0], condition[1], condition[2])
        self.likelihood = make_likelihood(likelihood)
        per_pixel = int(self.likelihood.parameters_per_pixel)
        self.output_shape = (channels * per_pixel, height, width)
        outputs = channels * per_pixel * height * width
        self.network = MLPEncoder(self.condition, list(reversed(widths)), outputs, activation)
        self.config = {
            "image_shape": list(image_shape),
            "condition": list(condition),
            "widths": list(widths),
            "likelihood": likelihood,
            "activation": activation,
        }

    def forward(self, y: Tensor) -> Distribution:
        """Return p(x|y) for conditions `(batch, channels, height, width)`."""
        check_images(y, self.condition)
        return self.likelihood(self.network(y).unflatten(-1, self.output_shape))  # type: ignore[no-any-return]
