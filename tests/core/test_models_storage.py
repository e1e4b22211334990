"""Whatever is saved can be loaded, or saving refuses before it writes."""

import copy
import subprocess
import sys
from collections import namedtuple
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from vae_course import storage
from vae_course.conditional import (
    ConditionalVAE,
    ImagePredictor,
    LabelPredictor,
    SemiSupervisedVAE,
)
from vae_course.discrete import VQVAE, CodePrior
from vae_course.disentangling import FactorVAE
from vae_course.families import GAN, CouplingFlow, Diffusion, NoiseNetwork
from vae_course.heads import FullCovarianceVAE, VarianceHeadVAE
from vae_course.hierarchical import HierarchicalVAE
from vae_course.likelihoods import GaussianLikelihood
from vae_course.metrics import Classifier
from vae_course.models import (
    VAE,
    Autoencoder,
    LinearGaussian,
    Model,
    load_model,
    random_linear_gaussian,
    save_model,
)
from vae_course.priors import LatentMixture, VampPriorVAE, with_prior

SHAPE = (1, 8, 8)
SMALL = {"widths": (6, 4)}


class Own(VAE):
    """A class that somebody wrote in a notebook."""

    def __init__(self, *arguments: object, strength: float = 1.0, **settings: object) -> None:
        super().__init__(*arguments, **settings)
        self.strength = strength


class OwnNetworks(Model):
    """A class that makes its own networks: nothing foreign is among its arguments."""

    def __init__(self, sizes: list[int], table: dict[str, Tensor]) -> None:
        super().__init__()
        self.layers = nn.Linear(*sizes)
        self.offset = table["offset"]


MODELS = {
    "VAE": lambda: VAE(SHAPE, 3, **SMALL, network="conv", likelihood="shared-gaussian"),
    "Autoencoder": lambda: Autoencoder(SHAPE, 2, widths=()),
    "LinearGaussian": lambda: random_linear_gaussian(6, 3, 0.7, torch.Generator().manual_seed(0)),
    "VarianceHeadVAE": lambda: VarianceHeadVAE(SHAPE, 3, **SMALL, head="softplus"),
    "FullCovarianceVAE": lambda: FullCovarianceVAE(SHAPE, 3, **SMALL),
    "FactorVAE": lambda: FactorVAE(SHAPE, 3, **SMALL, discriminator_widths=(4,)),
    "ConditionalVAE": lambda: ConditionalVAE(SHAPE, 3, condition=(1, 4, 8), **SMALL),
    "SemiSupervisedVAE": lambda: SemiSupervisedVAE(SHAPE, 3, classes=3, **SMALL),
    "LabelPredictor": lambda: LabelPredictor(SHAPE, classes=3, **SMALL),
    "ImagePredictor": lambda: ImagePredictor(SHAPE, condition=(1, 4, 8), **SMALL),
    "VQVAE": lambda: VQVAE(SHAPE, width=4, residual=(1, 2), codebook_size=5, dim=3, decay=0.9),
    "CodePrior": lambda: CodePrior(5, (2, 3), width=8, heads=2, layers=1),
    "HierarchicalVAE": lambda: HierarchicalVAE(SHAPE, (3, 2), widths=((6,), (4,))),
    "VampPriorVAE": lambda: VampPriorVAE(VAE(SHAPE, 3, **SMALL), torch.rand(4, *SHAPE)),
    "GAN": lambda: GAN(width=4),
    "CouplingFlow": lambda: CouplingFlow(2, 4),
    "NoiseNetwork": lambda: NoiseNetwork(60, width=4),
    "Diffusion": lambda: Diffusion(NoiseNetwork(60, width=4), 60),
    "Classifier": lambda: Classifier(SHAPE, 3),
    "Own": lambda: Own(SHAPE, 3, strength=2.0, widths=[6]),
    "OwnNetworks": lambda: OwnNetworks([2, 3], {"offset": torch.arange(3)}),
}


def all_models(kind: type[Model] = Model) -> set[type[Model]]:
    return {kind}.union(*(all_models(below) for below in kind.__subclasses__()))


def test_every_model_of_the_package_is_among_these() -> None:
    ours = {
        kind.__name__
        for kind in all_models()
        if kind.__module__.startswith("vae_course.")
        and vars(sys.modules[kind.__module__]).get(kind.__name__) is kind  # no docstring's example
    }
    assert ours - {"Model"} == MODELS.keys() - {"Own", "OwnNetworks"}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_comes_back_whole(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, path = MODELS[name](), tmp_path / "deep" / "model.safetensors"
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1)
    before = torch.get_rng_state()
    save_model(model, path)
    again = load_model(str(path))
    assert torch.equal(torch.get_rng_state(), before)
    assert type(again) is type(model) and again.config == model.config
    assert again.state_dict().keys() == model.state_dict().keys()
    for key, tensor in model.state_dict().items():
        found = again.state_dict()[key]
        assert found.dtype == tensor.dtype and torch.equal(found, tensor), key


