"""Conditional VAE, M2 and predictors: closed forms, integration over z, sums over y by hand."""

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.distributions import kl_divergence
from torch.testing import assert_close

from vae_course.conditional import (
    UNKNOWN,
    ConditionalELBOLoss,
    ConditionalVAE,
    ConditionedMLP,
    ImagePredictor,
    LabelPredictor,
    SemiSupervisedLoss,
    SemiSupervisedVAE,
    class_log_marginals,
    conditional_log_marginal,
    conditional_terms,
    log_mixture,
    prediction_loss,
    unlabeled_bound,
)
from vae_course.data import Labeled, binarize
from vae_course.distributions import DiagonalGaussian, kl
from vae_course.evidence import grid_log_joint, latent_grid, prior_log_weights
from vae_course.metrics import estimate_elbo, log_marginal
from vae_course.models import VAE, load_model, sample_images, save_model
from vae_course.objectives import ELBOLoss, gaussian_kl, iwae_bound, log_weights
from vae_course.priors import SampledELBOLoss
from vae_course.schedules import Constant
from vae_course.training import fit

SHAPE, HALF, CLASSES = (1, 4, 4), (1, 2, 4), 3


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def conditional(condition: object = CLASSES, latent: int = 2, **options: object) -> ConditionalVAE:
    torch.manual_seed(0)
    model = ConditionalVAE(SHAPE, latent, condition=condition, widths=(8, 6), **options)
    if model.prior_network is not None:  # away from N(0, I), where it starts
        for parameter in model.prior_network.parameters():
            torch.nn.init.normal_(parameter, std=0.7, generator=seeded(1))
    return model


def semi_supervised() -> SemiSupervisedVAE:
    torch.manual_seed(0)
    return SemiSupervisedVAE(SHAPE, 2, classes=CLASSES, widths=(8, 6))


def still(model: ConditionalVAE | SemiSupervisedVAE) -> None:
    """Make q(z|x, y) a point, so that nothing depends on the noise."""
    vae = model.vae if isinstance(model, SemiSupervisedVAE) else model
    last = vae.encoder.rest[-1]
    with torch.no_grad():
        last.weight[vae.latent_dim :] = 0
        last.bias[vae.latent_dim :] = -60


@pytest.fixture
def batch() -> Labeled:
    return Labeled(
        torch.randint(0, 2, (6, *SHAPE), generator=seeded()).float(), torch.arange(6) % 3
    )


# --- the divergence ---------------------------------------------------------------------------


numbers = st.floats(-3, 3, allow_subnormal=False)


@given(st.lists(st.tuples(numbers, numbers, numbers, numbers), min_size=1, max_size=4))
def test_kl_is_torchs_and_zero_only_between_equals(rows: list[tuple[float, ...]]) -> None:
    mean, log_var, prior_mean, prior_log_var = torch.tensor(rows, dtype=torch.float64).T
    q, p = DiagonalGaussian(mean, log_var), DiagonalGaussian(prior_mean, prior_log_var)
    assert_close(kl(q, p), kl_divergence(q.base_dist, p.base_dist).sum(-1))
    assert_close(kl(q, q), torch.zeros((), dtype=torch.float64))
    zero = DiagonalGaussian(torch.zeros_like(mean), torch.zeros_like(mean))
    assert_close(kl(q, zero), gaussian_kl(mean, log_var).sum())


def test_kl_is_the_mean_of_the_log_ratio_and_broadcasts() -> None:
    q = DiagonalGaussian(
        torch.randn(5, 2, generator=seeded()), torch.randn(5, 2, generator=seeded(1))
    )
    p = DiagonalGaussian(torch.randn(3, 1, 2, generator=seeded(2)), torch.zeros(3, 1, 2))
    z = q.sample((100_000,), seeded(3)).unsqueeze(1)  # (samples, 1, 5, 2)
    sampled = (q.log_prob(z) - p.log_prob(z)).mean(0)
    assert kl(q, p).shape == (3, 5)
    assert_close(kl(q, p), sampled, atol=0.05, rtol=0.02)


