"""Stacks of latent layers: exact on a linear-Gaussian chain, and a plain VAE when L = 1."""

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.distributions import MultivariateNormal, Normal, kl_divergence
from torch.testing import assert_close

from vae_course.data import binarize
from vae_course.distributions import DiagonalGaussian, diagonal_kl, precision_weighted
from vae_course.hierarchical import (
    HierarchicalLoss,
    HierarchicalVAE,
    estimate_stack,
    unit_variances,
    variance_shares,
)
from vae_course.metrics import log_marginal
from vae_course.models import VAE, load_model, save_model
from vae_course.objectives import ELBOLoss, IWAELoss, free_bits, log_weights
from vae_course.schedules import Constant, LinearWarmup
from vae_course.training import fit

SHAPE = (1, 8, 8)
MLP = {"latents": (5, 3, 2), "widths": ((12, 9), (8,), (6,))}
CONV = {
    "latents": ((2, 4, 4), (2, 4, 4), (3, 2, 2), (2, 2, 2)),
    "widths": ((16, 8),) * 4,
    "network": "conv",
}
BOTH = pytest.mark.parametrize("inference", ["bottom-up", "ladder"])
NETWORKS = pytest.mark.parametrize("settings", [MLP, CONV], ids=["mlp", "conv"])


def stack(inference: str = "ladder", **options: object) -> HierarchicalVAE:
    torch.manual_seed(0)
    return HierarchicalVAE(SHAPE, inference=inference, **{**MLP, **options})


def zeros_and_ones(n: int = 6) -> Tensor:
    return torch.bernoulli(torch.full((n, *SHAPE), 0.5), generator=torch.Generator().manual_seed(3))


# The yardstick: four chains z_2 → z_1 → x side by side, z_2 ~ N(0, 1), z_1 ~ N(b z_2, s²),
# x ~ N(w z_1, 1). Every posterior factorizes, so both inferences can be exact.
B = torch.tensor([0.9, -0.5, 0.3, 1.5])
S2 = torch.tensor([0.4, 1.2, 0.7, 0.2])
W = torch.tensor([1.5, -0.8, 0.5, 2.0])


def _affine(first: nn.Linear, last: nn.Linear, slope: Tensor, log_var: Tensor | None) -> None:
    """Make last(relu(first(x))) the means slope · x, and the log-variances constant."""
    eye = torch.eye(4)
    first.weight.data = torch.cat([torch.diag(slope), -torch.diag(slope)])
    first.bias.data.zero_()
    means = torch.cat([eye, -eye], dim=1)
    if log_var is None:
        last.weight.data, last.bias.data = means, torch.zeros(4)
    else:
        last.weight.data = torch.cat([means, torch.zeros(4, 8)])
        bounded = 10 * (log_var / 10).atanh()  # the model takes 10 tanh(· / 10) of it
        last.bias.data = torch.cat([torch.zeros(4), bounded])


def chain(inference: str) -> HierarchicalVAE:
    options = {"inference": inference, "likelihood": "gaussian", "widths": ((8,), (8,))}
    model = HierarchicalVAE((1, 2, 2), (4, 4), **options)
    down = model.conditionals[0]
    _affine(down[0], down[2], B, S2.log())
    _affine(model.decoder.layers[0], model.decoder.layers[2], W, None)
    v1 = B**2 + S2  # the variance of z_1
    if inference == "bottom-up":
        variance = 1 / (1 / v1 + W**2)  # p(z_1|x)
        _affine(model.trunks[0][1], model.heads[0], variance * W, variance.log())
        variance = 1 / (1 + B**2 / S2)  # p(z_2|z_1)
        _affine(model.trunks[1][1], model.heads[1], variance * B / S2, variance.log())
    else:
        _affine(model.trunks[0][1], model.heads[0], 1 / W, -2 * W.abs().log())  # p(x|z_1) in z_1
        above = model.trunks[1][1]  # it takes the features of layer 1, (x / w)⁺ and (x / w)⁻
        noise = S2 * W**2 + 1  # x = w b z_2 + noise
        variance = 1 / (1 + (W * B) ** 2 / noise)  # p(z_2|x)
        both = torch.diag(variance * W**2 * B / noise)
        above.weight.data = torch.cat([torch.cat([both, -both], 1), torch.cat([-both, both], 1)])
        above.bias.data.zero_()
        head = model.heads[1]
        _affine(nn.Linear(4, 8), head, torch.ones(4), variance.log())
    return model.eval()


