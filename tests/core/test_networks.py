import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from vae_course.conditional import ConditionalVAE, ImagePredictor, LabelPredictor, SemiSupervisedVAE
from vae_course.discrete import VQVAE
from vae_course.heads import FullCovarianceVAE
from vae_course.hierarchical import HierarchicalVAE
from vae_course.models import VAE, Autoencoder
from vae_course.networks import ACTIVATIONS, NETWORKS, encoder_and_decoder
from vae_course.schedules import Constant, CosineDecay, Cyclical, LinearWarmup

SHAPES = [(1, 28, 28), (3, 32, 32), (1, 64, 64), (3, 16, 24)]


@pytest.mark.parametrize("parameters", [1, 2])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("network", NETWORKS)
def test_sizes_follow_from_the_image(
    network: str, shape: tuple[int, int, int], parameters: int
) -> None:
    encoder, decoder = encoder_and_decoder(network, shape, (8, 6), (10, 5), parameters)
    assert encoder(torch.zeros(2, *shape)).shape == (2, 10)
    channels, height, width = shape
    assert decoder(torch.zeros(2, 5)).shape == (2, parameters * channels, height, width)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("network", NETWORKS)
def test_every_activation_fits_between_the_layers(network: str, activation: str) -> None:
    encoder, decoder = encoder_and_decoder(
        network, (1, 8, 8), (6, 4), (10, 5), activation=activation
    )
    assert encoder(torch.zeros(2, 1, 8, 8)).shape == (2, 10)
    assert decoder(torch.zeros(2, 5)).shape == (2, 1, 8, 8)
    bends = {"relu": nn.ReLU, "tanh": nn.Tanh, "gated": nn.GLU}[activation]
    for half in (encoder, decoder):
        assert [layer for layer in half.modules() if isinstance(layer, bends)]


@pytest.mark.parametrize("network", NETWORKS)
def test_unknown_activation_lists_those_there_are(network: str) -> None:
    with pytest.raises(ValueError, match=r"'swish'.*relu, tanh, gated"):
        encoder_and_decoder(network, (1, 8, 8), (6, 4), (2, 2), activation="swish")


@pytest.mark.parametrize("widths", [(4,), (4, 5, 6)])
def test_convolutions_of_any_depth(widths: tuple[int, ...]) -> None:
    encoder, decoder = encoder_and_decoder("conv", (3, 32, 32), widths, (10, 5))
    assert encoder(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    assert decoder(torch.zeros(2, 5)).shape == (2, 3, 32, 32)


@pytest.mark.parametrize("network", NETWORKS)
def test_every_pixel_reaches_the_code_and_every_latent_the_image(network: str) -> None:
    torch.manual_seed(0)
    encoder, decoder = encoder_and_decoder(network, (1, 8, 8), (16, 16), (3, 3))
    x = torch.randn(4, 1, 8, 8, requires_grad=True)
    (gradient,) = torch.autograd.grad(encoder(x).square().sum(), x)
    assert (gradient.abs().sum(0) > 0).all()
    z = torch.randn(4, 3, requires_grad=True)
    (gradient,) = torch.autograd.grad(decoder(z).square().sum(), z)
    assert (gradient.abs() > 0).all()


@pytest.mark.parametrize(
    ("shape", "widths"),
    [((1, 28, 28), (8, 8, 8)), ((1, 30, 32), (8, 8)), ((1, 32, 30), (8, 8)), ((1, 28, 28), ())],
)
def test_images_that_cannot_be_halved_so_often_are_refused_with_a_way_out(
    shape: tuple[int, int, int], widths: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match=f"halves the image {len(widths)} .*{shape[1]}×{shape[2]}"):
        encoder_and_decoder("conv", shape, widths, (2, 2))


def test_an_mlp_without_hidden_layers_is_affine() -> None:
    torch.manual_seed(0)
    encoder, decoder = encoder_and_decoder("mlp", (1, 4, 4), (), (3, 3))
    for network, shape in ((encoder, (1, 4, 4)), (decoder, (3,))):
        a, b = torch.randn(2, 1, *shape)
        origin = network(torch.zeros(1, *shape))
        combined = network(2 * a - 3 * b)
        expected = origin + 2 * (network(a) - origin) - 3 * (network(b) - origin)
        assert_close(combined, expected, rtol=1e-4, atol=1e-5)
        assert not [layer for layer in network.modules() if isinstance(layer, nn.ReLU)]


def test_the_last_layer_has_no_activation() -> None:
    for network in NETWORKS:
        encoder, decoder = encoder_and_decoder(network, (1, 8, 8), (8, 8), (50, 5))
        assert encoder(torch.randn(9, 1, 8, 8)).min() < 0
        assert decoder(torch.randn(9, 5)).min() < 0


def test_unknown_network_lists_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"'resnet'.*mlp, conv"):
        encoder_and_decoder("resnet", (1, 8, 8), (8,), (2, 2))