# --- the model --------------------------------------------------------------------------------


@pytest.mark.parametrize("prior", ["learned", "standard"])
@pytest.mark.parametrize("likelihood", ["bernoulli", "discretized-logistic"])
def test_labels_in_distributions_out(prior: str, likelihood: str, batch: Labeled) -> None:
    model = conditional(prior=prior, likelihood=likelihood)
    x, y = batch.images, batch.labels
    q, p = model.encode(x, y), model.prior(y)
    assert isinstance(q, DiagonalGaussian) and isinstance(p, DiagonalGaussian)
    assert q.batch_shape == p.batch_shape == (6,) and q.event_shape == (2,)
    z = q.rsample((4,), seeded())
    assert model.decode(z, y).log_prob(x).shape == (4, 6)
    assert model.decode(z, y).mean.shape == (4, 6, *SHAPE)


@pytest.mark.parametrize("activation", ["relu", "tanh", "gated"])
def test_all_classes_at_once_are_the_classes_one_by_one(activation: str, batch: Labeled) -> None:
    model, x = conditional(activation=activation), batch.images
    every = torch.arange(CLASSES).unsqueeze(1)
    q = model.encode(x, every)
    assert q.batch_shape == (CLASSES, 6)
    log_px, kl = conditional_terms(model, x, every, seeded())
    z = q.rsample(generator=seeded())
    for c in range(CLASSES):
        y = torch.full((6,), c)
        assert_close(q.mean[c], model.encode(x, y).mean)
        assert_close(log_px[c], model.decode(z[c], y).log_prob(x))
        assert_close(kl[c], kl_divergence(model.encode(x, y), model.prior(y)))


def test_a_label_is_its_one_hot_code_times_a_matrix() -> None:
    network = ConditionedMLP(3, 4, (5, 2), 2)
    u, y = torch.randn(7, 3, generator=seeded()), torch.arange(7) % 4
    joint = torch.cat([network.first.weight, network.condition.weight.T], dim=1)
    one_hot = torch.nn.functional.one_hot(y, 4).float()
    hidden = torch.cat([u, one_hot], dim=1) @ joint.T + network.first.bias
    assert_close(network(u, y), network.rest(hidden))


def test_the_learned_prior_starts_as_a_standard_normal() -> None:
    torch.manual_seed(0)
    for condition, y in ((CLASSES, torch.arange(3)), (HALF, torch.rand(3, *HALF))):
        model = ConditionalVAE(SHAPE, 2, condition=condition, widths=(4,))
        assert_close(model.prior(y).mean, torch.zeros(3, 2))
        assert_close(model.prior(y).stddev, torch.ones(3, 2))


def test_every_part_depends_on_the_condition(batch: Labeled) -> None:
    model, x = conditional(), batch.images
    zero, one = torch.zeros(6, dtype=torch.long), torch.ones(6, dtype=torch.long)
    z = torch.zeros(6, 2)
    assert not torch.allclose(model.encode(x, zero).mean, model.encode(x, one).mean)
    assert not torch.allclose(model.decode(z, zero).mean, model.decode(z, one).mean)
    assert not torch.allclose(model.prior(zero).mean, model.prior(one).mean)


def test_with_the_condition_off_it_is_the_plain_vae(batch: Labeled) -> None:
    model = conditional(prior="standard")
    plain = VAE(SHAPE, 2, widths=(8, 6))
    with torch.no_grad():
        for mine, theirs in ((model.encoder, plain.encoder), (model.decoder, plain.decoder)):
            mine.condition.weight.zero_()
            theirs.layers[0].load_state_dict(mine.first.state_dict())
            for i in range(1, len(theirs.layers)):
                theirs.layers[i].load_state_dict(mine.rest[i - 1].state_dict())
    for beta in (1.0, 0.3):
        terms = ConditionalELBOLoss(Constant(beta))(model, batch, 0, seeded())
        wanted = ELBOLoss(Constant(beta))(plain, batch.images, 0, seeded())
        assert_close(terms.loss, wanted.loss)
        assert_close(terms.reconstruction, wanted.reconstruction)
        assert_close(terms.kl, wanted.kl)