def exact_log_px(x: Tensor) -> Tensor:
    variance = W**2 * (B**2 + S2) + 1
    return Normal(0.0, variance.sqrt()).log_prob(x.flatten(1)).sum(-1)


def observations(n: int = 40) -> Tensor:
    scale = (W**2 * (B**2 + S2) + 1).sqrt().view(1, 2, 2)
    return scale * torch.randn(n, 1, 2, 2, generator=torch.Generator().manual_seed(5))


@BOTH
def test_with_exact_posteriors_every_weight_is_the_evidence(inference, generator):
    model, x = chain(inference), observations()
    log_w = log_weights(model, x, 7, generator)
    assert_close(log_w, exact_log_px(x)[:, None].expand(-1, 7), atol=2e-4, rtol=0)
    assert_close(log_marginal(model, x, 3, generator=generator), exact_log_px(x), atol=2e-4, rtol=0)


@BOTH
def test_the_layers_kls_add_up_to_the_divergence_of_the_stacks(inference, generator):
    model, x = chain(inference), observations()
    estimate = estimate_stack(model, x, samples=4000, generator=generator)
    assert_close(estimate.elbo.mean(), exact_log_px(x).mean(), atol=0.03, rtol=0)
    assert_close(estimate.elbo, -estimate.reconstruction - estimate.kl.sum(-1))


def test_layers_kls_are_those_of_the_formulas(generator):
    """In the ladder an expected KL; bottom-up the same total, shared out otherwise."""
    x = observations(30)
    ladder = estimate_stack(chain("ladder"), x, samples=4000, generator=generator).kl.mean(0)
    upwards = estimate_stack(chain("bottom-up"), x, samples=4000, generator=generator).kl.mean(0)
    assert_close(ladder.sum(), upwards.sum(), atol=0.03, rtol=0)
    # The information that z_1 and z_2 share given x: bottom-up counts it at the top, and below
    # once more, negatively.
    narrow, wide = 1 / (1 / S2 + W**2), 1 / (1 / (B**2 + S2) + W**2)  # Var(z_1|x, z_2), Var(z_1|x)
    shared = 0.5 * (wide / narrow).log().sum()
    assert_close(upwards[1] - ladder[1], shared, atol=0.03, rtol=0)
    assert_close(ladder[0] - upwards[0], shared, atol=0.03, rtol=0)


def test_bottom_up_the_closed_form_below_the_top_would_be_another_number(generator):
    model, x = chain("bottom-up"), observations(20)
    out = model.infer(x, 4000, generator)
    naive = diagonal_kl(out.q[0], out.prior[0]).sum(-1).mean()
    assert naive - out.kl[:, 0].mean() > 0.5


def test_a_share_below_the_top_can_be_negative_on_average(generator):
    """Where z_2 says nothing of x: q(z_1|x) = p(z_1), and the top alone holds what they share."""
    model = chain("bottom-up")
    _affine(model.decoder.layers[0], model.decoder.layers[2], torch.zeros(4), None)
    v1 = B**2 + S2
    _affine(model.trunks[0][1], model.heads[0], torch.zeros(4), v1.log())
    shares = estimate_stack(model, observations(20), samples=2000, generator=generator).kl.mean(0)
    shared = 0.5 * (v1 / S2).log().sum()
    assert_close(shares, torch.stack([-shared, shared]), atol=0.05, rtol=0)


vectors = st.lists(st.floats(-3, 3, width=32), min_size=4, max_size=4)


@given(vectors, vectors)
@settings(max_examples=30, deadline=None)
def test_kl_of_two_gaussians_is_torchs(a, b):
    q = DiagonalGaussian(torch.tensor(a[:2]), torch.tensor(a[2:]))
    p = DiagonalGaussian(torch.tensor(b[:2]), torch.tensor(b[2:]))
    wanted = kl_divergence(Normal(q.mean, q.stddev), Normal(p.mean, p.stddev))
    assert_close(diagonal_kl(q, p), wanted, atol=1e-4, rtol=1e-4)
    assert_close(diagonal_kl(q, q), torch.zeros(2))


