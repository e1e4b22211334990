import pytest
import torch

from vae_course.exercises import check
from vae_course.metrics import fit_pca


def hint_for(number, answer):
    verdict = check(number, answer)
    assert verdict.state == "wrong", verdict
    return verdict.message


def test_2_1_accepts_the_normal_equations_and_lstsq():
    assert check("2.1", lambda x, z: x.T @ z @ torch.linalg.inv(z.T @ z)).state == "right"
    assert check("2.1", lambda x, z: torch.linalg.lstsq(z, x).solution.T).state == "right"


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (lambda x, z: torch.linalg.lstsq(z, x).solution, "shape"),
        (lambda x, z: torch.linalg.lstsq(x, z).solution, "encoder"),
        (lambda x, z: x.T @ z, "inverse"),
        (lambda x, z: x.T @ z / len(x), "inverse"),
        (lambda x, z: x.T @ z @ torch.linalg.inv(z.T @ z + torch.eye(3)), "gradient"),
        (lambda x, z: 0, "shape"),
    ],
)
def test_2_1_turns_down(answer, hint):
    assert hint in hint_for("2.1", answer)


def right_errors(train, x, k):
    return (x - fit_pca(train).reconstruct(x, k)).square().flatten(1).sum(1)


def smallest_directions(train, x, k):
    mean = train.mean(0)
    centered = (train - mean).flatten(1)
    directions = torch.linalg.eigh(centered.T @ centered).eigenvectors[:, :k]
    flat = (x - mean).flatten(1)
    return (flat - flat @ directions @ directions.T).square().sum(1)


def centered_by_new_images(train, x, k):
    pca = fit_pca(train)
    return right_errors(train, x - x.mean(0) + pca.mean, k)


def not_centered(train, x, k):
    return right_errors(train, x + fit_pca(train).mean, k)


def kept_part(train, x, k):
    pca = fit_pca(train)
    return (pca.reconstruct(x, k) - pca.mean).square().flatten(1).sum(1)


def without_the_mean_added_back(train, x, k):
    pca = fit_pca(train)
    return (x - pca.reconstruct(x, k) + pca.mean).square().flatten(1).sum(1)


def test_2_2_accepts_the_package_s_pca():
    assert check("2.2", right_errors).state == "right"


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (lambda *given: right_errors(*given).mean(), "one number for the whole batch"),
        (lambda *given: right_errors(*given).sum(), "one number for the whole batch"),
        (lambda train, x, k: right_errors(train, x, k) / x[0].numel(), "mean over pixels"),
        (lambda *given: right_errors(*given).sqrt(), "leave the root out"),
        (lambda train, x, k: x - fit_pca(train).reconstruct(x, k), "one error an image"),
        (lambda train, x, k: right_errors(train, x, k + 1), "not the errors of PCA"),
        (lambda train, x, k: right_errors(x, x, k), "not the errors of PCA"),
        (smallest_directions, "smallest variance"),
        (centered_by_new_images, "training images only"),
        (not_centered, "not centered"),
        (kept_part, "kept"),
        (without_the_mean_added_back, "add the mean again"),
    ],
)
def test_2_2_turns_down(answer, hint):
    assert hint in hint_for("2.2", answer)


def squared(x, x_hat):
    return (x - x_hat).square().flatten(1).sum(1)


def denoising(noise_of, *, terms=lambda loss: loss, reduce=lambda loss, x: loss):
    """Make an answer of a way to draw noise."""

    def answer(model, x, step, generator=None, sigma=0.2):
        noise = noise_of(x, generator, sigma)
        return terms(reduce(squared(x, model(x + noise)), x))

    return answer


def gaussian(x, generator, sigma):
    return sigma * torch.randn(x.shape, generator=generator)


def clean_input(model, x, step, generator=None, sigma=0.2):
    return squared(x, model(x))


def noisy_target(model, x, step, generator=None, sigma=0.2):
    noisy = x + gaussian(x, generator, sigma)
    return squared(noisy, model(noisy))


def noise_in_the_target_only(model, x, step, generator=None, sigma=0.2):
    return squared(x + gaussian(x, generator, sigma), model(x))


def test_2_3_accepts_gaussian_noise_on_the_input():
    assert check("2.3", denoising(gaussian)).state == "right"


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (clean_input, "error zero"),
        (noisy_target, "the target is the clean image"),
        (noise_in_the_target_only, "the target is the clean image"),
        (denoising(gaussian, reduce=lambda loss, x: loss / x[0].numel()), "mean over pixels"),
        (denoising(gaussian, reduce=lambda loss, x: loss.mean()), "one error an image"),
        (denoising(lambda x, g, s: gaussian(x, g, s**2)), "standard deviation σ²"),
        (denoising(lambda x, g, s: gaussian(x, g, s**0.5)), "variance σ"),
        (denoising(lambda x, g, s: gaussian(x, g, 1)), "standard deviation 1"),
        (denoising(lambda x, g, s: s * (2 * torch.rand(x.shape, generator=g) - 1)), "uniform"),
        (denoising(lambda x, g, s: gaussian(x, g, 2 * s)), "mean error D σ²"),
        (denoising(lambda x, g, s: gaussian(x, None, s)), "generator"),
        (denoising(gaussian, terms=lambda loss: {"loss": loss}), "a tensor"),
    ],
)
def test_2_3_turns_down(answer, hint):
    assert hint in hint_for("2.3", answer)


@pytest.mark.parametrize("number", ["2.1", "2.2", "2.3"])
def test_a_blank_is_not_attempted(number):
    assert check(number, lambda *args, **kwargs: ...).state == "open"
    assert check(number, None).state == "open"
