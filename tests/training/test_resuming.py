"""A run that is stopped and goes on, and a checkpoint of something else."""

import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from vae_course import storage
from vae_course.data import Labeled, binarize
from vae_course.models import VAE, Autoencoder, save_model
from vae_course.objectives import ELBOLoss, squared_error_loss
from vae_course.training import fit
from vae_course.training.identity import describe
from vae_course.training.streams import GlobalStreams, OwnStream, seeded_generator

SHAPE = (1, 4, 4)
BYTES = torch.randint(
    0, 256, (40, *SHAPE), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
)
UNIT = BYTES / 255


class StoppedError(Exception):
    pass


def vae() -> VAE:
    torch.manual_seed(0)
    return VAE(SHAPE, 2, widths=(8,))


def train(model: nn.Module, data: Any, *, stop_at: int | None = None, **options: Any) -> Any:
    """Train three epochs, or until a step (five a pass, of eight images each)."""
    loss = options.pop("loss", ELBOLoss())
    sizes = {} if isinstance(data, DataLoader) else {"batch_size": 8}
    fabric = Fabric(accelerator="cpu", devices=1)
    given = {"epochs": 3, "fabric": fabric, "transform": binarize, **sizes, **options}
    steps = torch.optim.Adam.step
    taken = 0

    def step(adam: torch.optim.Adam, *arguments: Any, **more: Any) -> Any:
        nonlocal taken
        taken += 1
        if taken == stop_at:
            raise StoppedError
        return steps(adam, *arguments, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.Adam, "step", step)
        return fit(model, data, loss, **given)


def weights_of(model: nn.Module) -> Tensor:
    return nn.utils.parameters_to_vector(model.parameters()).detach()


def loader(**options: Any) -> DataLoader[Any]:
    return DataLoader(TensorDataset(BYTES), batch_size=8, **options)


def whole_and_resumed(
    data: Callable[[], Any], path: Path, make: Callable[[], nn.Module] = vae, **options: Any
) -> tuple[Tensor, Tensor]:
    """Weights of a run never stopped, and of one stopped in its second epoch."""
    whole = make()
    train(whole, data(), **options)
    with pytest.raises(StoppedError):
        train(make(), data(), checkpoint=path, stop_at=8, **options)
    resumed = make()
    torch.manual_seed(7)  # what else the process drew in between
    train(resumed, data(), checkpoint=path, **options)
    return weights_of(whole), weights_of(resumed)


@pytest.mark.filterwarnings("error::UserWarning", "ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize(
    "options",
    [{"shuffle": True}, {"shuffle": True, "num_workers": 2}, {"shuffle": False}],
    ids=["shuffled", "with workers", "in order"],
)
def test_a_streamed_run_resumes_exactly_where_the_order_is_ours(
    options: dict[str, Any], tmp_path: Path
) -> None:
    whole, resumed = whole_and_resumed(lambda: loader(**options), tmp_path / "run")
    assert torch.equal(whole, resumed)


class Stream(IterableDataset[Tensor]):
    def __iter__(self) -> Any:
        return iter(BYTES)


FOREIGN = {
    "a generator": lambda: loader(shuffle=True, generator=torch.Generator().manual_seed(0)),
    "a sampler": lambda: loader(sampler=list(range(39, -1, -1))),
    "an IterableDataset": lambda: DataLoader(Stream(), batch_size=8),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_where_the_order_is_the_loaders_a_checkpoint_warns(name: str, tmp_path: Path) -> None:
    data, rate = FOREIGN[name], {"learning_rate": lambda step: 1e-3, "epochs": 1}
    with pytest.warns(UserWarning, match="the order of this loader is its own"):
        train(vae(), data(), checkpoint=tmp_path / "run", **rate)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        train(vae(), data(), **rate)


def dropping() -> VAE:
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(16, 4))
    return VAE(
        SHAPE,
        2,
        network=(encoder, nn.Sequential(nn.Linear(2, 16), nn.Unflatten(1, SHAPE))),
    )


def test_dropouts_draws_go_on_where_they_stopped(tmp_path: Path) -> None:
    path = tmp_path / "run"
    whole, resumed = whole_and_resumed(lambda: BYTES, path, dropping)
    assert torch.equal(whole, resumed)
    assert "streams/cpu" in storage.read(path)[0]


