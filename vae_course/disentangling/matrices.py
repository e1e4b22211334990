"""The matrix behind MIG, as a picture."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from torch import Tensor


def draw_information(ax: Axes, share: Tensor, factors: Sequence[str]) -> None:
    """Draw I(z_j; v_k) / H(v_k), `(K, latent)`, as colors and numbers: factors down, latents right.

    Args:
        ax: where to draw.
        share: from `normalized_information`, from 0 to 1.
        factors: a name for each row.

    Raises:
        ValueError: another number of names than of rows.
    """
    if len(factors) != len(share):
        raise ValueError(f"{len(factors)} names of factors for {len(share)} rows")
    ax.imshow(share.numpy(), vmin=0, vmax=1, cmap="viridis", aspect="auto")
    for k, row in enumerate(share.tolist()):
        for j, value in enumerate(row):
            color = "white" if value < 0.6 else "black"
            ax.text(j, k, f"{value:.2f}", ha="center", va="center", fontsize=7, color=color)
    ax.grid(visible=False)
    ax.set_yticks(range(len(factors)), factors)
    ax.set_xticks(range(share.shape[1]), [f"z{j + 1}" for j in range(share.shape[1])])