@given(vectors, vectors)
@settings(max_examples=30, deadline=None)
def test_the_precision_weighted_product_is_bayes_rule(a, b):
    evidence = DiagonalGaussian(torch.tensor(a[:2]), torch.tensor(a[2:]))
    prior = DiagonalGaussian(torch.tensor(b[:2]), torch.tensor(b[2:]))
    merged = precision_weighted(evidence, prior)
    # N(x; z, S) N(z; μ, P) = N(x; μ, S + P) p(z|x), at every z
    z = torch.randn(5, 2, generator=torch.Generator().manual_seed(0))
    joint = evidence.log_prob(z) + prior.log_prob(z)  # in z the evidence is its own mirror image
    spread = torch.diag(evidence.variance + prior.variance)
    marginal = MultivariateNormal(prior.mean, spread).log_prob(evidence.mean)
    assert_close(merged.log_prob(z), joint - marginal, atol=2e-3, rtol=1e-4)
    assert (merged.variance <= torch.minimum(evidence.variance, prior.variance)).all()


def test_the_merge_survives_extreme_precisions():
    sharp = DiagonalGaussian(torch.tensor([2.0]), torch.tensor([-150.0]))
    flat = DiagonalGaussian(torch.tensor([-1.0]), torch.tensor([150.0]))
    for merged in (precision_weighted(sharp, flat), precision_weighted(flat, sharp)):
        assert_close(merged.mean, sharp.mean)
        assert_close(merged.log_var, sharp.log_var)


@BOTH
@NETWORKS
def test_steep_heads_leave_kls_and_gradients_finite(inference, settings):
    model, x = stack(inference, **settings), zeros_and_ones()
    for name, weight in model.named_parameters():
        if name.startswith(("heads", "conditionals")):
            weight.data.mul_(30)
    HierarchicalLoss()(model, x, 0)["loss"].mean().backward()
    gradients = torch.cat([weight.grad.flatten() for weight in model.parameters()])
    assert gradients.isfinite().all()
    assert max(q.log_var.abs().max() for q in model(x).prior) <= 10


@BOTH
def test_one_layer_is_the_plain_vae(inference):
    options = {"widths": ((12, 9),), "inference": inference}
    torch.manual_seed(0)
    one = HierarchicalVAE(SHAPE, (5,), **options)
    plain = VAE(SHAPE, 5, widths=(12, 9))
    for mine, theirs in zip(plain.parameters(), one.parameters(), strict=True):
        mine.data.copy_(theirs)
    x, seeded = zeros_and_ones(), torch.Generator().manual_seed
    ours = HierarchicalLoss(Constant(0.7))(one, x, 0, seeded(1))
    theirs = ELBOLoss(Constant(0.7))(plain, x, 0, seeded(1))
    for name in ("loss", "reconstruction", "kl"):
        assert_close(ours[name], getattr(theirs, name))
    assert_close(ours["kl_1"], theirs.kl)
    assert_close(log_weights(one, x, 3, seeded(1)), log_weights(plain, x, 3, seeded(1)))


@BOTH
@NETWORKS
def test_a_pass_has_every_layer(inference, settings, generator):
    model, x = stack(inference, **settings), zeros_and_ones()
    out = model(x, generator)
    sizes = [n if isinstance(n, int) else math.prod(n) for n in settings["latents"]]
    assert model.latent_dims == tuple(sizes)
    assert [tuple(z.shape) for z in out.z] == [(6, size) for size in sizes]
    assert out.kl.shape == (6, len(sizes))
    assert (out.p.batch_shape, out.p.event_shape) == ((6,), SHAPE)
    assert_close(out.prior[-1].mean, torch.zeros(6, sizes[-1]))
    assert_close(out.prior[-1].stddev, torch.ones(6, sizes[-1]))
    closed = torch.stack([diagonal_kl(q, p).sum(-1) for q, p in zip(out.q, out.prior, strict=True)])
    first = len(sizes) - 1 if inference == "bottom-up" else 0
    assert_close(out.kl[:, first:], closed.T[:, first:])


