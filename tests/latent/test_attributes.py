import pytest
import torch
from torch.testing import assert_close

from vae_course.latent import attribute_vector


def test_attribute_vector_points_from_the_codes_without_to_those_with() -> None:
    codes = torch.tensor([[1.0, 0.0], [3.0, 0.0], [0.0, 5.0], [0.0, 7.0], [0.0, 0.0]])
    has = torch.tensor([True, True, False, False, False])
    assert_close(attribute_vector(codes, has), torch.tensor([2.0, -4.0]))
    assert_close(attribute_vector(codes, ~has), torch.tensor([-2.0, 4.0]))


def test_attribute_vector_is_found_again_in_shifted_codes(generator: torch.Generator) -> None:
    direction = torch.tensor([0.5, -1.0, 0.0, 2.0])
    has = torch.rand(20_000, generator=generator) < 0.3
    codes = torch.randn(20_000, 4, generator=generator) + has[:, None] * direction
    assert_close(attribute_vector(codes, has), direction, atol=0.06, rtol=0)


@pytest.mark.parametrize("all_of_them", [True, False])
def test_an_attribute_of_all_or_none_is_refused(all_of_them: bool) -> None:
    with pytest.raises(ValueError, match="without it"):
        attribute_vector(torch.zeros(3, 2), torch.full((3,), all_of_them))
