"""A small classifier: an independent judge of images, and the features of a Fréchet distance."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vae_course import storage
from vae_course.models import Model
from vae_course.training import History, fit


class Classifier(Model):
    """Convolutions to 64 features, then one linear layer to the classes; 235,000 weights.

    Args:
        image_shape: `(channels, height, width)`, height and width divisible by 4.
        classes: number of classes.
    """

    num_features = 64

    def __init__(self, image_shape: tuple[int, int, int], classes: int) -> None:
        """Build the layers."""
        super().__init__()
        channels, height, width = image_shape
        self.image_shape = image_shape
        self.features = nn.Sequential(
            nn.PixelUnshuffle(2),  # 1 × 28×28 => 4 × 14×14
            nn.Conv2d(4 * channels, 32, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 64, 4, stride=2, padding=1),  # => 64 × 7×7
            nn.ReLU(),
            nn.Flatten(),
            nn.Dropout(0.3),
            nn.Linear(64 * (height // 4) * (width // 4), self.num_features),
            nn.ReLU(),
        )
        self.head = nn.Linear(self.num_features, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits `(batch, classes)` of images in [0, 1]."""
        out: Tensor = self.head(self.features(x))
        return out

    @torch.no_grad()
    def probabilities(self, x: Tensor, batch: int = 1024) -> Tensor:
        """Return p(class|x), `(N, classes)`, for any number of images."""
        return torch.cat([self(part).softmax(-1) for part in x.split(batch)])


@dataclass(frozen=True, eq=False)
class _CrossEntropy:
    """−log p(label|x): the objective sees indices, and looks images and labels up itself."""

    images: Tensor
    labels: Tensor

    def __call__(
        self, model: nn.Module, x: Tensor, step: int, generator: torch.Generator | None = None
    ) -> Tensor:
        logits = model(self.images[x])
        return F.cross_entropy(logits, self.labels[x], reduction="none", label_smoothing=0.05)

    def __repr__(self) -> str:
        return "cross-entropy"


def train_classifier(
    model: Classifier, images: Tensor, labels: Tensor, *, epochs: int, seed: int = 0
) -> History:
    """Train by cross-entropy on images in [0, 1] `(N, C, H, W)` and labels `(N,)`."""
    objective = _CrossEntropy(images, labels)
    return fit(
        model, torch.arange(len(images)), objective, epochs=epochs, batch_size=256, seed=seed
    )


@cache
def fashion_classifier() -> Classifier:
    """Return the judge of Fashion-MNIST that ships with the package, in evaluation mode.

    It was trained by `scripts/train_classifier.py` on the whole training split, on gray images;
    every chapter uses the same weights, so Fréchet distances compare across chapters.
    """
    resource = files("vae_course.metrics") / "fashion-mnist-classifier.safetensors"
    with as_file(resource) as path:
        tensors, _ = storage.read(path)
    model = Classifier((1, 28, 28), 10)
    model.load_state_dict(tensors)
    return model.eval()