def test_schedules_at_their_corners() -> None:
    assert [Constant(0.3)(t) for t in (0, 10**9)] == [0.3, 0.3]
    warm = LinearWarmup(10, end=4.0)
    assert [warm(t) for t in (0, 5, 10, 11, 1000)] == [0, 2, 4, 4, 4]
    cyclical = Cyclical(period=10, ramp=0.5, end=2.0)
    assert [cyclical(t) for t in (0, 1, 5, 9, 10, 12, 17)] == pytest.approx(
        [0, 0.4, 2, 2, 0, 0.8, 2]
    )
    cosine = CosineDecay(100, start=1e-3, end=1e-5)
    assert [cosine(t) for t in (0, 50, 100, 500)] == pytest.approx([1e-3, 5.05e-4, 1e-5, 1e-5])
    rates = [cosine(t) for t in range(101)]
    assert rates == sorted(rates, reverse=True)


def test_schedules_compare_and_print_what_they_are() -> None:
    assert repr(LinearWarmup(10)) == "LinearWarmup(steps=10, end=1.0)"
    assert LinearWarmup(10) == LinearWarmup(10) != LinearWarmup(11)


@pytest.mark.parametrize(
    "make",
    [
        lambda: LinearWarmup(0),
        lambda: CosineDecay(-1, 1.0),
        lambda: Cyclical(0),
        lambda: Cyclical(10, ramp=0),
        lambda: Cyclical(10, ramp=1.5),
    ],
)
def test_schedules_refuse_lengths_that_are_none(make: object) -> None:
    with pytest.raises(ValueError, match="is not"):
        make()


GRAY = (1, 8, 8)
MISTAKEN = {
    "ints in places of shapes": (lambda: VAE(64, 2), TypeError, r"image_shape = 64.*\(channels, h"),
    "no latents": (lambda: VAE(GRAY, 0), ValueError, "latent_dim = 0"),
    "negative latents": (lambda: Autoencoder(GRAY, -2), ValueError, "latent_dim = -2"),
    "half a latent": (lambda: VAE(GRAY, 2.5), TypeError, "latent_dim = 2.5 is not a whole"),
    "a truth value": (lambda: FullCovarianceVAE(GRAY, True), TypeError, "latent_dim = True"),
    "no pixels": (lambda: VAE((1, 0, 8), 2), ValueError, r"image_shape\[1\] = 0"),
    "no channels": (
        lambda: Autoencoder((8, 8), 2),
        ValueError,
        r"\(8, 8\) has 2 sizes.*\(channels",
    ),
    "a word": (lambda: VAE("gray", 2), TypeError, "image_shape = 'gray'"),
    "no hidden units": (lambda: VAE(GRAY, 2, widths=(8, 0)), ValueError, r"widths\[1\] = 0"),
    "no hidden channels": (
        lambda: VAE(GRAY, 2, network="conv", widths=(0,)),
        ValueError,
        r"widths\[0\] = 0",
    ),
    "one width": (lambda: VAE(GRAY, 2, widths=8), TypeError, r"widths = 8.*give \(8,\)"),
    "no classes": (lambda: ConditionalVAE(GRAY, 2, condition=0), ValueError, "condition = 0"),
    "classes as a word": (lambda: LabelPredictor(GRAY, classes="3"), TypeError, "classes = '3'"),
    "no known classes": (lambda: SemiSupervisedVAE(GRAY, 2, classes=0), ValueError, "classes = 0"),
    "a condition without channels": (
        lambda: ConditionalVAE(GRAY, 2, condition=(8, 8)),
        ValueError,
        r"condition = \(8, 8\) has 2 sizes",
    ),
    "a number as a condition": (
        lambda: ImagePredictor(GRAY, condition=3),
        TypeError,
        "condition = 3 is no shape",
    ),
    "conditional widths": (
        lambda: ConditionalVAE(GRAY, 2, condition=3, widths=(0,)),
        ValueError,
        r"widths\[0\] = 0",
    ),
    "no width of a map": (
        lambda: VQVAE(GRAY, codebook_size=4, dim=2, width=0),
        ValueError,
        "width = 0",
    ),
    "no shape of a map": (lambda: VQVAE(8), TypeError, "image_shape = 8"),
    "no shape of a stack": (
        lambda: HierarchicalVAE((8, 8), (2,), widths=((4,),)),
        ValueError,
        r"image_shape = \(8, 8\) has 2 sizes",
    ),
    "an empty layer": (
        lambda: HierarchicalVAE(GRAY, (4, 0), widths=((8,), (8,))),
        ValueError,
        r"latents\[1\] = 0",
    ),
}


