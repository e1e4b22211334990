"""The picture of the matrix behind MIG."""

import pytest
import torch

from vae_course.disentangling import draw_information
from vae_course.figures import one_axes


def test_every_share_is_written_where_its_factor_and_latent_meet() -> None:
    share = torch.tensor([[0.25, 0.75, 0.0], [0.5, 0.1, 1.0]])
    with one_axes() as (_, ax):
        draw_information(ax, share, ["scale", "x"])
    written = {text.get_position(): (text.get_text(), text.get_color()) for text in ax.texts}
    assert written[1, 0] == ("0.75", "black")
    assert written[1, 1] == ("0.10", "white")
    assert len(written) == 6
    assert [label.get_text() for label in ax.get_yticklabels()] == ["scale", "x"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["z1", "z2", "z3"]


def test_each_row_has_a_name() -> None:
    with one_axes() as (_, ax), pytest.raises(ValueError, match="1 names of factors for 2 rows"):
        draw_information(ax, torch.zeros(2, 3), ["scale"])
