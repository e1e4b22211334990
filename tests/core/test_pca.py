import pytest
import torch

from vae_course.metrics import fit_pca


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(16, 16, generator=generator, dtype=torch.float64)
    flat = torch.randn(60, 16, generator=generator, dtype=torch.float64) @ mixing + 3
    return flat.view(60, 1, 4, 4)


@pytest.mark.parametrize("k", [0, 1, 5, 16])
def test_error_is_the_variance_left_out_and_that_of_the_truncated_svd(images, k):
    pca = fit_pca(images)
    error = (images - pca.reconstruct(images, k)).square().flatten(1).sum(1).mean()
    singular = torch.linalg.svdvals((images - images.mean(0)).flatten(1))
    torch.testing.assert_close(error, pca.variances[k:].sum())
    torch.testing.assert_close(error, singular[k:].square().sum() / len(images))


def test_components_are_orthonormal_and_the_shape_stays(images):
    pca = fit_pca(images)
    identity = torch.eye(16, dtype=torch.float64)
    torch.testing.assert_close(pca.components @ pca.components.T, identity)
    assert pca.reconstruct(images[:3], 2).shape == (3, 1, 4, 4)


def test_new_images_are_centered_by_the_training_mean(images):
    pca = fit_pca(images)
    torch.testing.assert_close(pca.reconstruct(images[:1] + 100, 0), pca.mean[None])


def test_too_many_directions_are_refused(images):
    with pytest.raises(ValueError, match="k = 17: there are 0 to 16"):
        fit_pca(images).reconstruct(images, 17)