def refused(path: Path, data: Any, named: str, **options: Any) -> None:
    with pytest.raises(ValueError, match=rf"belongs to another run.*'{named}'"):
        train(vae(), data, checkpoint=path, **options)


def test_the_same_images_in_another_order_or_flipped_are_another_run(tmp_path: Path) -> None:
    path = tmp_path / "run"
    train(vae(), BYTES, checkpoint=path, epochs=1)
    swapped = BYTES.clone()
    swapped[[3, 17]] = swapped[[17, 3]]
    one_bit = BYTES.clone()
    one_bit[20, 0, 2, 2] ^= 1
    for other in (BYTES.flip(0), BYTES.flip(-1), swapped, one_bit, BYTES.transpose(2, 3)):
        refused(path, other, "data", epochs=1)


def test_labels_in_another_order_are_another_run(tmp_path: Path) -> None:
    path, labels = tmp_path / "run", torch.arange(40)

    def loss(model: VAE, x: Labeled, step: int, generator: torch.Generator) -> object:
        return ELBOLoss()(model, x.images, step, generator)

    train(vae(), Labeled(BYTES, labels), checkpoint=path, epochs=1, loss=loss)
    refused(path, Labeled(BYTES, labels.flip(0)), "data", epochs=1, loss=loss)


def test_a_loader_of_other_images_or_sizes_is_another_run(tmp_path: Path) -> None:
    path = tmp_path / "run"
    train(vae(), loader(shuffle=True), checkpoint=path, epochs=1)
    refused(path, loader(shuffle=False), "data", epochs=1)
    refused(path, DataLoader(TensorDataset(BYTES.flip(0)), 8, shuffle=True), "data", epochs=1)
    refused(path, DataLoader(TensorDataset(BYTES[:39]), 8, shuffle=True), "data", epochs=1)


@pytest.mark.parametrize("kind", ["checkpoint", "model"])
def test_one_flipped_bit_is_named_as_damage(kind: str, tmp_path: Path) -> None:
    path, model = tmp_path / "run", vae()
    if kind == "checkpoint":
        train(model, BYTES, checkpoint=path, epochs=1)
    else:
        save_model(model, path)
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    size = len(content) - start
    assert size > 1000
    for number in range(200):
        place = start + number * (size - 1) // 199
        damaged = bytearray(content)
        damaged[place] ^= 1 << number % 8
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"run is damaged.*delete it to start over"):
            storage.read(path)
    path.write_bytes(content)
    storage.read(path)


def test_a_damaged_checkpoint_is_not_resumed_from(tmp_path: Path) -> None:
    path = tmp_path / "run"
    train(vae(), BYTES, checkpoint=path, epochs=1)
    content = bytearray(path.read_bytes())
    content[-30] ^= 4
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"run is damaged"):
        train(vae(), BYTES, checkpoint=path, epochs=1)
    assert path.read_bytes() == content


def test_order_noise_held_out_and_look_are_four_streams() -> None:
    """Taken from a run, not from the numbers that tell the streams apart."""
    noise: list[Tensor] = []

    def spy(x: Tensor, generator: torch.Generator) -> Tensor:
        noise.append(generator.get_state())
        return x

    drawn: list[Tensor] = []
    alive = torch.randperm

    def permuted(count: int, *, generator: torch.Generator) -> Tensor:
        drawn.append(generator.get_state())
        return alive(count, generator=generator)

    torch.manual_seed(0)
    model = Autoencoder(SHAPE, 2, widths=(8,))
    options = {"transform": spy, "validation": UNIT[:8], "loss": squared_error_loss}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "randperm", permuted)
        train(model, UNIT, seed=0, **options)
    looks, steps = noise[:2], noise[2:]
    held_out = steps[5::6]
    states = {
        "order": drawn,
        "noise": [state for index, state in enumerate(steps) if index % 6 != 5],
        "held out": held_out[:1],
        "look": looks[:1],
    }
    assert [len(stream) for stream in states.values()] == [3, 15, 1, 1]
    assert torch.equal(held_out[0], held_out[2]) and torch.equal(looks[0], looks[1])
    every = {state.numpy().tobytes() for stream in states.values() for state in stream}
    assert len(every) == 20


def test_numbers_that_seed_a_stream_are_told_apart_on_any_numpy() -> None:
    first = {
        float(torch.rand((), generator=seeded_generator("cpu", *n)))
        for n in ((0, 1), (1, 0), (0, 2))
    }
    assert len(first) == 3
    assert seeded_generator("cpu", 2**40, 1).initial_seed() < 2**63


