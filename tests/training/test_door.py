"""What an outsider can bring to `fit`, and what is refused before the first step."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset
from torchvision.transforms import Compose, Normalize

from vae_course.conditional import ConditionalELBOLoss, ConditionalVAE
from vae_course.data import ImageSet, Labeled, binarize, to_unit
from vae_course.models import VAE
from vae_course.objectives import ELBOLoss
from vae_course.schedules import LinearWarmup
from vae_course.training import DivergenceError, fit

SHAPE = (1, 4, 4)
COUNT = 20
DICE = torch.Generator().manual_seed(0)
BYTES = torch.randint(0, 256, (COUNT, *SHAPE), generator=DICE, dtype=torch.uint8)
UNIT = BYTES / 255
CLASSES = torch.arange(COUNT) % 3


class Items(Dataset[Any]):
    """Any map-style data set: what it gives is made by a function of the index."""

    def __init__(self, item: Callable[[int], Any], count: int = COUNT) -> None:
        self.item, self.count = item, count

    def __getitem__(self, index: int) -> Any:
        return self.item(index)

    def __len__(self) -> int:
        return self.count


class Stream(IterableDataset[Tensor]):
    def __iter__(self) -> Any:
        return iter(UNIT)


def pil(index: int) -> Image.Image:
    return Image.fromarray(BYTES[index, 0].numpy())


def vae(**options: Any) -> VAE:
    torch.manual_seed(0)
    return VAE(SHAPE, 2, **{"widths": (8,), **options})


def own_networks() -> tuple[nn.Module, nn.Module]:
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(16, 4))
    return encoder, nn.Sequential(nn.Linear(2, 16), nn.Unflatten(1, SHAPE))


def conditional() -> ConditionalVAE:
    torch.manual_seed(0)
    return ConditionalVAE(SHAPE, 2, condition=3, widths=(8,))


def train(data: Any, loss: Any = None, *, model: nn.Module | None = None, **options: Any) -> Any:
    fabric = Fabric(accelerator="cpu", devices=1)
    streamed = {} if isinstance(data, DataLoader) else {"batch_size": 5}
    given = {"epochs": 1, "fabric": fabric, **streamed, **options}
    return fit(model or vae(), data, loss or ELBOLoss(), **given)


def error_of(model: VAE, x: Tensor) -> Tensor:
    return (model(x).p.mean - x).square().flatten(1).sum(1)


def as_tensor(model: VAE, x: Tensor, step: int, generator: torch.Generator) -> Tensor:
    return error_of(model, x)


def as_dict(model: VAE, x: Tensor, step: int, generator: torch.Generator) -> dict[str, Tensor]:
    error = error_of(model, x)
    return {"loss": 2 * error, "error": error}


@dataclass(frozen=True)
class Terms:
    loss: Tensor
    error: Tensor


def as_dataclass(model: VAE, x: Tensor, step: int, generator: torch.Generator) -> Terms:
    error = error_of(model, x)
    return Terms(2 * error, error)


def falling(step: int) -> float:
    return 1e-3 / (1 + step)


BROUGHT: dict[str, Callable[[], Any]] = {
    "tensor": lambda: train(UNIT),
    "float64 tensor": lambda: train(UNIT.double()),
    "float64 numpy": lambda: train(UNIT.double().numpy()),
    "big-endian numpy": lambda: train(UNIT.numpy().astype(">f4")),
    "read-only numpy": lambda: train(np.broadcast_to(UNIT.numpy()[:1], UNIT.shape)),
    "bool tensor": lambda: train(UNIT > 0.5),
    "uint8 + binarize": lambda: train(BYTES, transform=binarize),
    "uint8 numpy + binarize": lambda: train(BYTES.numpy(), transform=binarize),
    "uint8 + to_unit": lambda: train(BYTES, transform=to_unit),
    "Compose": lambda: train(
        BYTES, transform=Compose([to_unit, Normalize(0.5, 0.5)]), model=vae(likelihood="gaussian")
    ),
    "built-in function as transform": lambda: train(UNIT, transform=torch.sigmoid),
    "Labeled": lambda: train(Labeled(UNIT, CLASSES), ConditionalELBOLoss(), model=conditional()),
    "Labeled of numpy": lambda: train(
        Labeled(UNIT.numpy(), CLASSES.int().numpy()), ConditionalELBOLoss(), model=conditional()
    ),
    "ImageSet": lambda: train(
        ImageSet(BYTES, CLASSES, "mine", "train", ("a", "b", "c")), transform=binarize
    ),
    "ImageSet with labels": lambda: train(
        ImageSet(BYTES, CLASSES, "mine", "train", ("a", "b", "c")),
        ConditionalELBOLoss(),
        model=conditional(),
        transform=to_unit,
    ),
    "Dataset of tensors": lambda: train(Items(lambda i: UNIT[i])),
    "TensorDataset": lambda: train(TensorDataset(UNIT)),
    "Dataset of (image, label)": lambda: train(Items(lambda i: (UNIT[i], int(CLASSES[i])))),
    "its labels too": lambda: train(
        TensorDataset(UNIT, CLASSES), ConditionalELBOLoss(), model=conditional()
    ),
    "Dataset of PIL": lambda: train(Items(pil), transform=to_unit),
    "Dataset of (PIL, label)": lambda: train(
        Items(lambda i: (pil(i), int(CLASSES[i]))),
        ConditionalELBOLoss(),
        model=conditional(),
        transform=to_unit,
    ),
    "Dataset of color PIL": lambda: train(
        Items(lambda i: pil(i).convert("RGB")),
        transform=to_unit,
        model=VAE((3, 4, 4), 2, widths=(8,)),
    ),
    "list of arrays": lambda: train(list(UNIT.numpy())),
    "DataLoader": lambda: train(DataLoader(TensorDataset(UNIT), 6, shuffle=True)),
    "DataLoader of numpy float64": lambda: train(
        DataLoader(Items(lambda i: UNIT[i].double().numpy()), 6)
    ),
    "DataLoader with workers": lambda: train(
        DataLoader(TensorDataset(BYTES, CLASSES), 6, shuffle=True, num_workers=2),
        ConditionalELBOLoss(),
        model=conditional(),
        transform=to_unit,
    ),
    "DataLoader of a stream": lambda: train(DataLoader(Stream(), 6), learning_rate=falling),
    "DataLoader as validation": lambda: train(UNIT, validation=DataLoader(TensorDataset(UNIT), 6)),
    "Dataset as validation": lambda: train(UNIT, validation=Items(lambda i: UNIT[i], 3)),
    "loss as tensor": lambda: train(UNIT, as_tensor),
    "loss as dict": lambda: train(UNIT, as_dict),
    "loss as dataclass": lambda: train(UNIT, as_dataclass),
    "number as beta": lambda: train(UNIT, ELBOLoss(4.0)),
    "schedule as beta": lambda: train(UNIT, ELBOLoss(LinearWarmup(3))),
    "number as rate": lambda: train(UNIT, learning_rate=1),
    "numpy number as rate": lambda: train(UNIT, learning_rate=np.float32(1e-3)),
    "function as rate": lambda: train(UNIT, learning_rate=falling),
    "own modules": lambda: train(UNIT, model=vae(network=own_networks())),
}


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # a loader's workers
@pytest.mark.parametrize("name", BROUGHT)
def test_what_an_outsider_can_bring(name: str) -> None:
    history = BROUGHT[name]()
    assert history.images_seen == COUNT
    assert len(history.train["loss"]) == 1
    curves = [*history.train.values(), *history.validation.values()]
    assert all(math.isfinite(value) for curve in curves for value in curve)


def test_a_path_may_be_a_str(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "run.safetensors"
    history = train(UNIT, checkpoint=str(path))
    assert path.is_file()
    assert train(UNIT, checkpoint=path) == history


def test_every_kind_of_data_trains_to_the_same_weights() -> None:
    kinds = [UNIT, UNIT.double().numpy(), TensorDataset(UNIT, CLASSES), Items(lambda i: UNIT[i])]
    weights = []
    for data in kinds:
        model = vae()
        train(data, model=model)
        weights.append(nn.utils.parameters_to_vector(model.parameters()))
    assert all(torch.equal(weights[0], other) for other in weights[1:])


def test_a_stream_trains_on_all_its_batches_with_their_own_weights() -> None:
    seen: list[int] = []

    def spy(model: VAE, x: Tensor, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        seen.append(len(x))
        return {"loss": error_of(model, x), "brightness": x.flatten(1).mean(1)}

    history = train(DataLoader(TensorDataset(UNIT), 8), spy)
    assert seen == [8, 8, 4]
    assert history.train["brightness"] == pytest.approx([float(UNIT.mean())])


class Sum(nn.Module):
    """Broadcasts as the classic mistake does."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(16))