def test_an_image_may_be_the_condition() -> None:
    model = conditional(HALF)
    x, y = torch.rand(5, *SHAPE).round(), torch.rand(5, *HALF)
    terms = ConditionalELBOLoss()(model, Labeled(x, y), 0, seeded())
    assert terms.loss.shape == terms.kl.shape == (5,)
    z = torch.randn(7, 5, 2)
    p = model.decode(z, y)
    assert p.batch_shape == (7, 5)
    assert_close(p.mean[:, 2], model.decode(z[:, 2], y[2:3]).mean)
    assert model.prior(y).batch_shape == (5,)


def test_wrong_arguments_are_refused_by_name(batch: Labeled) -> None:
    x, y = batch.images, batch.labels
    with pytest.raises(ValueError, match="unknown prior 'vamp'"):
        conditional(prior="vamp")
    with pytest.raises(ValueError, match="at least one width"):
        ConditionalVAE(SHAPE, 2, condition=3, widths=())
    with pytest.raises(ValueError, match=r"whole numbers.*float32"):
        conditional().encode(x, y.float())
    with pytest.raises(ValueError, match=r"latent size is 2"):
        conditional().decode(torch.zeros(6, 3), y)
    with pytest.raises(ValueError, match=r"\(6, 1, 4, 4\).*\(batch, 1, 2, 4\)"):
        conditional(HALF).prior(x)
    with pytest.raises(ValueError, match=r"\(6, 1, 2, 4\).*\(batch, 1, 4, 4\)"):
        conditional().encode(x[:, :, :2], y)
    with pytest.raises(ValueError, match="6 images but 4 conditions"):
        conditional().given(y[:4]).encode(x)
    with pytest.raises(ValueError, match="6 images but 4 conditions"):
        conditional_log_marginal(conditional(), x, y[:4], 2)


# --- one condition at a time ------------------------------------------------------------------


def test_given_is_the_model_under_one_condition(batch: Labeled) -> None:
    model, x, y = conditional(), batch.images, batch.labels
    for condition, labels in ((2, torch.full((6,), 2)), (y, y)):
        view = model.given(condition)
        z = view.encode(x).rsample((3,), seeded())
        wanted = (
            model.decode(z, labels).log_prob(x)
            + model.prior(labels).log_prob(z)
            - model.encode(x, labels).log_prob(z)
        )
        assert_close(log_weights(view, x, 3, seeded()), wanted.T)
    assert sample_images(model.given(1), 4, seeded()).shape == (4, *SHAPE)


def test_the_mean_log_weight_is_the_conditional_elbo(batch: Labeled) -> None:
    model = conditional()
    log_w = log_weights(model.given(batch.labels), batch.images, 20_000, seeded())
    q = model.encode(batch.images, batch.labels)
    log_px = model.decode(q.rsample((20_000,), seeded(1)), batch.labels).log_prob(batch.images)
    bound = log_px.mean(0) - kl(q, model.prior(batch.labels))
    assert_close(log_w.mean(1), bound, atol=0.05, rtol=0)


def test_estimate_elbo_is_right_for_the_standard_prior(batch: Labeled) -> None:
    model = conditional(prior="standard")
    still(model)
    estimate = estimate_elbo(model.given(batch.labels), batch.images, generator=seeded())
    terms = ConditionalELBOLoss()(model, batch, 0, seeded())
    assert_close(estimate.elbo, -terms.loss)


def log_px_on_a_grid(model: ConditionalVAE, x: Tensor, c: int) -> Tensor:
    """Log ∫ p(x|z, y) p(z|y) dz with one latent, by the trapezoidal rule."""
    z = torch.linspace(-12, 12, 4001).view(-1, 1, 1)
    with torch.no_grad():
        prior = model.prior(torch.tensor(c)).log_prob(z)
        log_joint = model.decode(z, torch.tensor(c)).log_prob(x) + prior
    return torch.logsumexp(log_joint.double(), 0) + math.log(24 / 4000)


