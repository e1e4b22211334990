import math

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from vae_course.data import load, to_unit
from vae_course.distributions import DiagonalGaussian
from vae_course.evidence import refine_posterior
from vae_course.metrics import (
    Classifier,
    active_units,
    bits_per_dim,
    estimate_elbo,
    fashion_classifier,
    fit_pca,
    frechet_distance,
    log_marginal,
)
from vae_course.models import VAE, LinearGaussian
from vae_course.objectives import gaussian_kl, iwae_bound, log_weights


class Spy:
    """A model that counts what it is asked to decode."""

    def __init__(self, model: LinearGaussian) -> None:
        self.model = model
        self.decoded: list[int] = []

    def prior(self) -> DiagonalGaussian:
        return self.model.prior()

    def encode(self, x: torch.Tensor) -> DiagonalGaussian:
        q = self.model.encode(x)
        return DiagonalGaussian(q.mean + 0.2, q.log_var + 0.3)

    def decode(self, z: torch.Tensor) -> torch.distributions.Distribution:
        self.decoded.append(z.shape[:-1].numel())
        return self.model.decode(z)


def test_log_marginal_is_exact_when_q_is_the_posterior(line: LinearGaussian) -> None:
    torch.manual_seed(0)
    x = line.marginal().sample((9,))
    for k, chunk in ((1, 4096), (7, 5), (50, 4096)):
        assert_close(log_marginal(line, x, k, chunk=chunk), line.marginal().log_prob(x))


def test_log_marginal_converges_to_log_px_from_below(linear: LinearGaussian) -> None:
    torch.manual_seed(0)
    x = linear.marginal().sample((200,))
    spy, exact = Spy(linear), linear.marginal().log_prob(x)
    gaps = [float((exact - log_marginal(spy, x, k)).mean()) for k in (1, 10, 1000)]
    assert gaps[0] > gaps[1] > gaps[2] > -0.01
    assert gaps[2] < 0.02


@pytest.mark.parametrize(("k", "chunk"), [(1, 4096), (10, 64), (64, 64), (100, 7), (5, 1)])
def test_exactly_k_samples_an_image_in_pieces_no_larger_than_the_chunk(
    k: int, chunk: int, linear: LinearGaussian, x: torch.Tensor
) -> None:
    spy = Spy(linear)
    assert log_marginal(spy, x, k, chunk=chunk).shape == (8,)
    assert sum(spy.decoded) == 8 * k
    assert max(spy.decoded) <= chunk
    spy = Spy(linear)
    estimate = estimate_elbo(spy, x, samples=k, chunk=chunk)
    assert estimate.elbo.shape == estimate.kl.shape == estimate.reconstruction.shape == (8,)
    assert sum(spy.decoded) == 8 * k
    assert max(spy.decoded) <= chunk


def test_chunks_do_not_change_the_estimate(linear: LinearGaussian, x: torch.Tensor) -> None:
    model, many = Spy(linear), x[:1].expand(1000, -1)
    whole = iwae_bound(log_weights(model, many, 20))
    pieces = log_marginal(model, many, 20, chunk=7)
    error = math.sqrt((float(whole.var()) + float(pieces.var())) / 1000)
    assert abs(float(whole.mean() - pieces.mean())) < 4 * error
    assert float(pieces.std() / whole.std()) == pytest.approx(1, abs=0.15)


def test_log_marginal_survives_weights_far_outside_floats_range(line: LinearGaussian) -> None:
    x = torch.full((2, 5), 300.0, dtype=torch.float64)
    exact = line.marginal().log_prob(x)
    assert float(exact.max()) < -10_000
    assert_close(log_marginal(line, x, 10, chunk=3), exact)


