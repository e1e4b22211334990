"""What a stranger meets at the door: one sentence with the thing, its value and the way out."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from PIL import Image
from torch import nn
from torchvision.datasets import ImageFolder

from vae_course.conditional import ConditionalELBOLoss, ConditionalVAE
from vae_course.data import Labeled, to_unit
from vae_course.discrete import VQVAE
from vae_course.hierarchical import HierarchicalVAE
from vae_course.likelihoods import BernoulliLikelihood, GaussianLikelihood
from vae_course.models import VAE, Autoencoder
from vae_course.objectives import ELBOLoss
from vae_course.training import fit

SHAPE = (1, 8, 8)
X = torch.rand(24, *SHAPE, generator=torch.Generator().manual_seed(0)).round()


def vae(**options: Any) -> VAE:
    return VAE(SHAPE, 2, **{"widths": (4,), **options})


def train(model: nn.Module | None = None, data: Any = X, loss: Any = None, **options: Any) -> Any:
    return fit(model or vae(), data, loss or ELBOLoss(), **{"epochs": 1, "batch_size": 8} | options)


def train_labeled(low: int, high: int) -> Any:
    model = ConditionalVAE(SHAPE, 2, condition=3, widths=(4,))
    labels = torch.zeros(24, dtype=torch.int64)
    labels[-1], labels[-2] = low, high  # in the last batch
    return train(model, Labeled(X, labels), ConditionalELBOLoss())


REFUSED: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "labels above": (lambda: train_labeled(0, 3), ValueError, r"labels of data.*0 to 3.*0 to 2"),
    "labels below": (lambda: train_labeled(-1, 2), ValueError, r"-1 to 2.*number them from 0"),
    "a likelihood's class": (
        lambda: vae(likelihood=BernoulliLikelihood), TypeError, r"make one, BernoulliLikelihood\(\)"
    ),
    "an image's side": (lambda: VAE(64, 2), ValueError, r"image_shape = 64 is not \(channels"),
    "no channels": (lambda: Autoencoder((8, 8), 2), ValueError, r"image_shape = \(8, 8\)"),
    "an empty image": (lambda: VAE((1, 0, 8), 2), ValueError, r"\(1, 0, 8\).*positive"),
    "a code's shape": (lambda: VQVAE((8, 8)), ValueError, r"image_shape = \(8, 8\)"),
    "a stack's shape": (
        lambda: HierarchicalVAE((8, 8), (2,), widths=((4,),)), ValueError, r"image_shape"
    ),
    "no units": (lambda: vae(widths=(0,)), ValueError, r"layers of \[64, 0, 4\] units"),
    "no channels of a map": (
        lambda: vae(network="conv", widths=(0,)), ValueError, r"layers of \[1, 8, 8, 0\] units"
    ),
    "no latents": (lambda: VAE(SHAPE, 0), ValueError, r"units: .*latents.*at least 1"),
    "fewer than no latents": (lambda: VAE(SHAPE, -2), ValueError, r"at least 1"),
    "half a latent": (lambda: VAE(SHAPE, 2.5), ValueError, r"whole numbers"),
    "one width": (lambda: vae(widths=4), TypeError, r"give \(4,\) for one layer"),
    "weights in bfloat16": (lambda: train(vae().bfloat16()), ValueError, r"model\.float\(\)"),
    "images in float64": (lambda: vae().encode(X.double()), ValueError, r"\.to\(torch\.float32\)"),
    "codes in float64": (
        lambda: vae().decode(torch.zeros(2, 2).double()), ValueError, r"codes are torch\.float64"
    ),
    "a model in float64": (lambda: vae().double().encode(X), ValueError, r"weights torch\.float64"),
    "channels last": (
        lambda: train(data=X.permute(0, 2, 3, 1)), ValueError, r"x\.permute\(0, 3, 1, 2\)"
    ),
    "color": (lambda: train(data=X.repeat(1, 3, 1, 1)), ValueError, r"for 3 channels"),
    "no channel": (lambda: train(data=X[:, 0]), ValueError, r"x\.unsqueeze\(1\)"),
    "another size": (lambda: train(data=X[..., :4]), ValueError, r"resize or crop"),
    "levels as int64": (
        lambda: train(data=X.long(), transform=to_unit), ValueError, r"\.to\(torch\.uint8\)"
    ),
    "a device's name": (lambda: train(fabric="cuda"), TypeError, r"Fabric\(accelerator='cuda'\)"),
    "a class": (lambda: train(fabric=Fabric), TypeError, r"lightning_fabric\.Fabric"),
    "a folder": (lambda: train(data="pictures"), TypeError, r"'pictures' is a path.*ImageFolder"),
    "a path": (lambda: train(data=Path("pictures")), TypeError, r"ImageFolder\(path, transform\)"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_names_the_thing_and_the_way_out(name: str) -> None:
    call, kind, message = REFUSED[name]
    with pytest.raises(kind, match=message):
        call()


LIKELIHOODS = (
    "bernoulli", "continuous-bernoulli", "gaussian", "shared-gaussian", "discretized-logistic",
    GaussianLikelihood(),
)  # fmt: skip


@pytest.mark.parametrize("likelihood", LIKELIHOODS, ids=str)
@pytest.mark.parametrize("shape", [(5, 8, 8), (8, 8), (5, 1, 8), (5, 3, 8, 8), (5, 64)])
def test_images_of_another_shape_are_not_broadcast(likelihood: Any, shape: tuple[int, ...]) -> None:
    p = vae(likelihood=likelihood).decode(torch.zeros(5, 2))
    with pytest.raises(ValueError, match=r"p\(x\|z\) is over images of shape \(1, 8, 8\)"):
        p.log_prob(torch.zeros(shape))
    assert p.log_prob(torch.zeros(5, *SHAPE)).shape == (5,)
    assert p.log_prob(torch.zeros(SHAPE)).shape == (5,), "one image under every code"
    assert p.expand((3, 5)).log_prob(torch.zeros(5, *SHAPE)).shape == (3, 5)


def test_an_item_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for index in range(3):
        Image.new("L", (8, 8), index).save(tmp_path / "a" / f"{index}.png")
    broken = tmp_path / "a" / "1.png"
    broken.write_bytes(broken.read_bytes()[:-30])
    with pytest.raises(ValueError, match=r"item 1 of data cannot be read \(OSError: .*truncated"):
        train(data=ImageFolder(tmp_path), transform=to_unit)