@pytest.mark.parametrize("prior", ["learned", "standard"])
def test_log_px_and_its_sum_over_classes_agree_with_integration(prior: str, batch: Labeled) -> None:
    model, x, y = conditional(latent=1, prior=prior), batch.images, batch.labels
    wanted = torch.stack([log_px_on_a_grid(model, x, c) for c in range(CLASSES)], 1).float()
    log_pxy = class_log_marginals(model, x, CLASSES, 5000, generator=seeded())
    assert_close(log_pxy, wanted, atol=0.05, rtol=0)
    own = conditional_log_marginal(model, x, y, 5000, chunk=6000, generator=seeded())
    assert_close(own, wanted.gather(1, y[:, None]).squeeze(1), atol=0.05, rtol=0)
    total = (wanted.double().exp() / CLASSES).sum(1).log().float()
    assert_close(log_mixture(log_pxy), total, atol=0.05, rtol=0)
    # log p(x|y) − log p(x) = log p(y|x) − log p(y), at most −log p(y)
    worth = own - log_mixture(log_pxy)
    assert (worth < math.log(CLASSES) + 0.05).all()
    posterior = (log_pxy - log_mixture(log_pxy)[:, None] - math.log(CLASSES)).exp()
    assert_close(posterior.sum(1), torch.ones(6))


def test_log_mixture_takes_any_prior_over_classes() -> None:
    log_pxy, log_py = torch.tensor([[-2.0, -700.0]]), torch.tensor([0.25, 0.75]).log()
    assert_close(log_mixture(log_pxy, log_py), torch.tensor([-2.0 + math.log(0.25)]))


def test_a_batch_of_conditions_is_split_with_its_images(batch: Labeled) -> None:
    model = conditional()
    still(model)
    whole = conditional_log_marginal(model, batch.images, batch.labels, 3, generator=seeded())
    parts = conditional_log_marginal(
        model, batch.images, batch.labels, 3, chunk=6, generator=seeded()
    )
    assert_close(whole, parts)
    alone = log_marginal(model.given(batch.labels), batch.images, 3, generator=seeded())
    assert_close(whole, alone)


# --- M2 ---------------------------------------------------------------------------------------


def test_the_unlabeled_bound_is_tight_at_the_posterior_and_below_elsewhere() -> None:
    log_joint = torch.randn(4, 5, generator=seeded()) - 200
    log_px = torch.logsumexp(log_joint, 1)
    assert_close(unlabeled_bound(log_joint, log_joint.log_softmax(1)), log_px)
    other = torch.randn(4, 5, generator=seeded(1)).log_softmax(1)
    gap = (other.exp() * (other - log_joint.log_softmax(1))).sum(1)
    assert (gap > 0).all()
    assert_close(log_px - unlabeled_bound(log_joint, other), gap, atol=1e-4, rtol=0)


def test_the_unlabeled_bound_by_hand() -> None:
    """U = Σ q(y|x) (ELBO(x|y) + log p(y)) + H(q(y|x)), one class after the other."""
    model = semi_supervised()
    still(model)
    x = torch.randint(0, 2, (4, *SHAPE), generator=seeded()).float()
    unknown = Labeled(x, torch.full((4,), UNKNOWN))
    terms = SemiSupervisedLoss(alpha=5.0)(model, unknown, 0, seeded())
    guess = model.classify(x)
    wanted = guess.entropy()
    for c in range(CLASSES):
        labeled = Labeled(x, torch.full((4,), c))
        elbo = -ConditionalELBOLoss()(model.vae, labeled, 0, seeded()).loss
        wanted = wanted + guess.probs[:, c] * (elbo - math.log(CLASSES))
    assert_close(terms.bound, wanted)
    assert_close(terms.loss, -wanted)
    assert_close(terms.cross_entropy, torch.zeros(4))


