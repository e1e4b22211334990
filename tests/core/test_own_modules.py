"""Own modules wherever a name is taken; what does not fit is said at construction."""

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Laplace

from vae_course.conditional import ConditionalVAE, ConditionedMLP, ImagePredictor, LabelPredictor
from vae_course.discrete import VQVAE, FiniteScalar
from vae_course.disentangling import FactorVAE
from vae_course.distributions import kl
from vae_course.heads import FullCovarianceVAE, VarianceHeadVAE, cholesky_outputs
from vae_course.hierarchical import HierarchicalVAE, Stages
from vae_course.models import VAE, Autoencoder

SHAPE = (1, 4, 4)


def encoder(outputs: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1),
        nn.BatchNorm2d(2),
        nn.Dropout(0.5),
        nn.Flatten(),
        nn.Linear(32, outputs),
    )


def decoder(inputs: int, channels: int = 1) -> nn.Module:
    return nn.Sequential(nn.Linear(inputs, 16 * channels), nn.Unflatten(1, (channels, 4, 4)))


class LaplaceLikelihood(nn.Module):
    parameters_per_pixel = 2

    def forward(self, outputs: Tensor) -> Distribution:
        location, log_scale = outputs.chunk(2, dim=-3)
        return Independent(Laplace(location, log_scale.exp()), 3)


class Ladder:
    """Stages that fit two layers of three and two latents."""

    def __init__(self, **other: object) -> None:
        trunks = [nn.Sequential(nn.Flatten(), nn.Linear(16, 5)), nn.Linear(5, 5)]
        heads = [nn.Linear(5, 6), nn.Linear(5, 4)]
        self.parts = {
            "trunks": trunks,
            "heads": heads,
            "conditionals": [nn.Linear(2, 6)],
            "decoder": decoder(3),
            **other,
        }

    def __call__(self) -> HierarchicalVAE:
        return HierarchicalVAE(SHAPE, (3, 2), network=Stages(**self.parts))


OWN = {
    "VAE": lambda: VAE(SHAPE, 3, network=(encoder(6), decoder(3))),
    "likelihood": lambda: VAE(
        SHAPE, 3, network=(encoder(6), decoder(3, 2)), likelihood=LaplaceLikelihood()
    ),
    "likelihood beside a name": lambda: VAE(SHAPE, 3, likelihood=LaplaceLikelihood()),
    "activation": lambda: VAE(SHAPE, 3, network="conv", widths=(4, 4), activation=nn.GELU),
    "FactorVAE": lambda: FactorVAE(
        SHAPE, 3, discriminator_widths=(4,), network=(encoder(6), decoder(3))
    ),
    "FullCovarianceVAE": lambda: FullCovarianceVAE(
        SHAPE, 3, network=(encoder(cholesky_outputs(3)), decoder(3))
    ),
    "VarianceHeadVAE": lambda: VarianceHeadVAE(
        SHAPE, 3, head="softplus", network=(encoder(6), decoder(3))
    ),
    "stages": Ladder(),
}


@pytest.mark.parametrize("name", OWN)
def test_a_model_of_own_modules_has_gradients_everywhere(name: str) -> None:
    torch.manual_seed(0)
    model = OWN[name]()
    x = torch.randint(0, 2, (5, *SHAPE)).float()
    out = model(x, torch.Generator().manual_seed(0))
    assert out.p.log_prob(x).shape == (5,)
    out.p.log_prob(x).sum().backward()
    decoders = [p for n, p in model.named_parameters() if n.startswith("decoder")]
    assert decoders and all(p.grad is not None for p in decoders)


def test_an_autoencoder_and_predictors_take_own_modules() -> None:
    x = torch.rand(5, *SHAPE)
    assert Autoencoder(SHAPE, 3, network=(encoder(3), decoder(3)))(x).shape == x.shape
    assert LabelPredictor(SHAPE, classes=3, activation=nn.SiLU)(x).logits.shape == (5, 3)
    p = ImagePredictor(SHAPE, condition=SHAPE, likelihood=LaplaceLikelihood())(x)
    assert p.log_prob(x).shape == (5,)


