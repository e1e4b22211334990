"""Every loss meets every model: finite terms of `(batch,)`, or a sentence with names.

The priors of these models differ; every KL is to the model's own.
"""

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import (
    AffineTransform,
    ComposeTransform,
    Distribution,
    Independent,
    MultivariateNormal,
    Normal,
    Transform,
    TransformedDistribution,
    constraints,
)
from torch.testing import assert_close

from vae_course.conditional import (
    ConditionalELBOLoss,
    ConditionalVAE,
    ImagePredictor,
    LabelPredictor,
    SemiSupervisedLoss,
    SemiSupervisedVAE,
    prediction_loss,
)
from vae_course.data import Labeled
from vae_course.discrete import VQVAE, CodePrior, vq_loss
from vae_course.disentangling import BetaTCLoss, CapacityLoss, DIPLoss, FactorLoss, FactorVAE
from vae_course.distributions import DiagonalGaussian
from vae_course.evidence import prior_log_weights, refine_posterior
from vae_course.families import (
    GAN,
    AdversarialLoss,
    CouplingFlow,
    Diffusion,
    NoiseNetwork,
    simple_loss,
)
from vae_course.gradients import ScoreFunctionLoss, pathwise, score_function
from vae_course.heads import FullCovarianceVAE, VarianceHeadVAE
from vae_course.hierarchical import HierarchicalLoss, HierarchicalVAE
from vae_course.latent import overlap, symmetric_kl
from vae_course.metrics import estimate_elbo, log_marginal
from vae_course.models import VAE, Autoencoder, LinearGaussian, random_linear_gaussian
from vae_course.objectives import (
    DReGLoss,
    ELBOLoss,
    IWAELoss,
    detached,
    log_weights,
    negative_log_likelihood,
    squared_error_loss,
)
from vae_course.priors import SampledELBOLoss, VampPriorVAE, elbo_surgery, log_aggregate, with_prior
from vae_course.scale import OptimalSigmaLoss
from vae_course.schedules import LinearWarmup
from vae_course.training.terms import terms_of

SHAPE = (1, 4, 4)
BATCH = 6
SMALL = {"widths": (5,)}
LABELS = torch.arange(BATCH) % 3
IMAGES = (torch.rand(BATCH, *SHAPE, generator=torch.Generator().manual_seed(0)) > 0.5).float()
POINTS = torch.randn(BATCH, 2, generator=torch.Generator().manual_seed(0))
LABELED = Labeled(IMAGES, LABELS)


def gaussian_prior() -> DiagonalGaussian:
    return DiagonalGaussian(torch.tensor([1.0, -2.0]), torch.tensor([0.5, 1.0]))


def vae() -> VAE:
    return VAE(SHAPE, 2, **SMALL)