def test_the_unlabeled_bound_is_below_log_px() -> None:
    model = semi_supervised()
    x = torch.randint(0, 2, (16, *SHAPE), generator=seeded()).float()
    log_px = log_mixture(class_log_marginals(model, x, CLASSES, 3000, generator=seeded()))
    unknown = Labeled(x.repeat(500, 1, 1, 1), torch.full((8000,), UNKNOWN))
    with torch.no_grad():
        bound = SemiSupervisedLoss(1.0)(model, unknown, 0, seeded()).bound.view(500, 16).mean(0)
    assert (bound < log_px).all()
    assert (bound > log_px - 3).all()


def test_known_and_unknown_labels_keep_to_their_own_terms(batch: Labeled) -> None:
    model = semi_supervised()
    still(model)
    labels = torch.tensor([0, -1, 2, -1, -1, 1])
    objective = SemiSupervisedLoss(alpha=7.0, beta=Constant(0.5))
    mixed = objective(model, Labeled(batch.images, labels), 0, seeded())
    for i, label in enumerate(labels.tolist()):
        alone = objective(model, Labeled(batch.images[i : i + 1], labels[i : i + 1]), 0, seeded())
        assert_close(mixed.bound[i], alone.bound[0])
        if label >= 0:
            one = Labeled(batch.images[i : i + 1], labels[i : i + 1])
            elbo = -ConditionalELBOLoss(Constant(0.5))(model.vae, one, 0, seeded()).loss[0]
            log_q = model.classify(one.images).log_prob(one.labels)[0]
            assert_close(mixed.bound[i], elbo - math.log(CLASSES))
            assert_close(mixed.cross_entropy[i], -log_q)
            assert_close(mixed.loss[i], -mixed.bound[i] - 7 * log_q)
        else:
            assert mixed.cross_entropy[i] == 0
            assert_close(mixed.loss[i], -mixed.bound[i])


def test_a_label_reaches_the_classifier_only_through_alpha(batch: Labeled) -> None:
    model = semi_supervised()

    def slope(labels: Tensor, alpha: float) -> float:
        model.zero_grad()
        loss = SemiSupervisedLoss(alpha)(model, Labeled(batch.images, labels), 0, seeded()).loss
        loss.sum().backward()
        return sum(float(p.grad.abs().sum()) for p in model.classifier.parameters())

    assert slope(batch.labels, 0.0) == 0
    assert slope(batch.labels, 1.0) > 0
    assert slope(torch.full((6,), UNKNOWN), 0.0) > 0


@pytest.mark.parametrize("labels", [[0, 1, 2, 0, 1, 2], [-1] * 6, [0, -1, 2, -1, -1, 1]])
def test_terms_do_not_see_the_rest_of_the_batch(labels: list[int], batch: Labeled) -> None:
    model = semi_supervised()
    still(model)
    once = Labeled(batch.images, torch.tensor(labels))
    twice = Labeled(once.images.repeat(2, 1, 1, 1), once.labels.repeat(2))
    objectives = [(model, SemiSupervisedLoss(3.0))]
    if -1 not in labels:
        objectives.append((model.vae, ConditionalELBOLoss()))
    for part, objective in objectives:
        first, second = (objective(part, x, 0, seeded()).loss for x in (once, twice))
        assert first.dtype == torch.float32 and first.shape == (6,)
        assert_close(second, first.repeat(2))


# --- predictors, training, disk ---------------------------------------------------------------


def test_prediction_is_the_log_probability_of_the_target(batch: Labeled) -> None:
    torch.manual_seed(0)
    x, y = batch.images, batch.labels
    labels = LabelPredictor(SHAPE, classes=CLASSES, widths=(5,))
    wanted = torch.nn.functional.cross_entropy(labels.network(x), y, reduction="none")
    assert_close(prediction_loss(labels, batch, 0), wanted)
    images = ImagePredictor(SHAPE, condition=HALF, widths=(5, 4))
    halves = Labeled(x[:, :, :2], x)
    logits = images.network(halves.images).view(-1, *SHAPE)
    wanted = torch.nn.functional.binary_cross_entropy_with_logits(logits, x, reduction="none")
    assert_close(prediction_loss(images, halves, 0), wanted.sum((1, 2, 3)))