def test_a_conditional_vae_takes_networks_of_two_inputs() -> None:
    networks = (ConditionedMLP(16, 3, (4,), 4), ConditionedMLP(2, 3, (4,), 16))
    model = ConditionalVAE(SHAPE, 2, condition=3, network=networks)
    x, y = torch.rand(5, *SHAPE), torch.tensor([0, 1, 2, 0, 1])
    q = model.encode(x, y)
    assert model.encoder is networks[0] and q.batch_shape == (5,)
    assert model.decode(q.mean, y).log_prob(x).shape == (5,)
    with pytest.raises(ValueError, match=r"the encoder gives \(2, 5\) .*expected is \(batch, 4\)"):
        ConditionalVAE(SHAPE, 2, condition=3, network=(ConditionedMLP(16, 3, (4,), 5), networks[1]))


def test_a_vq_vae_takes_networks_and_a_quantizer() -> None:
    networks = (nn.Conv2d(1, 2, 2, stride=2), nn.ConvTranspose2d(2, 1, 2, stride=2))
    model = VQVAE(SHAPE, quantizer=FiniteScalar((3, 3)), network=networks)
    x = torch.rand(5, *SHAPE)
    assert model.map_shape == (2, 2) and model(x).quantization.indices.shape == (5, 2, 2)
    with pytest.raises(ValueError, match=r"the encoder gives \(2, 2, 2\).*dim = 3"):
        VQVAE(SHAPE, quantizer=FiniteScalar((3, 3, 3)), network=networks)
    with pytest.raises(ValueError, match=r"the encoder gives \(6,\)"):
        VQVAE(SHAPE, quantizer=FiniteScalar((3, 3)), network=(encoder(6), networks[1]))
    with pytest.raises(ValueError, match=r"the decoder gives \(2, 2, 4, 4\)"):
        VQVAE(
            SHAPE,
            quantizer=FiniteScalar((3, 3)),
            network=(networks[0], nn.ConvTranspose2d(2, 2, 2, stride=2)),
        )
    with pytest.raises(ValueError, match="decay: the quantizer is there"):
        VQVAE(SHAPE, quantizer=FiniteScalar((3, 3)), decay=0.9)


class Bare(nn.Module):
    """A likelihood that forgets the last step: it gives the numbers, or pixels one by one."""

    parameters_per_pixel = 1

    def __init__(self, kind: object) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, outputs: Tensor) -> object:
        return Laplace(outputs, 1.0) if self.kind is Laplace else outputs


@pytest.mark.parametrize("prior", ["learned", "standard"])
def test_a_model_computes_in_the_precision_of_its_own_networks(prior: str) -> None:
    model = VAE(SHAPE, 3, network=(encoder(6).double(), decoder(3).double()))
    x, y = torch.rand(5, *SHAPE), torch.tensor([0, 1, 2, 0, 1])
    assert model.decode(model.prior().sample((5,))).log_prob(x.double()).dtype == torch.float64
    assert kl(model.encode(x.double()), model.prior()).dtype == torch.float64
    with pytest.raises(ValueError, match=r"images are torch.float32.*\.to\(torch.float64\)"):
        model.encode(x)
    networks = (ConditionedMLP(16, 3, (4,), 4).double(), ConditionedMLP(2, 3, (4,), 16).double())
    given = ConditionalVAE(SHAPE, 2, condition=3, network=networks, prior=prior)
    z = given.prior(y).sample()
    assert z.dtype == given.decode(z, y).log_prob(x.double()).dtype == torch.float64