def test_estimated_elbo_is_the_closed_form_within_its_error(linear: LinearGaussian) -> None:
    torch.manual_seed(0)
    x = linear.marginal().sample((1,)).expand(2000, -1)
    estimate = estimate_elbo(linear, x, samples=3)
    q = linear.encode(x)
    assert_close(estimate.kl, gaussian_kl(q.mean, q.log_var).sum(-1))
    assert_close(estimate.elbo, -estimate.reconstruction - estimate.kl)
    error = float(estimate.elbo.std()) / math.sqrt(2000)
    assert abs(float((estimate.elbo - linear.optimal_elbo(x)).mean())) < 4 * error + 1e-12
    one = estimate_elbo(Spy(linear), x, samples=1).elbo.std()
    nine = estimate_elbo(Spy(linear), x, samples=9).elbo.std()
    assert float(one / nine) == pytest.approx(3, rel=0.15)


def test_metrics_carry_no_gradient_and_repeat_with_their_generator() -> None:
    torch.manual_seed(0)
    model, x = VAE((1, 4, 4), 2, widths=(8,)), torch.rand(5, 1, 4, 4).round()
    for run in (
        lambda g: log_marginal(model, x, 3, generator=g),
        lambda g: estimate_elbo(model, x, generator=g).elbo,
    ):
        one = run(torch.Generator().manual_seed(1))
        assert not one.requires_grad and one.dtype == torch.float32
        assert torch.equal(one, run(torch.Generator().manual_seed(1)))
        assert not torch.equal(one, run(torch.Generator().manual_seed(2)))


def test_fewer_than_one_sample_is_refused(linear: LinearGaussian, x: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="k = 0"):
        log_marginal(linear, x, 0)
    with pytest.raises(ValueError, match="samples = 0"):
        estimate_elbo(linear, x, samples=0)


def test_refining_an_encoder_that_is_off_reaches_the_best_diagonal_gaussian(
    linear: LinearGaussian, x: torch.Tensor, generator: torch.Generator
) -> None:
    best = linear.encode(x)
    q = refine_posterior(Spy(linear), x, steps=300, samples=16, generator=generator)
    assert q.batch_shape == (8,) and not q.mean.requires_grad
    assert_close(q.mean, best.mean, rtol=0, atol=0.05)
    assert_close(q.log_var, best.log_var, rtol=0, atol=0.1)


def test_refining_leaves_the_model_alone() -> None:
    torch.manual_seed(0)
    model, x = VAE((1, 4, 4), 2, widths=(8,)), torch.rand(5, 1, 4, 4).round()
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    q = refine_posterior(model, x, steps=3)
    assert not torch.equal(q.mean, model.encode(x).mean)
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
    assert all(weight.grad is None for weight in model.parameters())


def test_pca_error_is_the_variance_left_out_and_no_other_directions_do_better(
    generator: torch.Generator,
) -> None:
    scale = torch.linspace(0.1, 2, 12, dtype=torch.float64).view(1, 3, 4)
    x = 5 + scale * torch.randn(200, 1, 3, 4, generator=generator, dtype=torch.float64)
    pca = fit_pca(x)
    for k in (0, 3, 11, 12):
        error = (x - pca.reconstruct(x, k)).square().flatten(1).sum(1).mean()
        assert_close(error, pca.variances[k:].sum())
    flat = (x - x.mean(0)).flatten(1)
    assert_close(pca.variances, torch.linalg.svdvals(flat).square() / 200)
    assert_close(pca.components @ pca.components.T, torch.eye(12, dtype=torch.float64))
    for _ in range(20):
        others = torch.linalg.qr(torch.randn(12, 3, dtype=torch.float64)).Q
        assert (flat - flat @ others @ others.T).square().sum(1).mean() > pca.variances[3:].sum()
    with pytest.raises(ValueError, match="k = 13"):
        pca.reconstruct(x, 13)


def test_bits_per_dim_of_uniform_noise_is_eight_and_of_a_fair_coin_one() -> None:
    shape = (3, 32, 32)
    uniform = torch.tensor([-3072 * math.log(256)])
    assert_close(bits_per_dim(uniform, shape), torch.tensor([8.0]))
    coin = torch.distributions.Bernoulli(torch.full(shape, 0.5))
    log_px = coin.log_prob(coin.sample()).sum().view(1)
    assert_close(bits_per_dim(log_px, shape), torch.tensor([1.0]))