def test_a_predictor_has_the_decoders_layers_but_for_z() -> None:
    model, predictor = conditional(HALF), ImagePredictor(SHAPE, condition=HALF, widths=(8, 6))
    shapes = [p.shape for p in model.decoder.parameters()]
    without_z = [s for s in shapes if s != (6, 2)]  # W, of the product W z
    assert sorted(without_z) == sorted(p.shape for p in predictor.parameters())


def test_fit_trains_with_labels(batch: Labeled) -> None:
    gray = (batch.images * 255).to(torch.uint8).repeat(20, 1, 1, 1)
    labels = batch.labels.repeat(20)
    partial = torch.where(torch.arange(120) < 12, labels, UNKNOWN)
    upper = gray[:, :, :2].float() / 255
    runs = [
        (conditional(), Labeled(gray, labels), ConditionalELBOLoss()),
        (conditional(HALF), Labeled(gray, upper), ConditionalELBOLoss()),
        (semi_supervised(), Labeled(gray, partial), SemiSupervisedLoss(10.0)),
        (LabelPredictor(SHAPE, classes=3, widths=(8,)), Labeled(gray, labels), prediction_loss),
    ]
    for model, data, objective in runs:
        history = fit(
            model, data, objective, epochs=8, batch_size=30, learning_rate=1e-2, transform=binarize
        )
        assert history.train["loss"][-1] < 0.95 * history.train["loss"][0], model


def test_the_view_is_what_monte_carlo_training_would_need(batch: Labeled) -> None:
    model = conditional()
    terms = SampledELBOLoss()(model.given(batch.labels), batch.images, 0, seeded())
    assert terms.loss.shape == (6,)


@pytest.mark.parametrize(
    "model",
    [
        conditional(),
        conditional(HALF, prior="standard", activation="gated"),
        semi_supervised(),
        LabelPredictor(SHAPE, classes=3, widths=(4,)),
        ImagePredictor(SHAPE, condition=HALF, widths=(4,), likelihood="gaussian"),
    ],
    ids=lambda model: type(model).__name__,
)
def test_models_come_back_from_disk(model: torch.nn.Module, tmp_path: Path) -> None:
    save_model(model, tmp_path / "model.safetensors")
    again = load_model(tmp_path / "model.safetensors")
    assert type(again) is type(model) and again.config == model.config
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name])


def test_a_condition_for_each_image_is_weighed_by_image_or_refused(generator) -> None:
    torch.manual_seed(0)
    model = ConditionalVAE((1, 8, 8), 2, condition=3, widths=(8,))
    for parameter in model.parameters():
        parameter.data.normal_(std=0.5, generator=generator)
    x, y = torch.rand(4, 1, 8, 8, generator=generator).round(), torch.tensor([0, 1, 2, 1])
    each = model.given(y)
    log_w = prior_log_weights(each, x, 20_000, generator)
    assert log_w.shape == (4, 20_000)
    for image, label in enumerate(y.tolist()):
        alone = prior_log_weights(model.given(label), x[image : image + 1], 20_000, generator)
        assert iwae_bound(log_w)[image].item() == pytest.approx(iwae_bound(alone).item(), abs=0.2)
    grid = latent_grid(2, 3.0, 2)  # four cells for four images
    for draws in (lambda: sample_images(each, 5), lambda: grid_log_joint(each, x, grid)):
        with pytest.raises(ValueError, match=r"batch shape \(4,\).*a single condition at a time"):
            draws()
    assert sample_images(model.given(1), 5).shape == (5, 1, 8, 8)
    assert grid_log_joint(model.given(1), x, grid).shape == (4, 4)