@pytest.mark.parametrize(
    ("make", "kind", "sentence"),
    [
        (lambda: VAE(SHAPE, 3, network="cnn"), ValueError, r"'cnn'.*mlp, conv.*\(encoder, dec"),
        (lambda: VAE(SHAPE, 3, network=(encoder(6),)), ValueError, "unknown network"),
        (lambda: VAE(SHAPE, 3, network=(encoder, decoder(3))), TypeError, "encoder is a function"),
        (
            lambda: VAE(SHAPE, 3, network=(encoder(3), decoder(3))),
            ValueError,
            r"the encoder gives \(2, 3\) for two inputs \(batch, 1, 4, 4\); expected is \(batch, 6",
        ),
        (
            lambda: VAE(SHAPE, 3, network=(encoder(6), decoder(3, 2))),
            ValueError,
            r"the decoder gives \(2, 2, 4, 4\).*expected is \(batch, 1, 4, 4\)",
        ),
        (
            lambda: VAE(SHAPE, 3, network=(nn.Linear(7, 6), decoder(3))),
            ValueError,
            r"the encoder does not take \(batch, 1, 4, 4\)",
        ),
        (
            lambda: VAE(SHAPE, 3, network=(nn.LSTM(4, 6), decoder(3))),
            ValueError,
            "the encoder (does not take|gives a tuple)",
        ),
        (
            lambda: FullCovarianceVAE(SHAPE, 3, network=(encoder(6), decoder(3))),
            ValueError,
            r"expected is \(batch, 9\)",
        ),
        (
            lambda: VarianceHeadVAE(
                SHAPE,
                3,
                head="relu",
                network=(nn.Sequential(encoder(7), nn.Linear(7, 6, bias=False)), decoder(3)),
            ),
            ValueError,
            "has to be the bias",
        ),
        (lambda: VAE(SHAPE, 3, likelihood=nn.ReLU()), ValueError, "ReLU .*parameters_per_pixel"),
        (lambda: VAE(SHAPE, 3, likelihood="poisson"), ValueError, "'poisson'"),
        (
            lambda: VAE(SHAPE, 3, likelihood=LaplaceLikelihood),
            TypeError,
            "likelihood = LaplaceLikelihood is a class: .*make one",
        ),
        (
            lambda: VQVAE(SHAPE, codebook_size=4, dim=2, likelihood=LaplaceLikelihood),
            TypeError,
            "is a class",
        ),
        (lambda: VAE(SHAPE, 3, likelihood=torch.sigmoid), TypeError, "neither a name.*Module"),
        (lambda: VAE(SHAPE, 3, likelihood=Bare(1)), TypeError, "Bare .* gives a Tensor"),
        (
            lambda: VAE(SHAPE, 3, likelihood=Bare(Laplace)),
            ValueError,
            r"Bare .*batch shape \(2, 1, 4, 4\) and event shape \(\).*Independent\(pixels, 3\)",
        ),
        (lambda: VAE(SHAPE, 3, network=(nn.Linear, nn.Linear)), TypeError, "<class.*Linear.*made"),
        (lambda: VAE(SHAPE, 3, network=encoder(6)), ValueError, r"unknown network Sequential\("),
        (
            lambda: VAE(SHAPE, 3, network=(encoder(6).double(), decoder(3))),
            ValueError,
            "encoder computes in torch.float64 and the decoder in torch.float32",
        ),
        (lambda: VAE(SHAPE, 3, activation="gelu"), ValueError, "'gelu'.*torch.nn.GELU"),
        (lambda: VAE(SHAPE, 3, activation=torch.zeros), ValueError, "unknown activation <built-in"),
        (
            Ladder(heads=[nn.Linear(5, 6), nn.Linear(5, 5)]),
            ValueError,
            r"head 2 gives \(2, 5\).*\(batch, 4\)",
        ),
        (Ladder(heads=[nn.Linear(5, 6)]), ValueError, "2 trunks, 1 heads and 1 conditionals"),
        (
            Ladder(conditionals=[nn.Linear(2, 3)]),
            ValueError,
            r"conditional 1 gives \(2, 3\).*\(batch, 6\)",
        ),
        (lambda: HierarchicalVAE(SHAPE, (3,), network="cnn"), ValueError, "or give Stages"),
    ],
)
def test_what_does_not_fit_is_said_at_construction(
    make: object, kind: type[Exception], sentence: str
) -> None:
    with pytest.raises(kind, match=sentence):
        make()


def test_the_look_at_a_network_leaves_it_as_it_was() -> None:
    torch.manual_seed(0)
    network = encoder(6)
    network[1].eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    stream = torch.get_rng_state()
    VAE(SHAPE, 3, network=(network, decoder(3)))
    decoder(3)
    torch.set_rng_state(stream)
    made = decoder(3)
    stream = torch.get_rng_state()
    VAE(SHAPE, 3, network=(network, made))
    assert torch.equal(torch.get_rng_state(), stream)
    assert network.training and not network[1].training
    assert all(torch.equal(network.state_dict()[name], tensor) for name, tensor in before.items())