def test_active_units_are_those_whose_posterior_mean_moves(generator: torch.Generator) -> None:
    scale = torch.tensor([1.0, 0.2, 0.05, 0.0])
    means = 7 + scale * torch.randn(5000, 4, generator=generator)
    assert active_units(means).tolist() == [True, True, False, False]
    assert active_units(means, threshold=0.5).tolist() == [True, False, False, False]


class Raw:
    """A classifier whose features are the pixels themselves."""

    num_features = 3
    features = torch.nn.Flatten()


def test_frechet_distance_is_the_closed_form_of_two_gaussians(generator: torch.Generator) -> None:
    means, sigmas = torch.tensor([[0.0, 1, 2], [1, 1, 0]]), torch.tensor([[1.0, 2, 3], [1, 5, 1]])
    draws = torch.randn(2, 100_000, 3, generator=generator)
    one, other = (means[:, None] + sigmas[:, None] * draws).view(2, -1, 3, 1, 1)
    exact = float((means[0] - means[1]).square().sum() + (sigmas[0] - sigmas[1]).square().sum())
    assert frechet_distance(one, other, Raw()) == pytest.approx(exact, rel=0.03)


def moments_frechet(one: torch.Tensor, other: torch.Tensor, classifier: Classifier) -> float:
    """Compute by numpy, with tr (C₁ C₂)^½ from the symmetric C₁^½ C₂ C₁^½."""
    with torch.no_grad():
        a, b = (classifier.features(images).double().numpy() for images in (one, other))
    c1, c2 = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    values, vectors = np.linalg.eigh(c1)
    root = vectors * np.sqrt(values.clip(0)) @ vectors.T
    overlap = np.sqrt(np.linalg.eigvalsh(root @ c2 @ root).clip(0)).sum()
    difference = a.mean(0) - b.mean(0)
    return float(difference @ difference + np.trace(c1 + c2) - 2 * overlap)


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return to_unit(load("fashion-mnist-mini", "test").images)


def test_frechet_distance_of_images_is_that_of_their_features_moments(images: torch.Tensor) -> None:
    judge = fashion_classifier()
    real, noisy = images[:300], (images[300:700] + 0.2 * torch.rand(400, 1, 28, 28)).clamp(0, 1)
    ours = frechet_distance(real, noisy, judge)
    assert ours == pytest.approx(moments_frechet(real, noisy, judge), rel=1e-6)
    assert ours == pytest.approx(frechet_distance(noisy, real, judge), rel=1e-6)
    assert ours > 2 * frechet_distance(real, images[300:700], judge)


def test_frechet_distance_of_a_set_to_itself_is_zero(images: torch.Tensor) -> None:
    judge = fashion_classifier()
    assert abs(frechet_distance(images[:300], images[:300], judge)) < 1e-3
    assert abs(frechet_distance(images[:300], images[:300].flip(0), judge)) < 1e-3


def test_frechet_distance_needs_more_images_than_features(images: torch.Tensor) -> None:
    judge = fashion_classifier()
    with pytest.raises(ValueError, match="64 real images"):
        frechet_distance(images[:64], images[:100], judge)
    with pytest.raises(ValueError, match="10 generated images"):
        frechet_distance(images[:100], images[:10], judge)


def test_the_judge_of_fashion_mnist_knows_its_classes(images: torch.Tensor) -> None:
    judge = fashion_classifier()
    labels = load("fashion-mnist-mini", "test").labels
    probabilities = judge.probabilities(images, batch=700)
    assert probabilities.shape == (2000, 10) and not probabilities.requires_grad
    assert_close(probabilities.sum(1), torch.ones(2000))
    assert float((probabilities.argmax(1) == labels).float().mean()) > 0.9
    assert not judge.training
    assert judge is fashion_classifier()
