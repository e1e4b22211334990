"""Functions that score images say what is wrong with them, each with the way out."""

import math

import pytest
import torch
from torch import Tensor

from vae_course.conditional import ConditionalVAE, class_log_marginals, conditional_log_marginal
from vae_course.data import Labeled
from vae_course.evidence import (
    grid_log_joint,
    latent_grid,
    prior_log_weights,
    proposal_log_weights,
    refine_posterior,
)
from vae_course.hierarchical import HierarchicalVAE, estimate_stack, unit_variances
from vae_course.latent import importance_resampling, pseudo_gibbs
from vae_course.metrics import estimate_elbo, log_marginal
from vae_course.models import VAE
from vae_course.objectives import log_weights
from vae_course.priors import with_prior
from vae_course.scale import optimal_sigma

SHAPE = (1, 4, 4)
IMAGES = (torch.rand(3, *SHAPE, generator=torch.Generator().manual_seed(0)) > 0.5).float()


def vae() -> VAE:
    torch.manual_seed(0)
    return VAE(SHAPE, 2, widths=(5,))


def stack() -> HierarchicalVAE:
    return HierarchicalVAE(SHAPE, (2,), widths=((5,),))


def seen(x: Tensor) -> Tensor:
    return torch.ones_like(x, dtype=torch.bool)


CONDITIONAL = ConditionalVAE(SHAPE, 2, condition=3, widths=(5,))
SCORES = {
    "estimate_elbo": lambda x: estimate_elbo(vae(), x).elbo,
    "estimate_elbo of a view": lambda x: estimate_elbo(with_prior(vae(), vae().prior()), x).elbo,
    "log_marginal": lambda x: log_marginal(vae(), x, 2),
    "log_marginal of a stack": lambda x: log_marginal(stack(), x, 2),
    "class_log_marginals": lambda x: class_log_marginals(CONDITIONAL, x, 3, 2),
    "conditional_log_marginal": lambda x: conditional_log_marginal(
        CONDITIONAL, x, torch.zeros(len(x), dtype=torch.int64), 2
    ),
    "refine_posterior": lambda x: refine_posterior(vae(), x, steps=2).mean,
    "prior_log_weights": lambda x: prior_log_weights(vae(), x, 2),
    "proposal_log_weights": lambda x: proposal_log_weights(
        vae(), x, vae().prior().expand((len(x),)), 2
    ),
    "grid_log_joint": lambda x: grid_log_joint(vae(), x, latent_grid(2, 2.0, 3)),
    "optimal_sigma": lambda x: torch.tensor(optimal_sigma(vae(), x)),
    "estimate_stack": lambda x: estimate_stack(stack(), x).elbo,
    "unit_variances": lambda x: unit_variances(stack(), x)[0],
    "importance_resampling": lambda x: importance_resampling(vae(), x, seen(x), x, 2).log_w,
    "pseudo_gibbs": lambda x: pseudo_gibbs(vae(), x, seen(x), x, 2, burn_in=1).z,
}


def with_nan() -> Tensor:
    x = IMAGES.clone()
    x[1, 0, 2, 3] = math.nan
    return x


WRONG = {
    "float64": (IMAGES.double(), r"float64 but the model computes in .*float32: use x.to"),
    "uint8": (IMAGES.byte(), "uint8 but a model takes floats: use vae_course.data.to_unit"),
    "NaN": (with_nan(), "image 1 has a pixel that is NaN or infinite"),
    "empty": (IMAGES[:0], "there is none among them"),
}


@pytest.mark.parametrize("name", SCORES)
def test_what_is_right_is_scored(name: str) -> None:
    assert bool(SCORES[name](IMAGES).isfinite().all())


# Parts to build with, of which one may want the slope; everything else is a measurement.
WITH_GRADIENTS = {"grid_log_joint", "prior_log_weights", "proposal_log_weights"}


@pytest.mark.parametrize("name", sorted(SCORES.keys() - WITH_GRADIENTS))
def test_scores_are_taken_without_gradients(name: str) -> None:
    found = SCORES[name](IMAGES)
    assert not found.requires_grad and found.grad_fn is None


@pytest.mark.parametrize("fault", ["float64", "uint8", "NaN", "empty"])
@pytest.mark.parametrize("name", SCORES)
def test_what_is_wrong_is_said(name: str, fault: str) -> None:
    x, sentence = WRONG[fault]
    with pytest.raises(ValueError, match=sentence):
        SCORES[name](x)


@pytest.mark.parametrize("score", [estimate_elbo, lambda m, x: log_marginal(m, x, 2)])
def test_what_is_no_tensor_is_named(score: object) -> None:
    with pytest.raises(TypeError, match=r"ndarray.*torch\.from_numpy"):
        score(vae(), IMAGES.numpy())
    with pytest.raises(TypeError, match=r"Labeled.*\.images"):
        score(vae(), Labeled(IMAGES, torch.arange(3)))
    with pytest.raises(TypeError, match="ndarray, not a tensor of shape"):
        vae().encode(IMAGES.numpy())


def test_log_weights_look_at_the_kind_and_not_at_the_values() -> None:
    with pytest.raises(ValueError, match="float64"):
        log_weights(vae(), IMAGES.double(), 2)
    with pytest.raises(TypeError, match="ndarray"):
        log_weights(vae(), IMAGES.numpy(), 2)
    assert bool(log_weights(vae(), with_nan(), 2)[1].isnan().all())


def test_images_of_another_shape_are_named() -> None:
    with pytest.raises(ValueError, match=r"\(3, 1, 5, 4\) but this model takes \(batch, 1, 4, 4\)"):
        estimate_elbo(vae(), torch.zeros(3, 1, 5, 4))


def test_the_likelihood_looks_at_the_images_once() -> None:
    model, looked = vae(), []
    model.likelihood.check_support = looked.append
    estimate_elbo(model, IMAGES, samples=3, chunk=2)
    log_marginal(with_prior(model, model.prior()), IMAGES, 5, chunk=2)
    assert len(looked) == 2 and all(x is IMAGES for x in looked)


def test_missing_pixels_may_be_anything() -> None:
    observed = torch.ones_like(IMAGES, dtype=torch.bool)
    observed[1, 0, 2, 3] = False
    chain = pseudo_gibbs(vae(), with_nan(), observed, torch.zeros_like(IMAGES), 2, burn_in=1)
    assert bool(chain.z.isfinite().all())
