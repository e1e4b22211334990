"""The examples in docstrings run and say what they say; the main entry points have one."""

import doctest
import importlib
import inspect
from pathlib import Path

import pytest
import torch

import vae_course
from vae_course.conditional import ConditionalVAE
from vae_course.discrete import VQVAE
from vae_course.hierarchical import HierarchicalVAE
from vae_course.metrics import estimate_elbo, log_marginal
from vae_course.models import VAE, LinearGaussian, load_model, save_model
from vae_course.objectives import ELBOLoss, IWAELoss, elbo

PACKAGE = Path(vae_course.__file__).parent
WITH_EXAMPLES = sorted(
    ".".join(("vae_course", *path.relative_to(PACKAGE).with_suffix("").parts))
    for path in PACKAGE.rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_run(name: str) -> None:
    torch.manual_seed(0)
    found = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert found.attempted and not found.failed


@pytest.mark.parametrize(
    "thing",
    [
        VAE,
        ELBOLoss,
        elbo,
        IWAELoss,
        estimate_elbo,
        log_marginal,
        save_model,
        load_model,
        VQVAE,
        ConditionalVAE,
        HierarchicalVAE,
        LinearGaussian,
    ],
    ids=lambda thing: thing.__name__,
)
def test_main_entry_points_have_an_example(thing: object) -> None:
    assert ">>> " in inspect.getdoc(thing)