def test_a_config_is_the_arguments_by_name() -> None:
    assert VAE(SHAPE, latent_dim=3, widths=(6,)).config == {
        "image_shape": [1, 8, 8],
        "latent_dim": 3,
        "network": "mlp",
        "widths": [6],
        "likelihood": "bernoulli",
        "activation": "relu",
    }
    own = MODELS["Own"]().config
    assert own == {"arguments": [[1, 8, 8], 3], "strength": 2.0, "widths": [6]}
    vamp = MODELS["VampPriorVAE"]().config
    assert vamp["pseudo_inputs"] == {"$tensor": [4, 1, 8, 8]}
    assert vamp["vae"]["$model"] == "vae_course.models.VAE"
    assert vamp["vae"]["config"]["latent_dim"] == 3


def test_a_list_that_grows_later_does_not_change_the_config() -> None:
    widths = [6]
    model = VAE(SHAPE, 3, widths=widths)
    widths.append(4)
    assert model.config["widths"] == [6]


@pytest.mark.parametrize("name", ["VAE", "GAN", "VampPriorVAE"])
def test_a_copy_keeps_its_config(name: str) -> None:
    model = MODELS[name]()
    assert copy.deepcopy(model).config == model.config


def test_wrong_arguments_are_the_constructors_to_refuse() -> None:
    with pytest.raises(TypeError, match=r"__init__\(\) .* 'colour'"):
        VAE(SHAPE, 3, colour="red")
    with pytest.raises(TypeError, match="latent_dim"):
        VAE(SHAPE)


def test_arguments_that_are_tensors_and_models_come_back(tmp_path: Path) -> None:
    path = tmp_path / "own"
    save_model(MODELS["OwnNetworks"](), path)
    assert torch.equal(load_model(path).offset, torch.arange(3))
    vamp = MODELS["VampPriorVAE"]()
    nested = with_prior_as_argument(vamp)
    save_model(nested, path)
    again = load_model(path)
    assert torch.equal(again.model.pseudo_logits, vamp.pseudo_logits)


class Wrapped(Model):
    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model


def with_prior_as_argument(model: Model) -> Model:
    return Wrapped(model)


class Foreign(Model):
    def __init__(self, *parts: object, option: object = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2))


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (lambda: Foreign(1, nn.Linear(2, 2)), r"parts\.1 \(Linear\).*Derive a class from Foreign"),
        (lambda: Foreign(option=lambda x: x), r"option \(.*<lambda>\)"),
        (lambda: Foreign(option={"a": [torch.nn.GELU]}), r"option\.a\.0 \(GELU\)"),
        (lambda: Foreign(option={1: 2}), r"option \(dict\)"),
        (lambda: Wrapped(Foreign(option=object())), r"model\.option \(object\)"),
        (
            lambda: exchanged("likelihood", GaussianLikelihood(0.3)),
            r"likelihood.* of this VAE is not what",
        ),
        (lambda: exchanged("encoder", nn.Flatten()), r"encoder.* of this VAE is not what"),
        (lambda: mixed(), r"decoder.* is not what its constructor makes"),
    ],
)
def test_what_could_not_be_loaded_is_not_written(
    model: object, sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=sentence):
        save_model(model(), tmp_path / "model.safetensors")
    assert not list(tmp_path.iterdir())


def exchanged(part: str, module: nn.Module) -> VAE:
    model = VAE(SHAPE, 3, widths=(6,))
    setattr(model, part, module)
    return model


def mixed() -> VAE:
    model = VAE(SHAPE, 3, widths=(6,))
    model.decoder.double()
    return model


def test_what_is_no_model_is_refused_by_name(tmp_path: Path) -> None:
    prior = LatentMixture(torch.ones(1), VAE(SHAPE, 3, widths=(6,)).prior().expand((1,)))
    for thing in (nn.Linear(2, 2), with_prior(VAE(SHAPE, 3, widths=(6,)), prior)):
        with pytest.raises(TypeError, match=f"a {type(thing).__name__} is no .*Model"):
            save_model(thing, tmp_path / "model.safetensors")
    assert not list(tmp_path.iterdir())


