"""What goes wrong after the first step, and what a refusal before it leaves behind."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from vae_course.models import VAE
from vae_course.objectives import ELBOLoss
from vae_course.training import DivergenceError, count_steps, fit

X = torch.rand(24, 1, 8, 8, generator=torch.Generator().manual_seed(0)).round()


def small() -> VAE:
    torch.manual_seed(0)
    return VAE((1, 8, 8), 2, widths=(4,))


def train(model: nn.Module | None = None, loss: Any = None, **options: Any) -> Any:
    options = {"epochs": 2, "batch_size": 8} | options
    return fit(model or small(), X, loss or ELBOLoss(), **options)


def nan_gradient(model: VAE, x: Tensor, step: int, generator: torch.Generator) -> Tensor:
    """A finite loss whose gradient is NaN at the last step of each epoch of three."""
    weight = next(model.parameters())
    inside = (weight - weight.detach()).abs().sum() if step % 3 == 2 else weight.square().sum()
    return ELBOLoss()(model, x, step, generator).loss + torch.sqrt(inside)


def test_a_gradient_that_is_not_finite_is_named_and_not_written(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with pytest.raises(DivergenceError, match=r"step 2 .*weight 'encoder.*a gradient is to blame"):
        train(loss=nan_gradient, checkpoint=path)
    assert not path.exists()


def test_validation_that_is_not_finite_is_named() -> None:
    def loss(model: VAE, x: Tensor, step: int, generator: torch.Generator) -> Tensor:
        fine = ELBOLoss()(model, x, step, generator).loss
        return fine if model.training else fine * math.nan

    with pytest.raises(DivergenceError, match=r"after step 2: the term 'loss' of validation"):
        train(loss=loss, validation=X)


@pytest.mark.parametrize("bad", [math.nan, -1.0, math.inf, "1e-3"])
def test_a_rate_is_looked_at_when_it_is_used(bad: Any) -> None:
    with pytest.raises(ValueError, match="learning rate at step 4 is"):
        train(learning_rate=lambda step: bad if step == 4 else 1e-3)


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.float16])
def test_a_rate_or_a_weight_of_numpy_is_a_number(kind: Any) -> None:
    train(learning_rate=lambda step: kind(1e-3))
    train(learning_rate=kind(1e-3), loss=ELBOLoss(kind(0.5)))


@pytest.mark.parametrize(
    ("first", "later", "message"),
    [(1, 2, "'extra' of the loss is new"), (2, 1, "'extra' of the loss is missing")],
)
@pytest.mark.parametrize("switch", [1, 3], ids=["inside an epoch", "between epochs"])
def test_terms_that_come_and_go_are_named(
    first: int, later: int, message: str, switch: int
) -> None:
    def loss(model: VAE, x: Tensor, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        value = ELBOLoss()(model, x, step, generator).loss
        names = ["loss", "extra"][: first if step < switch else later]
        return dict.fromkeys(names, value)

    with pytest.raises(ValueError, match=message):
        train(loss=loss)


class Weighted(nn.Module):
    """A loss with a weight of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.log_beta = nn.Parameter(torch.zeros(()))

    def forward(self, model: VAE, x: Tensor, step: int, generator: torch.Generator) -> Tensor:
        terms = ELBOLoss()(model, x, step, generator)
        return terms.reconstruction + self.log_beta.exp() * terms.kl


def test_weights_of_a_loss_are_refused_or_stay_what_they_are() -> None:
    loss = Weighted()
    with pytest.raises(ValueError, match=r"'log_beta'.*part of the model.*requires_grad_\(False\)"):
        train(loss=loss)
    train(loss=loss.requires_grad_(False))
    assert loss.log_beta == 0
    model = small()
    model.criterion = Weighted()
    train(model, loss=model.criterion)
    assert model.criterion.log_beta != 0


def test_whole_numbers_of_any_kind_are_taken_and_written(tmp_path: Path) -> None:
    for index, whole in enumerate((np.int64, np.uint8, torch.tensor)):
        path = tmp_path / f"run{index}"
        train(epochs=whole(2), seed=whole(3), batch_size=whole(8), checkpoint=path)
        assert train(epochs=2, seed=3, batch_size=8, checkpoint=path).epochs == 2
    for bad in (2.0, "2", True, torch.tensor(2.5), None):
        with pytest.raises(TypeError, match=r"epochs = .* is not a whole number"):
            train(epochs=bad)


def test_a_data_set_below_the_usual_batch_is_one_batch() -> None:
    assert fit(small(), X, ELBOLoss(), epochs=2).images_seen == 2 * len(X)
    assert count_steps(X, epochs=2) == 2


class Normalized(nn.Module):
    """An encoder with running statistics."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64), nn.Linear(64, 4))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


@pytest.mark.parametrize("training", [True, False])
def test_a_refused_call_leaves_the_model_as_it_was(training: bool) -> None:
    def misshapen(model: VAE, x: Tensor, step: int, generator: torch.Generator) -> Tensor:
        return ELBOLoss()(model, x, step, generator).loss.mean()

    model = small()
    model.encoder = Normalized()
    model.train(training)
    model.likelihood.train(not training)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for refused in ({"loss": misshapen}, {"learning_rate": -1.0}, {"validation": X[:, :, :4]}):
        with pytest.raises(ValueError):
            train(model, **refused)
        assert all(torch.equal(t, before[n]) for n, t in model.state_dict().items()), refused
        assert model.training is training and model.likelihood.training is not training, refused
    train(model)
    assert not torch.equal(model.state_dict()["encoder.layers.1.running_mean"], torch.zeros(64))


def test_two_runs_do_not_write_one_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "run"

    def loss(model: VAE, x: Tensor, step: int, generator: torch.Generator) -> Any:
        if step == 4:
            train(checkpoint=path.with_name("other"), seed=5)
            path.with_name("other").replace(path)
        return ELBOLoss()(model, x, step, generator)

    with pytest.raises(FileExistsError, match="another run has written the checkpoint"):
        train(loss=loss, checkpoint=path)
    assert train(checkpoint=path, seed=5).epochs == 2, "what the other wrote is whole"


def test_a_home_in_a_checkpoints_path_is_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    train(checkpoint="~/run")
    assert (tmp_path / "run").is_file()