@BOTH
@NETWORKS
def test_images_do_not_see_one_another_and_samples_repeat_the_batch(inference, settings):
    model, x = stack(inference, **settings), zeros_and_ones()
    seeded = torch.Generator().manual_seed
    with torch.no_grad():
        doubled = model.infer(torch.cat([x, x]), 1, seeded(2))
        sampled = model.infer(x, 2, seeded(2))
    assert_close(doubled.kl, sampled.kl, atol=1e-4, rtol=1e-4)
    assert_close(doubled.p.mean, sampled.p.mean, atol=1e-5, rtol=1e-4)
    assert not torch.equal(sampled.z[0][:6], sampled.z[0][6:])


@BOTH
@NETWORKS
def test_log_weights_are_joint_over_posterior(inference, settings):
    model, x = stack(inference, **settings), zeros_and_ones()
    out = model.infer(x, 3, torch.Generator().manual_seed(2))
    want = out.p.log_prob(x.repeat(3, 1, 1, 1))
    for q, p, z in zip(out.q, out.prior, out.z, strict=True):
        want = want + Normal(p.mean, p.stddev).log_prob(z).sum(-1)
        want = want - Normal(q.mean, q.stddev).log_prob(z).sum(-1)
    got = model.log_weights(x, 3, torch.Generator().manual_seed(2))
    assert got.shape == (6, 3)
    assert_close(got, want.view(3, 6).T)
    assert_close(
        IWAELoss(3)(model, x, 0, torch.Generator().manual_seed(2)),
        math.log(3) - torch.logsumexp(got, -1),
    )


@pytest.mark.parametrize(("k", "chunk"), [(1, 4096), (10, 4), (7, 100)])
def test_the_log_marginal_takes_exactly_k_samples(k, chunk, monkeypatch):
    model, x, taken, largest = stack(), zeros_and_ones(), [], []
    whole = HierarchicalVAE.infer

    def counted(self, images, samples, generator=None):
        taken.append(samples * len(images))
        largest.append(samples * len(images))
        return whole(self, images, samples, generator)

    monkeypatch.setattr(HierarchicalVAE, "infer", counted)
    log_marginal(model, x, k, chunk=chunk)
    assert sum(taken) == k * len(x)
    assert max(largest) <= chunk
    with pytest.raises(ValueError, match="k = 0"):
        log_weights(model, x, 0)


@BOTH
@NETWORKS
def test_every_weight_is_trained(inference, settings, generator):
    model = stack(inference, **settings)
    HierarchicalLoss()(model, zeros_and_ones(), 0, generator)["loss"].mean().backward()
    for name, weight in model.named_parameters():
        assert weight.grad is not None and weight.grad.abs().sum() > 0, name


@BOTH
@NETWORKS
def test_a_stack_survives_the_disk(inference, settings, tmp_path: Path):
    model, x = stack(inference, **settings), zeros_and_ones()
    save_model(model, tmp_path / "stack")
    again = load_model(tmp_path / "stack")
    seeded = torch.Generator().manual_seed
    assert isinstance(again, HierarchicalVAE)
    assert torch.equal(again.log_weights(x, 2, seeded(0)), model.log_weights(x, 2, seeded(0)))


@BOTH
def test_fit_lowers_the_loss_and_records_each_layer(inference):
    torch.manual_seed(1)
    black_or_white = (torch.rand(64, 1, 1, 1) > 0.5).to(torch.uint8) * 255
    images = black_or_white.expand(64, *SHAPE).contiguous()
    model = stack(inference)
    objective = HierarchicalLoss(LinearWarmup(20), 0.1)
    options = {"epochs": 60, "batch_size": 16, "learning_rate": 1e-2}
    history = fit(model, images, objective, transform=binarize, **options)
    assert list(history.train) == ["loss", "reconstruction", "kl", "kl_1", "kl_2", "kl_3"]
    assert history.train["reconstruction"][-1] < 0.5 * history.train["reconstruction"][0]
    layers = [history.train[f"kl_{layer}"][-1] for layer in (1, 2, 3)]
    assert sum(layers) == pytest.approx(history.train["kl"][-1], abs=1e-3)


def test_weight_and_free_bits_bend_the_loss_and_not_the_terms():
    model, x, seeded = stack(), zeros_and_ones(), torch.Generator().manual_seed
    terms = HierarchicalLoss(LinearWarmup(10))(model, x, 5, seeded(0))
    assert_close(terms["loss"], terms["reconstruction"] + 0.5 * terms["kl"])
    floor = HierarchicalLoss(LinearWarmup(10), 2.0)(model, x, 5, seeded(0))
    layers = torch.stack([terms["kl_1"], terms["kl_2"], terms["kl_3"]], -1)
    assert_close(floor["kl"], terms["kl"])
    assert_close(floor["loss"], terms["reconstruction"] + 0.5 * free_bits(layers, 2.0))
    assert floor["loss"].shape == (6,)