# What makes a model, and the data it is for.
MODELS = {
    "VAE": (vae, IMAGES),
    "Autoencoder": (lambda: Autoencoder(SHAPE, 2, **SMALL), IMAGES),
    "LinearGaussian": (
        lambda: random_linear_gaussian(2, 2, 0.7, torch.Generator().manual_seed(0)),
        POINTS.double(),
    ),
    "FullCovarianceVAE": (lambda: FullCovarianceVAE(SHAPE, 2, **SMALL), IMAGES),
    "VarianceHeadVAE": (lambda: VarianceHeadVAE(SHAPE, 2, head="softplus", **SMALL), IMAGES),
    "FactorVAE": (lambda: FactorVAE(SHAPE, 2, discriminator_widths=(4,), **SMALL), IMAGES),
    "VampPriorVAE": (lambda: VampPriorVAE(vae(), torch.rand(3, *SHAPE)), IMAGES),
    "WithPrior": (lambda: with_prior(vae(), gaussian_prior()), IMAGES),
    "Given": (lambda: ConditionalVAE(SHAPE, 2, condition=3, **SMALL).given(LABELS), IMAGES),
    "ConditionalVAE": (lambda: ConditionalVAE(SHAPE, 2, condition=3, **SMALL), LABELED),
    "SemiSupervisedVAE": (lambda: SemiSupervisedVAE(SHAPE, 2, classes=3, **SMALL), LABELED),
    "LabelPredictor": (lambda: LabelPredictor(SHAPE, classes=3, **SMALL), LABELED),
    "ImagePredictor": (
        lambda: ImagePredictor(SHAPE, condition=SHAPE, **SMALL),
        Labeled(IMAGES, IMAGES),
    ),
    "VQVAE": (lambda: VQVAE(SHAPE, width=4, residual=(1, 2), codebook_size=5, dim=3), IMAGES),
    "CodePrior": (
        lambda: CodePrior(3, (2, 2), width=8, heads=2, layers=1),
        LABELS[:, None, None].expand(BATCH, 2, 2),
    ),
    "HierarchicalVAE": (lambda: HierarchicalVAE(SHAPE, (3, 2), widths=((6,), (4,))), IMAGES),
    "CouplingFlow": (lambda: CouplingFlow(2, 4), POINTS),
    "GAN": (lambda: GAN(width=4), POINTS),
    "Diffusion": (lambda: Diffusion(NoiseNetwork(60, width=4), 60), POINTS),
}
LATENT = {"VAE", "LinearGaussian", "VarianceHeadVAE", "FactorVAE", "WithPrior", "Given"}
# A loss, and the models it is for.
LOSSES = {
    "ELBOLoss": (ELBOLoss(), LATENT | {"FullCovarianceVAE"}),
    "IWAELoss": (
        IWAELoss(3),
        LATENT | {"FullCovarianceVAE", "VampPriorVAE", "HierarchicalVAE"},
    ),
    "DReGLoss": (DReGLoss(3), LATENT | {"FullCovarianceVAE", "VampPriorVAE"}),
    "SampledELBOLoss": (SampledELBOLoss(), LATENT | {"FullCovarianceVAE", "VampPriorVAE"}),
    "ScoreFunctionLoss": (ScoreFunctionLoss(2), LATENT | {"FullCovarianceVAE"}),
    "OptimalSigmaLoss": (OptimalSigmaLoss(), LATENT | {"FullCovarianceVAE"}),
    "CapacityLoss": (CapacityLoss(3.0), LATENT | {"FullCovarianceVAE"}),
    "BetaTCLoss": (BetaTCLoss(4, 60), LATENT | {"VampPriorVAE"}),
    "DIPLoss": (DIPLoss(2.0, 3.0), LATENT),
    "FactorLoss": (FactorLoss(2.0), {"FactorVAE"}),
    "HierarchicalLoss": (HierarchicalLoss(), {"HierarchicalVAE"}),
    "ConditionalELBOLoss": (ConditionalELBOLoss(), {"ConditionalVAE", "SemiSupervisedVAE"}),
    "SemiSupervisedLoss": (SemiSupervisedLoss(2.0), {"SemiSupervisedVAE"}),
    "prediction_loss": (prediction_loss, {"LabelPredictor", "ImagePredictor"}),
    "squared_error_loss": (squared_error_loss, {"Autoencoder", "GAN"}),
    "vq_loss": (vq_loss, {"VQVAE"}),
    "negative_log_likelihood": (negative_log_likelihood, {"CodePrior", "CouplingFlow"}),
    "simple_loss": (simple_loss, {"Diffusion"}),
    "AdversarialLoss": (AdversarialLoss(), {"GAN"}),
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("loss_name", LOSSES)
def test_a_loss_and_a_model_fit_or_are_refused_by_name(loss_name: str, name: str) -> None:
    torch.manual_seed(0)
    (make, x), (loss, fits) = MODELS[name], LOSSES[loss_name]
    model, generator = make(), torch.Generator().manual_seed(0)
    if name in fits:
        terms = terms_of(loss(model, x, 3, generator))
        assert next(iter(terms)) == "loss"
        for term in terms.values():
            assert term.shape == (BATCH,) and bool(term.isfinite().all())
        if any(p.requires_grad for p in getattr(model, "parameters", list)()):
            terms["loss"].mean().backward()
        return
    with pytest.raises(TypeError) as refusal:
        loss(model, x, 3, generator)
    sentence = str(refusal.value)
    assert "\n" not in sentence
    assert loss_name in sentence or (name == "VampPriorVAE" and "has no closed form" in sentence)


# FactorLoss shuffles the batch, BetaTCLoss takes it for a sample of the data: chapter 12's tests.
WITHOUT_WEIGHTS = {"LinearGaussian", "WithPrior"}
WITHOUT_PARTNERS = [
    (loss_name, name)
    for loss_name, (_, fits) in LOSSES.items()
    for name in sorted(fits - {"Given"})  # which has a condition for each image of one batch
    if loss_name not in {"FactorLoss", "BetaTCLoss"}
]


@pytest.mark.parametrize(("loss_name", "name"), WITHOUT_PARTNERS)
def test_a_loss_does_not_change_when_the_batch_is_repeated(
    loss_name: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    (make, x), (loss, _) = MODELS[name], LOSSES[loss_name]
    model = make()
    if isinstance(model, torch.nn.Module):
        model.eval()  # a codebook stays where it is
    still(monkeypatch)
    once = terms_of(loss(model, x, 3))
    twice = terms_of(loss(model, doubled(x), 3))
    for key, term in once.items():
        assert_close(twice[key], torch.cat([term, term]), rtol=1e-4, atol=1e-5)


def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make all noise the same for every image."""

    def zeros(*size: object, generator: object = None, **options: object) -> Tensor:
        return torch.zeros(*size, **options)

    def threes(low: int, high: int, size: tuple[int, ...], **options: object) -> Tensor:
        return torch.full(size, 3)

    monkeypatch.setattr(torch, "randn", zeros)
    monkeypatch.setattr(torch, "randint", threes)


def doubled(x: Tensor | Labeled) -> Tensor | Labeled:
    if isinstance(x, Labeled):
        return Labeled(doubled(x.images), doubled(x.labels))
    return torch.cat([x, x])


def test_what_a_refused_model_lacks_is_said() -> None:
    with pytest.raises(TypeError, match=r"with prior\(\), encode\(x\), decode\(z\); a Autoencoder"):
        ELBOLoss()(MODELS["Autoencoder"][0](), IMAGES, 0)
    with pytest.raises(TypeError, match=r"a ConditionalVAE has no such prior, encode, decode"):
        ELBOLoss()(MODELS["ConditionalVAE"][0](), LABELED, 0)
    with pytest.raises(TypeError, match=r"ConditionalELBOLoss needs Labeled.*, not a Tensor"):
        ConditionalELBOLoss()(MODELS["ConditionalVAE"][0](), IMAGES, 0)
    with pytest.raises(TypeError, match=r"BetaTCLoss needs diagonal .* not a FullGaussian"):
        BetaTCLoss(4, 60)(MODELS["FullCovarianceVAE"][0](), IMAGES, 0)


@pytest.mark.parametrize(
    "make",
    [ELBOLoss, SampledELBOLoss, CapacityLoss, HierarchicalLoss, ConditionalELBOLoss],
    ids=lambda make: make.__name__,
)
def test_a_weight_is_a_number_or_a_schedule(make: type) -> None:
    torch.manual_seed(0)
    name = {HierarchicalLoss: "HierarchicalVAE", ConditionalELBOLoss: "ConditionalVAE"}.get(
        make, "VAE"
    )
    build, x = MODELS[name]
    model = build()
    losses = [
        terms_of(make(weight)(model, x, 5, torch.Generator().manual_seed(0)))["loss"]
        for weight in (2, 2.0, LinearWarmup(10, 4.0), lambda step: 2.0)
    ]
    assert all(torch.equal(losses[0], other) for other in losses[1:])


def test_dreg_of_a_full_covariance_has_the_gradient_of_iwae_on_average() -> None:
    torch.manual_seed(0)
    model = FullCovarianceVAE(SHAPE, 2, **SMALL)
    with torch.no_grad():
        model.encoder.layers[-1].bias += torch.tensor([0.3, -0.2, 0.5, -0.4, 0.8])
    x = IMAGES[:1].expand(20_000, *SHAPE)
    bias = model.encoder.layers[-1].bias
    gradients = []
    for loss in (DReGLoss(4), IWAELoss(4)):
        parts = loss(model, x, 0, torch.Generator().manual_seed(1)).view(20, -1).mean(1)
        rows = [torch.autograd.grad(part, bias, retain_graph=True)[0] for part in parts]
        gradients.append(torch.stack(rows))
    dreg, iwae = gradients
    error = ((dreg.var(0) + iwae.var(0)) / len(dreg)).sqrt()
    assert bool(((dreg.mean(0) - iwae.mean(0)).abs() < 4 * error).all())
    assert bool((iwae.mean(0).abs() > 4 * error).any())


def test_detached_is_the_same_distribution_without_gradients() -> None:
    mean = torch.randn(4, 2, requires_grad=True)
    root = torch.eye(2).expand(4, 2, 2).clone().requires_grad_()
    z = torch.randn(4, 2)
    for q in (DiagonalGaussian(mean, mean), MultivariateNormal(mean, scale_tril=root)):
        stopped = detached(q)
        assert type(stopped) is type(q)
        assert torch.equal(stopped.log_prob(z), q.log_prob(z))
        assert not stopped.log_prob(z).requires_grad and q.log_prob(z).requires_grad


@pytest.mark.parametrize("composed", [False, True], ids=["a list", "composed"])
def test_detached_stops_the_parameters_of_transforms(composed: bool) -> None:
    loc, scale = torch.zeros(2, requires_grad=True), torch.ones(2, requires_grad=True)
    moves: list[Transform] = [AffineTransform(loc, scale, event_dim=1)]
    if composed:
        moves = [ComposeTransform(moves)]
    base = Independent(Normal(torch.zeros(4, 2), torch.ones(4, 2)), 1)
    q = TransformedDistribution(base, moves)
    z = torch.randn(4, 2)
    assert_close(detached(q).log_prob(z), q.log_prob(z))
    assert q.log_prob(z).requires_grad and not detached(q).log_prob(z).requires_grad


class Networked(Transform):
    """A shift by a network's number, where no copy can stop it."""

    domain = codomain = constraints.real_vector
    bijective = True

    def __init__(self) -> None:
        super().__init__()
        self.network = torch.nn.Linear(1, 1)

    def _inverse(self, y: Tensor) -> Tensor:
        return y - self.network.bias

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return x.new_zeros(x.shape[:-1])


def test_dreg_refuses_a_posterior_that_cannot_be_held_constant(generator) -> None:
    class Moved(VAE):
        def encode(self, x: Tensor) -> Distribution:
            return Drawn(super().encode(x), Networked())

    class Drawn(TransformedDistribution):
        def rsample(self, shape: object = (), generator: object = None) -> Tensor:
            return self.base_dist.rsample(shape, generator) + self.transforms[0].network.bias

    with pytest.raises(ValueError, match=r"Drawn with parameters.*IWAELoss"):
        DReGLoss(2)(Moved((1, 8, 8), 2, widths=(4,)), torch.zeros(3, 1, 8, 8), 0, generator)


# --- the prior is the model's own ------------------------------------------------------------


class Shifted(LinearGaussian):
    """z ~ N(m, diag s²) in place of N(0, I); log p(x) is still known."""

    def prior(self) -> DiagonalGaussian:
        return DiagonalGaussian(gaussian_prior().mean.double(), gaussian_prior().log_var.double())

    def marginal(self) -> MultivariateNormal:
        p, noise = self.prior(), self.sigma**2 * torch.eye(len(self.bias)).double()
        covariance = self.weight * p.variance @ self.weight.T + noise
        return MultivariateNormal(self.weight @ p.mean + self.bias, covariance)


@pytest.fixture
def shifted() -> Shifted:
    known = random_linear_gaussian(3, 2, 0.7, torch.Generator().manual_seed(0))
    return Shifted(known.weight, known.bias, known.sigma)


@pytest.fixture
def seen(shifted: Shifted) -> Tensor:
    torch.manual_seed(1)
    return shifted.marginal().sample((1,)).expand(4_000, -1)


def bounded(values: Tensor, truth: Tensor) -> bool:
    """Whether the mean is below log p(x), within its error, and not the bound of another prior."""
    error = float(values.std()) / math.sqrt(len(values))
    return float(truth) - 60 < float(values.mean()) < float(truth) + 4 * error


def test_bounds_lie_below_log_px_whatever_the_prior(shifted: Shifted, seen: Tensor) -> None:
    truth, generator = shifted.marginal().log_prob(seen[0]), torch.Generator().manual_seed(0)
    q = shifted.encode(seen)
    # In closed form: E_q log p(x|z) − KL(q ‖ p), both known.
    inner = torch.distributions.kl_divergence(q.base_dist, shifted.prior().base_dist).sum(-1)
    wanted = float((shifted.expected_log_px(seen, q) - inner)[0])
    bounds = {
        "ELBOLoss": -ELBOLoss()(shifted, seen, 0, generator).loss,
        "SampledELBOLoss": -SampledELBOLoss()(shifted, seen, 0, generator).loss,
        "ScoreFunctionLoss": -ScoreFunctionLoss(2)(shifted, seen, 0, generator).loss,
        "estimate_elbo": estimate_elbo(shifted, seen, generator=generator).elbo,
        "log_weights": log_weights(shifted, seen, 1, generator)[:, 0],
    }
    for name, values in bounds.items():
        error = float(values.double().std()) / math.sqrt(len(values))
        assert abs(float(values.mean()) - wanted) < 4 * error + 1e-4, name
        assert bounded(values, truth), name
    for loss in (CapacityLoss(0.0, 1.0), DIPLoss(0.0, 0.0), OptimalSigmaLoss()):
        assert_close(loss(shifted, seen, 0, generator).kl, inner)
    tc = BetaTCLoss(1.0, len(seen[:50]))(shifted, seen[:50], 0, torch.Generator().manual_seed(3))
    z = shifted.encode(seen[:50]).rsample(generator=torch.Generator().manual_seed(3))
    log_qz = shifted.encode(seen[:50]).log_prob(z)
    parts = tc.mutual_information + tc.total_correlation + tc.dimension_wise_kl
    assert_close(parts, log_qz - shifted.prior().log_prob(z))


def test_log_marginal_and_refinement_use_the_models_prior(shifted: Shifted, seen: Tensor) -> None:
    truth, generator = shifted.marginal().log_prob(seen[0]), torch.Generator().manual_seed(0)
    estimate = log_marginal(shifted, seen[:50], 500, generator=generator)
    assert abs(float(estimate.mean() - truth)) < 0.1
    naive = torch.logsumexp(prior_log_weights(shifted, seen[:1], 200_000, generator), 1)
    assert abs(float(naive) - math.log(200_000) - float(truth)) < 0.1
    refined = refine_posterior(shifted, seen[:1], steps=300, generator=generator)
    exact = shifted.expected_log_px(seen[:1], refined) - torch.distributions.kl_divergence(
        refined.base_dist, shifted.prior().base_dist
    ).sum(-1)
    assert float(truth) - 0.5 < float(exact) < float(truth)


def test_surgery_is_of_the_kl_to_the_prior_that_is_given(shifted: Shifted) -> None:
    torch.manual_seed(0)
    q = DiagonalGaussian(torch.randn(5_000, 2), torch.full((5_000, 2), -1.0))
    prior = gaussian_prior()
    cut = elbo_surgery(q, 5_000, torch.Generator().manual_seed(7), prior=prior)
    wanted = torch.distributions.kl_divergence(q.base_dist, prior.base_dist).sum(-1)
    error = float(cut.kl.std()) / math.sqrt(5_000)
    assert abs(float(cut.kl.mean() - wanted.mean())) < 4 * error
    assert_close(cut.kl, cut.mutual_information + cut.marginal_kl, rtol=1e-5, atol=1e-4)


def test_a_conditional_model_seen_under_its_labels_has_its_own_bound() -> None:
    torch.manual_seed(0)
    model = ConditionalVAE(SHAPE, 2, condition=3, **SMALL)
    with torch.no_grad():
        model.prior_network.weight.normal_()
    seeds = [torch.Generator().manual_seed(0) for _ in range(3)]
    given = ELBOLoss()(model.given(LABELS), IMAGES, 0, seeds[0])
    conditional = ConditionalELBOLoss()(model, LABELED, 0, seeds[1])
    assert torch.equal(given.loss, conditional.loss)
    assert_close(estimate_elbo(model.given(LABELS), IMAGES, generator=seeds[2]).elbo, -given.loss)


def test_a_pair_without_closed_form_is_pointed_to_the_sampled_one() -> None:
    vamp = MODELS["VampPriorVAE"][0]()
    for use in (lambda: ELBOLoss()(vamp, IMAGES, 0), lambda: estimate_elbo(vamp, IMAGES)):
        with pytest.raises(TypeError, match=r"has no closed form.*SampledELBOLoss"):
            use()


FULL = FullCovarianceVAE(SHAPE, 2, **SMALL).encode(IMAGES)
Z = torch.zeros(BATCH, 2)


@pytest.mark.parametrize(
    ("name", "use"),
    [
        ("refine_posterior", lambda: refine_posterior(MODELS["FullCovarianceVAE"][0](), IMAGES)),
        ("log_aggregate", lambda: log_aggregate(Z, FULL)),
        ("elbo_surgery", lambda: elbo_surgery(FULL, 2)),
        ("symmetric_kl", lambda: symmetric_kl(FULL, FULL)),
        ("overlap", lambda: overlap(FULL, FULL)),
        ("gaussian_score", lambda: score_function(Z[:, 0], Z, FULL)),
        ("pathwise", lambda: pathwise(Z, Z, FULL)),
    ],
)
def test_formulas_of_diagonal_gaussians_refuse_correlated_ones(name: str, use: object) -> None:
    with pytest.raises(TypeError, match=f"^{name} needs diagonal Gaussians.*not a FullGaussian"):
        use()


@pytest.mark.parametrize(
    ("loss_name", "name"), [pair for pair in WITHOUT_PARTNERS if pair[1] not in WITHOUT_WEIGHTS]
)
def test_float64_stays_float64(loss_name: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    (make, x), (loss, _) = MODELS[name], LOSSES[loss_name]
    model = make()
    model.eval()
    still(monkeypatch)
    single = terms_of(loss(model, x, 3))
    double = terms_of(loss(model.double(), in_double(x), 3))
    for key, term in single.items():
        if term.requires_grad:
            assert double[key].dtype == torch.float64
        assert_close(double[key].float(), term.float(), rtol=1e-4, atol=1e-5)


def in_double(x: Tensor | Labeled) -> Tensor | Labeled:
    if isinstance(x, Labeled):
        return x.to(torch.float64)
    return x.double() if x.is_floating_point() else x


@pytest.mark.parametrize(
    "use",
    [
        lambda model, x: ELBOLoss()(model, x, 0),
        lambda model, x: IWAELoss(2)(model, x, 0),
        lambda model, x: DReGLoss(2)(model, x, 0),
        lambda model, x: estimate_elbo(model, x),
        lambda model, x: log_marginal(model, x, 4),
    ],
    ids=["ELBO", "IWAE", "DReG", "estimate", "marginal"],
)
def test_a_posterior_whose_draws_take_no_generator_is_refused_by_name(use) -> None:
    class Plain(VAE):
        def encode(self, x: Tensor) -> Distribution:
            q = super().encode(x)
            return Independent(Normal(q.mean, q.stddev), 1)

    with pytest.raises(TypeError, match=r"Independent whose rsample takes no generator.*Reparam"):
        use(Plain((1, 8, 8), 2, widths=(4,)), torch.zeros(3, 1, 8, 8))


def test_each_images_own_posterior_is_found_without_gradients_around() -> None:
    torch.manual_seed(0)
    model, x = VAE((1, 8, 8), 2, widths=(4,)), torch.zeros(3, 1, 8, 8)
    noise = torch.Generator().manual_seed(0)
    with torch.no_grad():
        q = refine_posterior(model, x, steps=3, generator=noise)
    assert_close(q.mean, refine_posterior(model, x, steps=3, generator=noise.manual_seed(0)).mean)
