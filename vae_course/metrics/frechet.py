"""The Fréchet distance between two sets of images, in the features of a classifier of ours."""

import torch
from torch import Tensor

from vae_course.metrics.classifier import Classifier


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
    (m1, c1), (m2, c2) = (_moments(images, classifier) for images in (real, generated))
    # The eigenvalues of a product of two covariances are real and not negative.
    root = torch.linalg.eigvals(c1 @ c2).real.clamp(min=0).sqrt()
    return float((m1 - m2).square().sum() + c1.trace() + c2.trace() - 2 * root.sum())


def _moments(images: Tensor, classifier: Classifier) -> tuple[Tensor, Tensor]:
    """Mean and covariance of the features, in float64."""
    features = torch.cat([classifier.features(part) for part in images.split(1024)]).double()
    return features.mean(0), features.T.cov()