def test_a_model_in_float64_and_one_with_tied_weights_come_back(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_model(VAE(SHAPE, 3, widths=(6,)).double(), path)
    assert load_model(path).encoder.layers[0].weight.dtype == torch.float64
    tied = Tied()
    save_model(tied, path)
    assert_close(load_model(path).second.weight, tied.first.weight)


class Tied(Model):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(2, 2), nn.Linear(2, 2)
        self.second.weight = self.first.weight


def test_the_last_definition_of_an_own_class_counts(tmp_path: Path) -> None:
    def define(bonus: int) -> type[Model]:
        class Twice(Model):
            def __init__(self, size: int) -> None:
                super().__init__()
                self.weight = nn.Parameter(torch.zeros(size))
                self.bonus = bonus

        return Twice

    path = tmp_path / "twice"
    save_model(define(1)(3), path)
    define(2)
    assert load_model(path).bonus == 2


def test_our_class_does_not_take_the_files_of_an_own_one_of_its_name(tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    own = type("VAE", (VAE,), {"__module__": "elsewhere"})
    save_model(own(SHAPE, 2, **SMALL), path)
    code = (
        "from vae_course.models import load_model\n"
        f"try: load_model({str(path)!r})\n"
        "except ValueError as error: print(error)"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    ).stdout
    assert "no model is called 'VAE' here: define or import the class first" in said


def _tie(model: VAE) -> None:
    square = [
        p
        for p in model.modules()
        if isinstance(p, nn.Linear) and p.in_features == 6 == p.out_features
    ]
    square[1].weight = square[0].weight


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda m: setattr(m.encoder, "slope", 0.3), r"encoder\.slope .*\(0\.3, not None\)"),
        (
            lambda m: setattr(
                next(p for p in m.modules() if isinstance(p, nn.LeakyReLU)), "negative_slope", 0.3
            ),
            r"negative_slope .*\(0\.3, not 0\.01\)",
        ),
        (_tie, "tied to"),
    ],
    ids=["a new setting", "a slope", "tied weights"],
)
def test_a_setting_changed_since_is_refused_and_not_lost(
    change: Callable[[nn.Module], object], named: str, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    model = Leaky()
    change(model)
    with pytest.raises(ValueError, match=named):
        save_model(model, tmp_path / "changed.safetensors")
    assert not list(tmp_path.iterdir())


class Leaky(VAE):
    def __init__(self) -> None:
        super().__init__(SHAPE, 2, widths=(6, 6), activation=nn.LeakyReLU)


class Kind(StrEnum):
    ONE = "one"


@pytest.mark.parametrize("argument", [Kind.ONE, {"a.b": 1}, namedtuple("Pair", "a b")(1, 2)])
def test_an_argument_that_would_come_back_as_another_type_is_refused(
    argument: object, tmp_path: Path
) -> None:
    class Takes(VAE):
        def __init__(self, what: object) -> None:
            super().__init__(SHAPE, 2, **SMALL)

    with pytest.raises(ValueError, match="no file can hold: what"):
        save_model(Takes(argument), tmp_path / "takes.safetensors")


def test_an_own_class_of_our_name_does_not_take_our_files(tmp_path: Path) -> None:
    path = tmp_path / "model"
    save_model(LinearGaussian(torch.ones(2, 1), torch.zeros(2), 1.0), path)

    class LinearGaussian2(Model):
        pass

    LinearGaussian2.__name__ = "LinearGaussian"
    LinearGaussian2.__init_subclass__()
    assert type(load_model(path)) is LinearGaussian


def test_what_is_not_known_is_named_with_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    for name in ("Elsewhere", "vae_course.models.Elsewhere", "vae_course.nowhere.VAE", "os.path.x"):
        storage.write(path, {"weight": torch.zeros(2)}, {"model": name, "config": {}})
        with pytest.raises(ValueError, match=f"{name}.*define or import the class first"):
            load_model(path)
    storage.write(path, {}, {"model": "VAE", "config": {"image_shape": [1, 8, 8], "colour": 1}})
    with pytest.raises(ValueError, match=r"VAE does not take the arguments it had.*colour"):
        load_model(path)
    storage.write(path, {}, {"model": "VAE", "config": {"image_shape": [1, 4, 4], "latent_dim": 2}})
    with pytest.raises(ValueError, match=r"model\.safetensors gives no model back.*Missing key"):
        load_model(path)


@pytest.mark.parametrize(
    "settings",
    [{}, [], {"model": 3, "config": {}}, {"model": "VAE"}, {"model": "VAE", "config": [1]}]
    + [{"model": "VAE", "config": {"image_shape": x, "latent_dim": 2}} for x in (None, [1], "abc")],
)
def test_settings_that_are_not_ours_end_in_one_named_error(
    settings: object, tmp_path: Path
) -> None:
    path = tmp_path / "model.safetensors"
    storage.write(path, {}, settings)
    with pytest.raises(ValueError, match=r"model\.safetensors"):
        load_model(path)


IN_ANOTHER_PROCESS = """
import sys
from vae_course.models import load_model
assert "vae_course.discrete" not in sys.modules
print(type(load_model(sys.argv[1])).__module__)
assert "vae_course.conditional" not in sys.modules
"""


def test_a_file_imports_the_room_of_its_class_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_model(MODELS["CodePrior"](), path)
    shown = subprocess.run(
        [sys.executable, "-c", IN_ANOTHER_PROCESS, str(path)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert shown.strip() == "vae_course.discrete.code_prior"


def test_a_file_of_before_names_the_class_alone(tmp_path: Path) -> None:
    path, model = tmp_path / "model.safetensors", VAE(SHAPE, 3, widths=(6,))
    storage.write(path, model.state_dict(), {"model": "VAE", "config": model.config})
    assert isinstance(load_model(path), VAE)