def broadcast(model: Sum, x: Labeled, step: int, generator: torch.Generator) -> Tensor:
    return x.images.flatten(1) @ model.weight - x.labels


def scalar(model: VAE, x: Tensor, step: int, generator: torch.Generator) -> Tensor:
    return error_of(model, x).mean()


def unsummed(model: VAE, x: Tensor, step: int, generator: torch.Generator) -> Tensor:
    return (model(x).p.mean - x).square()


def detached(model: VAE, x: Tensor, step: int, generator: torch.Generator) -> Tensor:
    return error_of(model, x).detach()


def nameless(model: VAE, x: Tensor, step: int, generator: torch.Generator) -> Any:
    return {"error": error_of(model, x)}


def without_step(model: VAE, x: Tensor) -> Tensor:
    return error_of(model, x)


def needs_labels(model: VAE, x: Labeled, step: int, generator: torch.Generator) -> Tensor:
    return error_of(model, x.images)


def poisoned(images: Tensor, value: float = math.nan) -> Tensor:
    images = images.clone()
    images[13, 0, 2, 1] = value
    return images


FRAMED = Compose([lambda x: x, Normalize(0.5, 0.5)])
REFUSED: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "labels (N, 1)": (
        lambda: train(
            TensorDataset(UNIT, CLASSES[:, None]), ConditionalELBOLoss(), model=conditional()
        ),
        ValueError,
        r"labels.*\(20, 1\).*labels(\.squeeze\(1\)|\[:, 0\])",
    ),
    "labels (N, 1) of a loader": (
        lambda: train(DataLoader(TensorDataset(UNIT, CLASSES[:, None]), 5), broadcast, model=Sum()),
        ValueError,
        r"labels.*\(5, 1\).*labels(\.squeeze\(1\)|\[:, 0\])",
    ),
    "terms (5, 5)": (
        lambda: train(Labeled(UNIT, CLASSES[:, None] * 1.0), broadcast, model=Sum()),
        ValueError,
        r"the term 'loss' has shape \(5, 5\) for 5 images, not \(5,\).*broadcast.*squeeze",
    ),
    "out of the support": (
        lambda: train(UNIT, transform=FRAMED),
        ValueError,
        r"data, as the model gets it: .*-\d",
    ),
    "validation out of the support": (
        lambda: train(UNIT, validation=UNIT - 1),
        ValueError,
        r"validation, as the model gets it: ",
    ),
    "one pixel out of the support": (
        lambda: train(poisoned(UNIT, 7.0)),
        ValueError,
        r"data, as the model gets it: .*7",
    ),
    "NaN pixel": (lambda: train(poisoned(UNIT)), ValueError, r"image 13 of data.*not finite"),
    "infinite pixel": (
        lambda: train(poisoned(UNIT, math.inf)),
        ValueError,
        r"image 13 of data.*not finite",
    ),
    "NaN in validation": (
        lambda: train(UNIT, validation=poisoned(UNIT)),
        ValueError,
        r"image 13 of validation",
    ),
    "NaN in a Dataset": (
        lambda: train(TensorDataset(poisoned(UNIT))),
        ValueError,
        r"image 13 of data",
    ),
    "NaN in a loader": (
        lambda: train(DataLoader(TensorDataset(poisoned(UNIT)), 5)),
        ValueError,
        r"image 3 of batch 2 of epoch 1 of data",
    ),
    "NaN in a condition": (
        lambda: train(Labeled(UNIT, poisoned(UNIT)), broadcast, model=Sum()),
        ValueError,
        r"the label of image 13 of data.*not finite",
    ),
    "NaN of the transform": (
        lambda: train(UNIT, transform=lambda x: x / 0 * 0),
        ValueError,
        r"the transform made values that are not finite of data",
    ),
    "empty data": (lambda: train(UNIT[:0]), ValueError, r"data has shape \(0, .*empty"),
    "empty list": (lambda: train([]), ValueError, r"data is empty"),
    "empty Dataset": (lambda: train(TensorDataset(UNIT[:0])), ValueError, r"data is empty"),
    "empty loader": (
        lambda: train(DataLoader(TensorDataset(UNIT), 50, drop_last=True)),
        ValueError,
        r"data is empty.*drop_last",
    ),
    "empty validation": (
        lambda: train(UNIT, validation=UNIT[:0]),
        ValueError,
        r"validation has shape \(0, .*empty",
    ),
    "validation of another shape": (
        lambda: train(UNIT, validation=torch.zeros(5, 1, 5, 5)),
        ValueError,
        r"validation has images .*\(5, 1, 5, 5\) and data has .*\(5, 1, 4, 4\)",
    ),
    "validation of another kind": (
        lambda: train(BYTES, validation=UNIT, transform=binarize),
        ValueError,
        r"validation has images torch.float32 .* and data has torch.uint8",
    ),
    "validation without labels": (
        lambda: train(Labeled(UNIT, CLASSES), validation=UNIT, loss=lambda m, x, s, g: x),
        ValueError,
        r"one is Labeled: give both",
    ),
    "images of another shape": (
        lambda: train(UNIT[:, :, :3]),
        ValueError,
        r"data has images \(1, 3, 4\).*model takes \(1, 4, 4\)",
    ),
    "channels last": (
        lambda: train(UNIT.permute(0, 2, 3, 1)),
        ValueError,
        r"\(4, 4, 1\).*takes \(1, 4, 4\).*permute",
    ),
    "items of two shapes": (
        lambda: train(Items(lambda i: UNIT[i] if i else UNIT[i, :, :2])),
        ValueError,
        r"item 1 of data is .*\(1, 4, 4\) and item 0 .*\(1, 2, 4\)",
    ),
    "scalar loss": (
        lambda: train(UNIT, scalar),
        ValueError,
        r"the term 'loss' has shape \(\).*mean or a sum over the batch",
    ),
    "unsummed loss": (lambda: train(UNIT, unsummed), ValueError, r"\(5, 1, 4, 4\).*flatten\(1\)"),
    "loss without a gradient": (lambda: train(UNIT, detached), ValueError, r"step 0: .*\.detach"),
    "terms without loss": (lambda: train(UNIT, nameless), TypeError, r"\['error'\].*'loss'"),
    "loss returns a number": (
        lambda: train(UNIT, lambda m, x, s, g: 1.0),
        TypeError,
        r"not float",
    ),
    "loss that is a class": (lambda: train(UNIT, ELBOLoss), TypeError, r"ELBOLoss\(…\)"),
    "loss of two arguments": (
        lambda: train(UNIT, without_step),
        TypeError,
        r"loss\(model, x, step, generator\)",
    ),
    "loss that is a string": (lambda: train(UNIT, "mse"), TypeError, r"'mse' cannot be called"),
    "no labels": (lambda: train(UNIT, needs_labels), TypeError, r"data has no labels.*Labeled\("),
    "labels for a loss without": (
        lambda: train(Labeled(UNIT, CLASSES)),
        TypeError,
        r"data is Labeled.*data\.images",
    ),
    "uint8 without transform": (
        lambda: train(BYTES),
        TypeError,
        r"data is torch.uint8.*transform=to_unit.*transform=binarize",
    ),
    "uint8 of a loader": (
        lambda: train(DataLoader(TensorDataset(BYTES), 5)),
        TypeError,
        r"data is torch.uint8.*transform=to_unit",
    ),
    "integers": (lambda: train(BYTES.long()), TypeError, r"torch.int64.*floats"),
    "complex": (lambda: train(UNIT + 0j), TypeError, r"complex64.*real numbers"),
    "strings": (lambda: train(np.array(["a"])), TypeError, r"array of <U1"),
    "dict": (lambda: train({"x": UNIT}), TypeError, r"data is dict: give a tensor"),
    "tuple": (lambda: train((UNIT, CLASSES)), TypeError, r"give Labeled\(images, labels\)"),
    "generator": (lambda: train(iter(UNIT)), TypeError, r"data is .*: give a tensor"),
    "stream without a loader": (lambda: train(Stream()), TypeError, r"wrap it in a DataLoader"),
    "stream and a number as rate": (
        lambda: train(DataLoader(Stream(), 5)),
        ValueError,
        r"learning_rate = 0.002.*Constant\(0.002\)",
    ),
    "palette images": (
        lambda: train(Items(lambda i: pil(i).convert("P"))),
        TypeError,
        r"mode 'P'.*'RGB'",
    ),
    "items of dicts": (lambda: train(Items(lambda i: {"x": 1})), TypeError, r"item 0 of data|dict"),
    "model that is a class": (lambda: train(UNIT, model=VAE), TypeError, r"no torch.nn.Module"),
    "model that is frozen": (
        lambda: train(UNIT, model=vae().requires_grad_(False)),
        ValueError,
        r"requires_grad_\(True\)",
    ),
    "transform that is a class": (
        lambda: train(UNIT, transform=Normalize),
        TypeError,
        r"cannot be called with images",
    ),
    "transform of single images": (
        lambda: train(UNIT, transform=lambda x: Image.fromarray(x)),
        ValueError,
        r"the transform failed on a batch of data.*Dataset",
    ),
    "transform of three": (
        lambda: train(UNIT, transform=lambda x, y, z: x),
        TypeError,
        r"transform\(images, generator\)",
    ),
    "transform that loses images": (
        lambda: train(UNIT, transform=lambda x: x[:3]),
        TypeError,
        r"made \(3, 1, 4, 4\) of 5 images",
    ),
    "batch larger than data": (
        lambda: train(UNIT, batch_size=21),
        ValueError,
        r"batch_size = 21 with 20 images",
    ),
    "batch of a fraction": (lambda: train(UNIT, batch_size=2.5), TypeError, r"batch_size = 2.5"),
    "two batch sizes": (
        lambda: train(DataLoader(TensorDataset(UNIT), 5), batch_size=6),
        ValueError,
        r"batch_size = 6 and the loader's is 5",
    ),
    "no epochs": (lambda: train(UNIT, epochs=0), ValueError, r"epochs = 0"),
    "epochs as words": (lambda: train(UNIT, epochs="3"), TypeError, r"epochs = '3'"),
    "negative seed": (lambda: train(UNIT, seed=-1), ValueError, r"seed = -1"),
    "rate as words": (lambda: train(UNIT, learning_rate="1e-3"), TypeError, r"'1e-3'"),
    "negative rate": (lambda: train(UNIT, learning_rate=-1.0), ValueError, r"at step 0 is -1"),
    "rate that is nan": (lambda: train(UNIT, learning_rate=math.nan), ValueError, r"nan"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused_in_one_sentence(name: str) -> None:
    call, kind, sentence = REFUSED[name]
    with pytest.raises(kind, match=sentence):
        call()


@pytest.mark.parametrize("name", ["NaN in validation", "empty validation", "epochs as words"])
def test_a_refusal_comes_before_the_first_step(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.optim.Adam, "step", None)
    call, kind, sentence = REFUSED[name]
    with pytest.raises(kind, match=sentence):
        call()


def test_gray_stays_allowed_for_bernoulli() -> None:
    assert math.isfinite(train(UNIT).train["loss"][0])


def test_a_run_that_diverges_on_finite_images_is_to_blame_itself() -> None:
    with pytest.raises(DivergenceError, match="the run is to blame, not the data"):
        train(UNIT, lambda m, x, s, g: error_of(m, x) * math.nan)


def folder_in_a_file(folder: Path) -> Path:
    (folder / "file").write_text("")
    return folder / "file" / "run.safetensors"


@pytest.mark.parametrize("where", [folder_in_a_file, lambda folder: folder])
def test_a_checkpoint_that_cannot_be_written_is_said_before_the_first_step(
    where: Callable[[Path], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.optim.Adam, "step", None)
    path = where(tmp_path)
    with pytest.raises((OSError, ValueError), match=str(path)):
        train(UNIT, checkpoint=path)
    assert not list(tmp_path.glob(".*"))


def test_a_full_disk_is_said_before_the_first_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("vae_course.storage.write_whole", full)
    monkeypatch.setattr(torch.optim.Adam, "step", None)
    with pytest.raises(OSError, match=r"MB can be written.*No space left.*run\.safetensors"):
        train(UNIT, checkpoint=tmp_path / "run.safetensors")


def test_a_pixel_outside_the_support_is_named_wherever_it_is() -> None:
    images = torch.zeros(5000, 1, 2, 2)
    images[4999, 0, 1, 1] = -0.5
    model = VAE((1, 2, 2), 2, widths=(4,))
    with pytest.raises(ValueError, match="from image 4096 on: image 903 of the batch has a pixel"):
        fit(model, images, ELBOLoss(), epochs=1)
