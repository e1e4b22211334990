"""The Fréchet distance between two sets of images, in the features of a classifier of ours."""

import torch
from torch import Tensor
from torchmetrics.image.fid import FrechetInceptionDistance

from vae_course.metrics.classifier import Classifier


class _Features(torch.nn.Module):
    """Only the features of a classifier, as torchmetrics asks for them."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.features = classifier.features
        self.num_features = classifier.num_features

    def forward(self, images: Tensor) -> Tensor:
        return self.features(images)  # type: ignore[no-any-return]


@torch.no_grad()
def frechet_distance(real: Tensor, generated: Tensor, classifier: Classifier) -> float:
    """‖m₁ − m₂‖² + tr(C₁ + C₂ − 2 (C₁ C₂)^½) of the features' means and covariances.

    It is the FID's formula with the features of a small classifier of the same data instead of
    Inception's, so its values compare with each other and not with published FIDs.

    Args:
        real: images in [0, 1], `(N, C, H, W)`.
        generated: images in [0, 1], `(M, C, H, W)`.
        classifier: whose 64 features are used.

    Raises:
        ValueError: fewer images than features on either side: a covariance would be singular.

    Source: Heusel et al. (2017), equation 6; Dowson & Landau (1982).
    """
    for name, images in (("real", real), ("generated", generated)):
        if len(images) <= classifier.num_features:
            raise ValueError(
                f"{len(images)} {name} images: more than {classifier.num_features}, the number of "
                "features, are needed for a covariance"
            )
    metric = FrechetInceptionDistance(feature=_Features(classifier).eval(), normalize=True)
    metric.to(real.device)
    for part in real.split(1024):
        metric.update(part, real=True)
    for part in generated.split(1024):
        metric.update(part, real=False)
    return float(metric.compute())
