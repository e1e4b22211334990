"""A stack on a stream: its bound, its draws, and that every layer sees all above it."""

from itertools import product
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from vae_course.data import binarize
from vae_course.hierarchical import HierarchicalLoss, SkipVAE, estimate_stack, unit_variances
from vae_course.metrics import log_marginal
from vae_course.models import load_model, save_model
from vae_course.training import fit

TINY = (1, 2, 2)


def stack(image_shape: tuple[int, int, int] = TINY, width: int = 8) -> SkipVAE:
    torch.manual_seed(0)
    return SkipVAE(image_shape, (3, 2, 2), width=width)


def wide_stack() -> SkipVAE:
    """A stack whose q is wider than its p, so that no weight is large."""
    model = stack()
    for head, n in zip(model.posteriors, model.latent_dims, strict=True):
        head.weight.data *= 0.5
        head.bias.data[n:] += 0.7
    return model


def all_images() -> torch.Tensor:
    return torch.tensor(list(product([0.0, 1.0], repeat=4))).view(16, *TINY)


def test_the_evidence_of_all_images_sums_to_one(generator: torch.Generator) -> None:
    """E_q[w] = p(x): with the right weights, and only then, the 16 evidences sum to 1."""
    model = wide_stack()
    weights = model.log_weights(all_images(), 20_000, generator).double().exp()
    error = weights.std(1).square().sum().div(20_000).sqrt().item()
    assert weights.mean(1).sum().item() == pytest.approx(1, abs=5 * error)
    assert error < 0.01


def test_draws_have_the_evidence_of_the_weights(generator: torch.Generator) -> None:
    """The mean image under p(x) is Σ_x p(x) x, by drawing and by summing."""
    model = wide_stack()
    evidence = log_marginal(model, all_images(), 20_000, generator=generator).double().exp()
    mean = (evidence[:, None] * all_images().flatten(1)).sum(0)
    drawn = model.sample_images(50_000, generator).flatten(1).double().mean(0)
    assert_close(drawn, mean, atol=0.02, rtol=0)


def test_a_pass_has_every_layer_and_repeats_the_batch(generator: torch.Generator) -> None:
    model, x = stack(), all_images()
    out = model.infer(x, 5, generator)
    assert out.kl.shape == (80, 3)
    assert (out.kl >= 0).all()
    assert [tuple(z.shape) for z in out.z] == [(80, 3), (80, 2), (80, 2)]
    assert out.p.batch_shape == (80,)
    assert model.log_weights(x, 5, generator).shape == (16, 5)
    assert estimate_stack(model, x, generator=generator).elbo.shape == (16,)
    assert [len(v) for v in unit_variances(model, x, generator=generator)] == [3, 2, 2]


def test_a_layer_sees_all_layers_above_it_and_the_image_sees_all() -> None:
    model = stack()
    top, middle, low = (torch.randn(1, n).requires_grad_() for n in (2, 2, 3))
    stream = model.start.expand(1, -1)
    for layer, z in ((2, top), (1, middle)):
        stream = model._carry(layer, stream, z)
    prior = model.priors[0](stream).sum()
    assert all(
        g.abs().sum() > 0 for g in torch.autograd.grad(prior, [top, middle], retain_graph=True)
    )
    image = model.decode(model._carry(0, model._carry(1, stream, middle), low)).mean.sum()
    assert all(g.abs().sum() > 0 for g in torch.autograd.grad(image, [top, middle, low]))


def test_it_trains_and_survives_the_disk(tmp_path: Path) -> None:
    model = stack((1, 8, 8), width=16)
    gray = torch.randint(256, (64, 1, 8, 8), generator=torch.Generator().manual_seed(1)).byte()
    before = {name: p.clone() for name, p in model.named_parameters()}
    history = fit(
        model, gray, HierarchicalLoss(), epochs=3, batch_size=16, learning_rate=1e-2,
        transform=binarize,
    )  # fmt: skip
    assert history.train["loss"][-1] < history.train["loss"][0]
    assert all(not torch.equal(p, before[name]) for name, p in model.named_parameters())
    save_model(model, tmp_path / "skip")
    again = load_model(tmp_path / "skip")
    x = (gray > 127).float()
    pair = [m.eval()(x, torch.Generator().manual_seed(2)).kl for m in (model, again)]
    assert_close(*pair)


def test_wrong_sizes_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="without latent layers"):
        SkipVAE(TINY, ())
    with pytest.raises(ValueError, match="samples = 0"):
        stack().infer(all_images(), 0)
    with pytest.raises(ValueError, match=r"1, 2, 2"):
        stack().infer(torch.zeros(3, 1, 4, 4), 1)
