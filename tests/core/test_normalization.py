"""p(x) over all images of a tiny model sums to one, for every model that has a p(x)."""

import itertools
import math

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from vae_course.conditional import ConditionalVAE, ImagePredictor, SemiSupervisedVAE
from vae_course.discrete import VQVAE
from vae_course.disentangling import FactorVAE
from vae_course.distributions import DiagonalGaussian
from vae_course.heads import FullCovarianceVAE, VarianceHeadVAE
from vae_course.hierarchical import HierarchicalVAE
from vae_course.models import VAE
from vae_course.objectives import log_weights
from vae_course.priors import LatentMixture, VampPriorVAE, with_prior

SHAPE = (1, 2, 2)
ALL = torch.tensor(list(itertools.product([0.0, 1.0], repeat=4))).view(16, *SHAPE)
SMALL = {"widths": (5,)}
MIXTURE = LatentMixture(
    torch.tensor([0.3, 0.7]),
    MultivariateNormal(torch.tensor([[0.0, 1.0], [1.0, 0.0]]), torch.eye(2)),
)
MODELS = {
    "mlp": lambda: VAE(SHAPE, 2, **SMALL),
    "conv": lambda: VAE(SHAPE, 2, network="conv", widths=(4,)),
    "full covariance": lambda: FullCovarianceVAE(SHAPE, 2, **SMALL),
    "softplus": lambda: VarianceHeadVAE(SHAPE, 2, head="softplus", **SMALL),
    "FactorVAE": lambda: FactorVAE(SHAPE, 2, discriminator_widths=(3,), **SMALL),
    "VampPrior": lambda: VampPriorVAE(VAE(SHAPE, 2, **SMALL), torch.rand(3, *SHAPE)),
    "another Gaussian": lambda: with_prior(
        VAE(SHAPE, 2, **SMALL), DiagonalGaussian(torch.tensor([0.5, -0.5]), torch.zeros(2))
    ),
    "a mixture": lambda: with_prior(VAE(SHAPE, 2, **SMALL), MIXTURE),
    "given a label": lambda: ConditionalVAE(SHAPE, 2, condition=3, **SMALL).given(1),
    "M2 given a label": lambda: SemiSupervisedVAE(SHAPE, 2, classes=3, **SMALL).given(2),
    "ladder": lambda: HierarchicalVAE(SHAPE, (2, 1), widths=((5,), (4,))),
    "bottom-up": lambda: HierarchicalVAE(SHAPE, (2, 1), widths=((5,), (4,)), inference="bottom-up"),
}


@pytest.mark.parametrize("name", MODELS)
def test_importance_weights_of_all_images_sum_to_one(name: str) -> None:
    torch.manual_seed(0)
    model, k = MODELS[name](), 40_000
    with torch.no_grad():
        log_w = log_weights(model, ALL, k, torch.Generator().manual_seed(1))
    total = log_w.double().exp().sum(0)  # for each draw an unbiased estimate of Σ p(x)
    error = float(total.std()) / math.sqrt(k)
    assert error < 0.01
    assert abs(float(total.mean()) - 1) < 4 * error


@torch.no_grad()
def test_a_vq_vaes_images_sum_to_one_under_the_uniform_prior() -> None:
    torch.manual_seed(0)
    model = VQVAE(
        SHAPE, halvings=1, width=4, residual=(1, 2), likelihood="bernoulli", codebook_size=5, dim=3
    )
    p = model.decode_indices(torch.arange(5).view(5, 1, 1))
    log_px: Tensor = p.log_prob(ALL.unsqueeze(1))  # (images, maps)
    assert float(log_px.double().exp().sum(0).mean()) == pytest.approx(1, abs=1e-6)


@torch.no_grad()
def test_a_predictors_images_sum_to_one() -> None:
    torch.manual_seed(0)
    p = ImagePredictor(SHAPE, condition=SHAPE, **SMALL)(ALL[3:4])
    assert float(p.log_prob(ALL).double().exp().sum()) == pytest.approx(1, abs=1e-6)
