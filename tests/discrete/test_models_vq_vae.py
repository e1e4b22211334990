"""VQ-VAE and the prior over its codes: shapes, code lengths, and that they learn."""

import math

import pytest
import torch
from torch.testing import assert_close

from vae_course.discrete import QUANTIZERS, VQVAE, CodePrior, perplexity, vq_loss
from vae_course.models import load_model, save_model
from vae_course.objectives import negative_log_likelihood
from vae_course.training import fit

SHAPE = (1, 8, 8)
SETTINGS = {
    "gradient": {"codebook_size": 6, "dim": 4},
    "ema": {"codebook_size": 6, "dim": 4, "restart_below": 0.1},
    "finite-scalar": {"levels": [3, 3]},
    "gumbel": {"codebook_size": 6, "dim": 4},
}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def model(quantizer: str = "ema") -> VQVAE:
    torch.manual_seed(0)
    return VQVAE(SHAPE, quantizer=quantizer, width=8, residual=(1, 4), **SETTINGS[quantizer])


@pytest.fixture
def x() -> torch.Tensor:
    """Stripes, across or down: something to learn."""
    stripes = torch.tensor([0.0, 1.0]).repeat(4).expand(8, 8)
    which = torch.rand(64, generator=seeded()) < 0.5
    return torch.where(which[:, None, None], stripes, stripes.T).unsqueeze(1).contiguous()


@pytest.mark.parametrize("quantizer", QUANTIZERS)
def test_one_pass(quantizer: str, x: torch.Tensor) -> None:
    made = model(quantizer).eval()
    output = made(x[:5])
    assert output.z_e.shape == (5, 2, 2, made.quantizer.dim)
    assert output.quantization.indices.shape == (5, 2, 2)
    assert output.p.log_prob(x[:5]).shape == (5,)
    terms = vq_loss(made, x[:5], 0)
    assert_close(terms.loss, terms.reconstruction + terms.quantizer)
    indices = made.indices(x[:5])
    assert_close(made.decode_indices(indices).mean, output.p.mean)


@pytest.mark.parametrize("quantizer", QUANTIZERS)
def test_it_learns_and_the_loss_does_not_see_the_batch_size(
    quantizer: str, x: torch.Tensor
) -> None:
    made = model(quantizer)
    history = fit(made, x, vq_loss, epochs=12, batch_size=16, learning_rate=5e-3)
    assert history.train["loss"][-1] < history.train["loss"][0]
    once = vq_loss(made, x[:4], 0).loss
    assert_close(vq_loss(made, x[:4].repeat(3, 1, 1, 1), 0).loss, once.repeat(3))


def test_indices_leave_the_codebook_and_the_mode_alone(x: torch.Tensor) -> None:
    made = model().train()
    before = made.quantizer.codebook.clone()
    made.indices(x)
    assert made.training
    assert torch.equal(made.quantizer.codebook, before)


def test_the_codebook_starts_among_the_encodings(x: torch.Tensor) -> None:
    made = model()
    made.start_codebook(x)
    with torch.no_grad():
        z_e = made.encode(x).reshape(-1, 4)
    assert torch.cdist(made.quantizer.codebook, z_e).min(1).values.max() < z_e.std() + 1e-6
    with pytest.raises(ValueError, match="FiniteScalar has no codebook"):
        model("finite-scalar").start_codebook(x)


@pytest.mark.parametrize("quantizer", QUANTIZERS)
def test_saved_and_loaded_it_is_the_same(quantizer: str, x: torch.Tensor, tmp_path) -> None:
    made = model(quantizer).eval()
    save_model(made, tmp_path / "model.safetensors")
    again = load_model(tmp_path / "model.safetensors").eval()
    assert_close(again(x[:3]).p.mean, made(x[:3]).p.mean)


def test_the_terms_count_the_codes_of_the_batch(x: torch.Tensor) -> None:
    made = model().eval()
    terms = vq_loss(made, x, 0)
    indices = made.indices(x)
    assert_close(terms.perplexity, perplexity(indices, 6).expand(64))
    assert torch.equal(terms.codes_used, torch.full((64,), len(indices.unique())))


def test_with_the_uniform_prior_the_bound_is_below_the_sum_over_all_maps() -> None:
    """(14.9) on a model whose maps can be listed: one position, six codes."""
    torch.manual_seed(0)
    settings = {"codebook_size": 6, "dim": 4, "likelihood": "bernoulli"}
    made = VQVAE((1, 2, 2), quantizer="ema", halvings=1, width=8, residual=(1, 4), **settings)
    x = torch.bernoulli(torch.full((5, 1, 2, 2), 0.5), generator=seeded())
    made.eval()
    with torch.no_grad():
        bound = made.decode_indices(made.indices(x)).log_prob(x) - math.log(6)
        each = made.decode_indices(torch.arange(6).view(6, 1, 1))
        marginal = torch.logsumexp(each.log_prob(x.unsqueeze(1)), 1) - math.log(6)
    assert torch.all(bound <= marginal)


def test_unknown_quantizers_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown quantizer 'vector'; choose one of gradient"):
        VQVAE(SHAPE, quantizer="vector")


def test_a_prior_over_maps_sums_to_one() -> None:
    torch.manual_seed(0)
    prior = CodePrior(3, (2, 2), width=8, heads=2, layers=1)
    values = torch.arange(3)
    maps = torch.cartesian_prod(values, values, values, values).view(-1, 2, 2)
    assert float(prior.log_prob(maps).detach().exp().sum()) == pytest.approx(1, abs=1e-5)
    with pytest.raises(ValueError, match=r"\(1, 4, 1\), this prior takes \(batch, 2, 2\)"):
        prior.log_prob(torch.zeros(1, 4, 1, dtype=torch.int64))


def test_a_trained_prior_reaches_the_entropy_of_its_source() -> None:
    """Two maps, equally likely: log 2 nats, where a uniform prior pays 4 log 3."""
    pair = torch.tensor([[[0, 1], [2, 0]], [[2, 2], [0, 1]]])
    maps = pair[torch.randint(2, (256,), generator=seeded())]
    torch.manual_seed(0)
    prior = CodePrior(3, (2, 2), width=16, heads=2, layers=1)
    fit(prior, maps, negative_log_likelihood, epochs=30, batch_size=64, learning_rate=1e-2)
    assert float(prior.log_prob(pair).detach().mean()) == pytest.approx(-math.log(2), abs=0.1)
    drawn = prior.sample(50, seeded(1))
    known = (drawn.unsqueeze(1) == pair).flatten(2).all(-1).any(-1)
    assert known.double().mean() > 0.9