@pytest.mark.parametrize("name", MISTAKEN)
def test_sizes_are_whole_numbers_from_one_on_and_asked_for_by_name(name: str) -> None:
    make, kind, sentence = MISTAKEN[name]
    with pytest.raises(kind, match=sentence):
        make()


def test_sizes_may_be_any_kind_of_whole_number() -> None:
    model = VAE(np.array(GRAY), torch.tensor(2), widths=np.array([4]))
    assert model.image_shape == GRAY and model.latent_dim == 2
    assert model(torch.zeros(3, *GRAY)).z.shape == (3, 2)


@pytest.mark.parametrize(
    ("shape", "way"),
    [
        ((5, 4, 6, 3), r"permute\(0, 3, 1, 2\)"),
        ((5, 72), r"reshape\(-1, 3, 4, 6\)"),
        ((3, 4, 6), r"images\[None\]"),
        ((5, 3, 6, 4), r"transpose them, or build the model with their image_shape"),
    ],
)
def test_a_shape_that_does_not_fit_comes_with_the_way_to_it(
    shape: tuple[int, ...], way: str
) -> None:
    with pytest.raises(ValueError, match=way):
        VAE((3, 4, 6), 2, widths=(4,)).encode(torch.zeros(shape))


def test_codes_are_looked_at_before_they_are_decoded() -> None:
    model = VAE(GRAY, 2, widths=(4,))
    for z, kind, sentence in (
        (np.zeros((3, 2)), TypeError, "codes are a ndarray, not a tensor"),
        (torch.tensor(0.0), ValueError, r"codes have shape \(\)"),
        (torch.zeros(3, 2).double(), ValueError, r"codes are torch.float64.*torch.float32"),
        (torch.zeros(3, 2).long(), ValueError, r"use \.to\(torch.float32\)$"),
    ):
        with pytest.raises(kind, match=sentence):
            model.decode(z)


def test_images_and_codes_are_in_the_precision_of_the_weights() -> None:
    rounded, x = Autoencoder(GRAY, 2, widths=(4,)).bfloat16(), torch.zeros(3, *GRAY)
    with pytest.raises(ValueError, match=r"images are torch.float32.*model.to\(torch.float32\)"):
        rounded.encode(x)
    with pytest.raises(ValueError, match=r"codes are torch.float32.*computes in torch.bfloat16"):
        rounded.decode(rounded.encode(x.bfloat16()))
    with pytest.raises(ValueError, match=r"images are torch.float64.*computes in torch.float32"):
        rounded.float().encode(x.double())