def test_without_free_bits_a_negative_share_counts():
    """max(0, ·) of a share that is negative bottom-up would be no bound."""
    model = chain("bottom-up")
    _affine(model.trunks[0][1], model.heads[0], torch.zeros(4), (B**2 + S2).log())
    terms = HierarchicalLoss()(model, observations(500), 0, torch.Generator().manual_seed(0))
    assert terms["kl_1"].mean() < 0
    assert_close(terms["loss"], terms["reconstruction"] + terms["kl_1"] + terms["kl_2"])


@NETWORKS
def test_upper_layers_stay_and_lower_ones_are_drawn_again(settings):
    model, seeded = stack(**settings), torch.Generator().manual_seed
    z = model.draw(4, seeded(0))
    assert [tuple(code.shape) for code in z] == [(4, size) for size in model.latent_dims]
    assert all(map(torch.equal, z, model.draw(4, seeded(0))))
    for fixed in range(1, model.layers + 1):
        again = model.redraw(z, fixed, seeded(9))
        same = [torch.equal(*pair) for pair in zip(z, again, strict=True)]
        assert same == [False] * (fixed - 1) + [True] * (model.layers - fixed + 1)
    for fixed in (0, model.layers + 1):
        with pytest.raises(ValueError, match=f"fixed = {fixed}"):
            model.redraw(z, fixed)


def test_draws_have_the_moments_of_the_chain(generator):
    z1, z2 = chain("ladder").draw(40_000, generator)
    assert_close(z2.var(0), torch.ones(4), atol=0.04, rtol=0)
    assert_close(z1.var(0), B**2 + S2, atol=0.03, rtol=0.03)
    assert_close((z1 * z2).mean(0), B, atol=0.03, rtol=0.03)


def test_shares_of_the_variance_are_those_of_the_chain(generator):
    shares = variance_shares(chain("ladder"), 20_000, generator=generator)
    own, inherited = (W**2 * S2).sum(), (W**2 * B**2).sum()
    wanted = torch.stack([own, inherited]) / (own + inherited)
    assert_close(shares, wanted, atol=0.02, rtol=0)
    assert_close(shares.sum(), torch.tensor(1.0))


@BOTH
def test_unit_variances_are_free_of_sampling_noise(inference, generator):
    model, x = chain(inference), observations(4000)
    first, second = unit_variances(model, x, samples=1, generator=generator)
    v1 = B**2 + S2
    assert_close(first, v1 - 1 / (1 / v1 + W**2), atol=0.08, rtol=0.1)  # Var of E[z_1|x]
    assert_close(second, (W * B) ** 2 / (W**2 * v1 + 1), atol=0.06, rtol=0.1)


def test_wrong_settings_and_images_are_refused_by_name():
    with pytest.raises(ValueError, match=r"unknown network 'tree'.*mlp, conv"):
        stack(network="tree")
    with pytest.raises(ValueError, match=r"unknown inference 'down'.*bottom-up, ladder"):
        stack("down")
    with pytest.raises(ValueError, match="2 latent layers and widths for 3"):
        stack(latents=(3, 2))
    with pytest.raises(ValueError, match=r"z_1 has maps of 8×8"):
        stack(**{**CONV, "latents": ((2, 8, 8), (2, 4, 4), (3, 2, 2), (2, 2, 2))})
    with pytest.raises(ValueError, match=r"z_3 has maps of 1×1 over 4×4"):
        stack(**{**CONV, "latents": ((2, 4, 4), (2, 4, 4), (3, 1, 1), (2, 1, 1))})
    with pytest.raises(ValueError, match=r"\(2, 1, 9, 8\) .*\(batch, 1, 8, 8\)"):
        stack()(torch.zeros(2, 1, 9, 8))
    with pytest.raises(ValueError, match="samples = 0"):
        stack().infer(zeros_and_ones(), 0)
    with pytest.raises(ValueError, match="samples = 0"):
        estimate_stack(stack(), zeros_and_ones(), samples=0)
