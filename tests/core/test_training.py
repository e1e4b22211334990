import itertools
import math
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric
from torch.testing import assert_close

from vae_course.data import Labeled
from vae_course.models import VAE, Autoencoder, save_model
from vae_course.objectives import ELBOLoss, IWAELoss, gaussian_kl, squared_error_loss
from vae_course.schedules import Constant, CosineDecay, LinearWarmup
from vae_course.training import DivergenceError, count_steps, default_fabric, fit

SHAPE = (1, 8, 8)


def pictures(n: int, seed: int = 0) -> torch.Tensor:
    """Bars of gray: a position and a brightness, so that there is something to learn."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.zeros(n, 1, 8, 8)
    columns = torch.randint(0, 7, (n,), generator=generator)
    levels = torch.randint(1, 256, (n,), generator=generator) / 255
    for image, column, level in zip(x, columns, levels, strict=True):
        image[0, :, column : column + 2] = level
    return x


def make_vae(**options: object) -> VAE:
    torch.manual_seed(0)
    return VAE(SHAPE, 2, **{"widths": (16,), **options})


def make_autoencoder(width: int = 16) -> Autoencoder:
    torch.manual_seed(0)
    return Autoencoder(SHAPE, 2, widths=(width,))


def cpu(precision: str = "32-true") -> Fabric:
    return Fabric(accelerator="cpu", devices=1, precision=precision)


def binary(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return (torch.rand(x.shape, generator=generator) < x).float()


def train(model: torch.nn.Module, objective: object, **options: object) -> object:
    given = {"epochs": 2, "batch_size": 16, "fabric": cpu(), **options}
    return fit(model, given.pop("images", pictures(64)), objective, **given)


def assert_same(one: torch.nn.Module, other: torch.nn.Module) -> None:
    for name, weight in one.state_dict().items():
        assert torch.equal(weight, other.state_dict()[name]), name


@dataclass(frozen=True)
class Terms:
    loss: torch.Tensor
    size: torch.Tensor


@dataclass
class Spy:
    """Writes down what an objective is given; its loss pulls on every weight."""

    steps: list[int] = field(default_factory=list)
    batches: list[torch.Tensor | Labeled] = field(default_factory=list)
    grad: list[bool] = field(default_factory=list)
    training: list[bool] = field(default_factory=list)

    def __call__(
        self,
        model: torch.nn.Module,
        x: torch.Tensor | Labeled,
        step: int,
        generator: torch.Generator,
    ) -> Terms:
        self.steps.append(step)
        self.batches.append(x)
        self.grad.append(torch.is_grad_enabled())
        self.training.append(model.training)
        pull = sum(weight.square().sum() for weight in model.parameters())
        return Terms(pull.expand(len(x)), torch.full((len(x),), float(len(x))))


def test_training_lowers_the_loss_and_leaves_the_model_ready_to_use() -> None:
    model = make_vae()
    history = train(model, ELBOLoss(), epochs=15, images=pictures(256), transform=binary)
    assert history.train["loss"][-1] < history.train["loss"][0] - 10
    assert not model.training


def test_history_holds_every_term_apart_in_nats_per_image() -> None:
    objective = ELBOLoss(LinearWarmup(8, end=2.0))
    model, images = make_vae(likelihood="gaussian"), pictures(64)
    history = train(model, objective, images=images, validation=images, learning_rate=Constant(0.0))
    assert list(history.train) == list(history.validation) == ["loss", "reconstruction", "kl"]
    assert history.epochs == 2
    q = model.encode(images)
    kl = gaussian_kl(q.mean, q.log_var).sum(-1).mean().item()
    assert history.train["kl"] == pytest.approx([kl, kl], rel=1e-4)
    assert history.validation["kl"] == pytest.approx([kl, kl], rel=1e-4)
    # β is 0, ¼, ½, ¾ in the first epoch and 1, 1¼, 1½, 1¾ in the second: 3/8 and 11/8 on average.
    weighted = [
        loss - reconstruction
        for loss, reconstruction in zip(
            history.train["loss"], history.train["reconstruction"], strict=True
        )
    ]
    assert weighted == pytest.approx([3 / 8 * kl, 11 / 8 * kl], rel=1e-2)
    assert history.seconds > 0
    assert history.images_per_second == pytest.approx(128 / history.seconds)


def test_each_epoch_is_a_fresh_permutation_without_the_partial_batch() -> None:
    spy = Spy()
    indices = torch.arange(70)
    history = train(make_autoencoder(), spy, images=indices, batch_size=32)
    assert [len(batch) for batch in spy.batches] == [32] * 4
    assert spy.steps == [0, 1, 2, 3]
    epochs = [torch.cat(spy.batches[:2]), torch.cat(spy.batches[2:])]
    assert all(len(set(epoch.tolist())) == 64 for epoch in epochs)
    assert not torch.equal(*epochs)
    assert history.images_seen == 128
    assert history.train["size"] == [32, 32]
    assert count_steps(indices, epochs=2, batch_size=32) == 4


def test_the_seed_is_all_the_randomness_there_is() -> None:
    models = [make_vae() for _ in range(3)]
    torch.manual_seed(5)
    before = torch.get_rng_state()
    train(models[0], ELBOLoss(), transform=binary, seed=1)
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(6)
    train(models[1], ELBOLoss(), transform=binary, seed=1)
    assert_same(models[0], models[1])
    train(models[2], ELBOLoss(), transform=binary, seed=2)
    assert not torch.equal(models[0].encoder.layers[0].weight, models[2].encoder.layers[0].weight)


def test_no_two_random_streams_of_a_run_are_the_same() -> None:
    drawn: list[float] = []

    def spy(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        drawn.append(float(torch.rand((), generator=generator)))
        return x

    train(
        make_autoencoder(),
        squared_error_loss,
        epochs=3,
        transform=spy,
        validation=pictures(16),
        seed=0,
    )
    # A look at data and validation before the first step; then four steps and the held-out images.
    looks, draws = drawn[:2], drawn[2:]
    held_out = draws[4::5]
    steps = [draw for index, draw in enumerate(draws) if index % 5 != 4]
    assert len(draws) == 15 and len(set(looks)) == 1
    assert len(set(held_out)) == 1
    assert len({*steps, *held_out, *looks}) == 14
    orders = {float(torch.rand((), generator=torch.Generator().manual_seed(s))) for s in range(3)}
    assert not orders & set(drawn)


def test_the_rate_follows_its_schedule() -> None:
    by_start, by_schedule = make_autoencoder(), make_autoencoder()
    train(by_start, squared_error_loss, learning_rate=1e-2)
    train(by_schedule, squared_error_loss, learning_rate=CosineDecay(8, 1e-2))
    assert_same(by_start, by_schedule)

    @dataclass(frozen=True)
    class UntilFour:
        def __call__(self, step: int) -> float:
            return 1e-2 if step < 4 else 0.0

    short, long = make_autoencoder(), make_autoencoder()
    train(short, squared_error_loss, epochs=1, learning_rate=UntilFour())
    train(long, squared_error_loss, epochs=3, learning_rate=UntilFour())
    assert_same(short, long)
    # Adam's first step is as long as the rate, whatever the gradient.
    before, after = make_autoencoder(), make_autoencoder()
    train(after, squared_error_loss, epochs=1, batch_size=64, learning_rate=Constant(3e-3))
    moved = (after.decoder.layers[-1].bias - before.decoder.layers[-1].bias).abs()
    assert_close(moved, torch.full_like(moved, 3e-3), rtol=1e-3, atol=0)


def test_validation_has_the_same_noise_each_epoch_and_changes_nothing() -> None:
    frozen = train(
        make_vae(),
        IWAELoss(2),
        epochs=3,
        transform=binary,
        validation=pictures(70, seed=1),
        learning_rate=Constant(0.0),
    )
    assert len(set(frozen.validation["loss"])) == 1
    assert len(set(frozen.train["loss"])) == 3
    watched, alone = make_vae(), make_vae()
    train(watched, ELBOLoss(), transform=binary, validation=pictures(70, seed=1))
    train(alone, ELBOLoss(), transform=binary)
    assert_same(watched, alone)


def test_validation_is_the_mean_over_every_held_out_image_without_gradients() -> None:
    held_out, model, spy = pictures(37, seed=1), make_autoencoder(), Spy()
    history = train(model, squared_error_loss, validation=held_out)
    with torch.no_grad():
        exact = squared_error_loss(model, held_out, 0).mean()
    assert history.validation["loss"][-1] == pytest.approx(float(exact), rel=1e-5)
    train(model, spy, validation=held_out, epochs=1)
    assert spy.grad == spy.training == [True] * 4 + [False] * 3
    assert spy.steps == [0, 1, 2, 3, 4, 4, 4]


@dataclass(frozen=True)
class Poisoned:
    """Squared error, but for one value at one step."""

    at: int
    value: float

    def __call__(
        self, model: torch.nn.Module, x: torch.Tensor, step: int, generator: torch.Generator
    ) -> Terms:
        loss = squared_error_loss(model, x, step)
        size = torch.full_like(loss, self.value if step == self.at else 1.0)
        return Terms(loss + 0 * size, size)


@pytest.mark.parametrize("value", [math.nan, math.inf, -1e13])
@pytest.mark.parametrize("at", [0, 7, 63])
def test_a_term_that_is_no_number_stops_the_run_with_its_step_and_name(
    at: int, value: float
) -> None:
    with pytest.raises(DivergenceError, match=rf"step {at}: the term '(size|loss)'.*learning"):
        train(make_autoencoder(), Poisoned(at, value), epochs=20)


def test_a_rate_far_too_high_stops_the_run() -> None:
    with pytest.raises(DivergenceError, match=r"step \d+: the term 'loss' is"):
        train(make_autoencoder(), squared_error_loss, epochs=50, learning_rate=Constant(1e6))


def test_after_divergence_the_checkpoint_is_from_before(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    with pytest.raises(DivergenceError):
        train(make_autoencoder(), Poisoned(5, math.nan), checkpoint=path, epochs=3)
    whole = make_autoencoder()
    train(whole, Poisoned(-1, 0.0), epochs=1, learning_rate=CosineDecay(12, 2e-3))
    from vae_course import storage

    tensors, settings = storage.read(path)
    assert len(settings["history"]["train"]["loss"]) == 1
    for name, weight in whole.state_dict().items():
        assert torch.equal(tensors[f"model/{name}"], weight)


class InterruptionError(Exception):
    pass


def interrupt(model: VAE, at: int) -> VAE:
    """Let the encoder raise at its call number `at`."""
    calls = itertools.count(1)

    def stop(*_: object) -> None:
        if next(calls) == at:
            raise InterruptionError

    model.encoder.register_forward_pre_hook(stop)
    return model


@pytest.mark.parametrize(
    ("options", "precision"),
    [
        ({}, "32-true"),
        ({"network": "conv", "widths": (4, 8), "likelihood": "shared-gaussian"}, "32-true"),
        ({"network": "conv", "widths": (4, 8)}, "bf16-mixed"),
    ],
    ids=["mlp", "conv", "conv-bf16"],
)
def test_a_resumed_run_ends_in_the_weights_of_one_never_stopped(
    options: dict[str, object], precision: str, tmp_path: Path
) -> None:
    given = {"epochs": 5, "validation": pictures(20, seed=1)}
    whole = make_vae(**options)
    expected = train(whole, ELBOLoss(), transform=binary, fabric=cpu(precision), **given)
    path = tmp_path / "run.safetensors"
    for call in (9, 14):  # in the second epoch, and again after it was resumed
        with pytest.raises(InterruptionError):
            train(
                interrupt(make_vae(**options), call),
                ELBOLoss(),
                transform=binary,
                checkpoint=path,
                fabric=cpu(precision),
                **given,
            )
    resumed = make_vae(**options)
    history = train(
        resumed,
        ELBOLoss(),
        transform=binary,
        checkpoint=path,
        fabric=cpu(precision),
        **given,
    )
    assert_same(whole, resumed)
    assert (history.train, history.validation) == (expected.train, expected.validation)
    assert history.images_seen == expected.images_seen == 320


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    path, model = tmp_path / "run.safetensors", make_autoencoder()
    first = train(model, squared_error_loss, checkpoint=path)
    spy = make_autoencoder(width=16)
    again = train(spy, squared_error_loss, checkpoint=path)
    assert_same(model, spy)
    assert again == first


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seed": 3}, r"'seed': \(0, 3\)"),
        ({"epochs": 4}, r"'epochs': \(2, 4\)"),
        ({"batch_size": 32}, "'batch_size'"),
        ({"learning_rate": 0.5}, "'learning_rate'"),
        ({"transform": binary}, "'transform'"),
        ({"images": pictures(64, seed=9)}, "'data'"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_checkpoint_of_another_run_is_refused_with_what_differs(
    change: dict[str, object], named: str, tmp_path: Path
) -> None:
    path = tmp_path / "run.safetensors"
    train(make_autoencoder(), squared_error_loss, checkpoint=path)
    with pytest.raises(ValueError, match=rf"run\.safetensors belongs to another run.*{named}"):
        train(make_autoencoder(), squared_error_loss, checkpoint=path, **change)


def test_a_checkpoint_of_another_model_or_objective_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    train(make_vae(), ELBOLoss(), checkpoint=path)
    with pytest.raises(ValueError, match=r"another run.*'loss'"):
        train(make_vae(), ELBOLoss(Constant(4.0)), checkpoint=path)
    with pytest.raises(ValueError, match=r"another run.*'model'.*continuous-bernoulli"):
        train(make_vae(likelihood="continuous-bernoulli"), ELBOLoss(), checkpoint=path)


def test_a_file_that_is_no_whole_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    save_model(make_autoencoder(), path)
    with pytest.raises(ValueError, match="is no checkpoint but a saved model"):
        train(make_autoencoder(), squared_error_loss, checkpoint=path)
    path.unlink()
    train(make_autoencoder(), squared_error_loss, checkpoint=path)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(ValueError, match="is not a whole file"):
        train(make_autoencoder(), squared_error_loss, checkpoint=path)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"epochs": 0}, "epochs = 0"),
        ({"batch_size": 65}, "batch_size = 65 with 64 images"),
        ({"batch_size": 0}, "batch_size = 0"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(options: dict[str, int], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        train(make_autoencoder(), squared_error_loss, **options)


def test_under_bf16_pixels_are_exact_and_every_term_is_float32() -> None:
    levels = (torch.arange(256) / 255).view(4, 1, 8, 8)
    seen: list[torch.Tensor] = []
    dtypes: set[torch.dtype] = set()
    products: set[torch.dtype] = set()

    def objective(model: VAE, x: torch.Tensor, step: int, generator: torch.Generator) -> object:
        seen.append(x)
        terms = ELBOLoss()(model, x, step, generator)
        dtypes.update({x.dtype, terms.loss.dtype, terms.reconstruction.dtype, terms.kl.dtype})
        return terms

    model = make_vae(likelihood="gaussian")
    model.encoder.layers[0].register_forward_hook(lambda *call: products.add(call[-1].dtype))
    train(
        model,
        objective,
        images=levels,
        batch_size=4,
        epochs=1,
        validation=levels,
        fabric=cpu("bf16-mixed"),
    )
    assert products == {torch.bfloat16}
    assert dtypes == {torch.float32}
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    for x in seen:
        assert torch.equal(x.flatten().sort().values, levels.flatten())


def test_bf16_reaches_the_elbo_of_float32() -> None:
    losses = {}
    for precision, seed in (("32-true", 0), ("32-true", 1), ("bf16-mixed", 0)):
        history = train(
            make_vae(widths=(32,)),
            ELBOLoss(),
            images=pictures(512),
            batch_size=64,
            epochs=40,
            learning_rate=5e-3,
            transform=binary,
            seed=seed,
            fabric=cpu(precision),
        )
        losses[precision, seed] = sum(history.train["loss"][-5:]) / 5
    between_seeds = abs(losses["32-true", 0] - losses["32-true", 1])
    between_precisions = abs(losses["32-true", 0] - losses["bf16-mixed", 0])
    assert losses["32-true", 0] < 25  # from 44: it has learned
    assert between_precisions < max(3 * between_seeds, 0.3)


def test_the_default_device_and_precision_train() -> None:
    fabric = default_fabric()
    assert fabric.world_size == 1
    model = make_autoencoder()
    history = fit(model, pictures(64), squared_error_loss, epochs=1, batch_size=16)
    assert history.images_seen == 64


def test_labels_travel_with_their_images() -> None:
    images = pictures(64)
    labels = images.flatten(1).sum(1, keepdim=True)  # of the image itself, to know it by
    spy = Spy()
    train(
        make_autoencoder(),
        spy,
        images=Labeled(images, labels),
        transform=lambda x, generator: 2 * x,
        validation=Labeled(images[:8], labels[:8]),
    )
    assert len(spy.batches) == 2 * (4 + 1)
    for batch in spy.batches:
        assert_close(batch.images.flatten(1).sum(1, keepdim=True), 2 * batch.labels)
    with pytest.raises(ValueError, match=r"images but .* labels"):
        Labeled(images, labels[:3])


def test_a_checkpoint_knows_its_labels(tmp_path: Path) -> None:
    images, path = pictures(64), tmp_path / "run.safetensors"
    for shift in (0, 1):
        labels = torch.arange(64) + shift
        if shift:
            with pytest.raises(ValueError, match="'data'"):
                train(make_autoencoder(), Spy(), images=Labeled(images, labels), checkpoint=path)
        else:
            train(make_autoencoder(), Spy(), images=Labeled(images, labels), checkpoint=path)
