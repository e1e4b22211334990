"""Posteriors in the plane."""

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import EllipseCollection
from torch import Tensor


def add_ellipses(ax: Axes, means: Tensor, sigmas: Tensor, labels: Tensor) -> None:
    """Draw an ellipse of one standard deviation around each 2-D mean, colored by label.

    Args:
        ax: axes in data coordinates; its limits grow to hold the ellipses.
        means: centers, `(N, 2)`.
        sigmas: standard deviations along the axes, `(N, 2)`.
        labels: numbers of the classes, `(N,)`; the colors are those of `code_cloud`.
    """
    center, half = means.detach().cpu().numpy(), sigmas.detach().cpu().numpy()
    colors = colormaps["tab10"](labels.cpu().numpy())
    ellipses = EllipseCollection(
        2 * half[:, 0],
        2 * half[:, 1],
        [0.0] * len(center),
        units="xy",
        offsets=center,
        offset_transform=ax.transData,
        facecolors=[(*color[:3], 0.15) for color in colors],
        edgecolors=colors,
        linewidths=0.8,
    )
    ax.add_collection(ellipses)
    ax.update_datalim(center - half)
    ax.update_datalim(center + half)
    ax.autoscale_view()