def test_a_stream_of_its_own_moves_nobodys_draws() -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    stream = OwnStream(0, 1)
    with stream:
        one = torch.rand(3)
    first = torch.rand(1)
    with stream:
        two = torch.rand(3)
    assert torch.equal(torch.cat([first, torch.rand(1)]), expected)
    assert not torch.equal(one, two)
    with OwnStream(0, 1):
        assert torch.equal(torch.rand(6), torch.cat([one, two]))


def test_global_streams_are_kept_only_where_they_moved() -> None:
    streams = GlobalStreams(torch.device("cpu"))
    assert streams.moved() == {}
    torch.rand(1)
    moved = streams.moved()
    expected = torch.rand(2)
    streams.restore(moved)
    assert torch.equal(torch.rand(2), expected)


def settings_of(scale: float) -> Callable[[int], float]:
    return lambda step: scale / (step + 1)


class Plain:
    def __init__(self, value: object) -> None:
        self.value = value


@pytest.mark.parametrize(
    ("one", "same", "other"),
    [
        (settings_of(1.0), settings_of(1.0), settings_of(2.0)),
        (lambda step: 0.1, lambda step: 0.1, lambda step: 0.2),
        (Plain(1), Plain(1), Plain(2)),
        (Plain(Plain(1)), Plain(Plain(1)), Plain(Plain(2))),
        (torch.ones(3), torch.ones(3), torch.ones(3).double()),
        (ELBOLoss(2.0), ELBOLoss(2.0), ELBOLoss(3.0)),
        (nn.ReLU(), nn.ReLU(), nn.GELU()),
        ({"b": 1, "a": 2}, {"b": 1, "a": 2}, {"b": 1, "a": 3}),
        ({"b", "a"}, {"a", "b"}, {"a"}),
    ],
)
def test_a_description_is_of_what_a_thing_does(one: object, same: object, other: object) -> None:
    assert describe(one) == describe(same) != describe(other)
    assert hex(id(one))[2:] not in describe(one) and " at 0x" not in describe(one)


def test_a_description_of_a_circle_ends() -> None:
    circle = Plain(None)
    circle.value = circle
    assert re.fullmatch(r"Plain\[\w{16}\]\(value=…\)", describe(circle))


def loss_of(text: str) -> Any:
    """A loss from the text of a notebook's cell, as `__main__` has it."""
    space: dict[str, Any] = {"__name__": "__main__", "nn": nn, "ELBOLoss": ELBOLoss}
    exec(compile(text, "<cell>", "exec"), space)
    return space["loss"]


HELPED = """
def helper(terms): return terms.loss * {}
def loss(model, x, step, generator): return helper(ELBOLoss()(model, x, step, generator))
"""
CLASSED = """
class Loss:
    __slots__ = ("scale",)
    def __call__(self, model, x, step, generator):
        return self.scale * ELBOLoss()(model, x, step, generator).loss * {}
loss = Loss(); loss.scale = {}
"""
MODULE = """
class Loss(nn.Module):
    def __init__(self):
        super().__init__()
        self.part = nn.Identity()
        self.part.scale = {}
    def forward(self, model, x, step, generator):
        return self.part.scale * ELBOLoss()(model, x, step, generator).loss
loss = Loss()
"""


@pytest.mark.parametrize(
    ("text", "values"),
    [
        (HELPED, [(1.0,), (2.0,)]),
        (CLASSED, [(1.0, 1.0), (2.0, 1.0), (1.0, 2.0)]),
        (MODULE, [(1.0,), (2.0,)]),
    ],
    ids=["a helper", "a class's source and its slots", "an attribute of a module"],
)
def test_a_loss_that_was_edited_is_another_loss(text: str, values: list[tuple[float]]) -> None:
    said = [describe(loss_of(text.format(*each))) for each in values]
    assert len(set(said)) == len(values)
    assert said == [describe(loss_of(text.format(*each))) for each in values]


def test_another_choice_of_frozen_weights_is_another_run(tmp_path: Path) -> None:
    path = tmp_path / "run"
    train(vae(), BYTES, checkpoint=path)
    model = vae()
    next(model.parameters()).requires_grad_(False)
    with pytest.raises(ValueError, match=r"belongs to another run.*model"):
        train(model, BYTES, checkpoint=path)
