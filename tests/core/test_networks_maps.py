import pytest
import torch
from torch.testing import assert_close

from vae_course.discrete import CausalTransformer
from vae_course.networks import MapDecoder, MapEncoder, ResidualBlock


@pytest.mark.parametrize("halvings", [1, 2, 3])
def test_maps_have_the_size_that_is_asked_for(halvings: int) -> None:
    x = torch.rand(2, 3, 16, 24)
    encoder = MapEncoder((3, 16, 24), 5, halvings=halvings, width=8, residual=(1, 4))
    decoder = MapDecoder(5, (6, 16, 24), halvings=halvings, width=8, residual=(1, 4))
    z = encoder(x)
    assert z.shape == (2, 5, 16 // 2**halvings, 24 // 2**halvings)
    assert decoder(z).shape == (2, 6, 16, 24)


def test_a_residual_block_adds_to_its_input() -> None:
    block = ResidualBlock(4, 2)
    torch.nn.init.zeros_(block.layers[-1].weight)
    torch.nn.init.zeros_(block.layers[-1].bias)
    h = torch.randn(2, 4, 5, 5)
    assert_close(block(h), h)


@pytest.mark.parametrize("halvings", [0, 3])
def test_images_that_cannot_be_halved_are_refused(halvings: int) -> None:
    with pytest.raises(ValueError, match=f"halvings = {halvings}: 28×28"):
        MapEncoder((1, 28, 28), 4, halvings=halvings)


@pytest.fixture
def transformer() -> CausalTransformer:
    torch.manual_seed(0)
    made = CausalTransformer(7, 10, width=16, heads=2, layers=2)
    torch.nn.init.normal_(made.embedding.weight)  # far from the start's near-uniform logits
    return made.eval()


def test_a_code_is_predicted_from_those_before_it_only(transformer: CausalTransformer) -> None:
    generator = torch.Generator().manual_seed(0)
    indices = torch.randint(7, (3, 10), generator=generator)
    logits = transformer(indices)
    assert logits.shape == (3, 10, 7)
    for t in range(10):
        changed = indices.clone()
        changed[:, t] = (changed[:, t] + 1) % 7
        moved = (transformer(changed) - logits).abs().amax((0, 2)) > 1e-6
        assert not moved[: t + 1].any()
        assert moved[t + 1 :].all()


def test_sampling_with_the_cache_has_the_models_probabilities(
    transformer: CausalTransformer,
) -> None:
    """Frequencies of the first two codes of many samples, against the forward pass."""
    drawn = transformer.sample(20_000, torch.Generator().manual_seed(0))
    assert drawn.shape == (20_000, 10)
    with torch.no_grad():
        pairs = torch.cartesian_prod(torch.arange(7), torch.arange(7))
        padded = torch.nn.functional.pad(pairs, (0, 8))
        log_p = transformer(padded).log_softmax(-1)[:, :2]
    probability = log_p.gather(2, pairs.unsqueeze(-1)).sum((1, 2)).exp()
    assert float(probability.sum()) == pytest.approx(1, abs=1e-5)
    found = torch.bincount(drawn[:, 0] * 7 + drawn[:, 1], minlength=49) / 20_000
    error = (probability * (1 - probability) / 20_000).sqrt()
    assert torch.all((found - probability).abs() < 5 * error + 1e-4)


def test_the_cache_gives_the_logits_of_the_whole_sequence(transformer: CausalTransformer) -> None:
    """Near temperature 0 sampling is greedy, and must agree with the forward pass throughout."""
    drawn = transformer.sample(4, torch.Generator().manual_seed(0), temperature=1e-4)
    assert torch.equal(transformer(drawn).argmax(-1), drawn)


def test_samples_repeat_with_their_generator(transformer: CausalTransformer) -> None:
    one, two = (transformer.sample(5, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(one, two)


def test_wrong_settings_are_named(transformer: CausalTransformer) -> None:
    with pytest.raises(ValueError, match="width = 10 is not a multiple of heads = 4"):
        CausalTransformer(4, 4, width=10, heads=4)
    with pytest.raises(ValueError, match="temperature = 0"):
        transformer.sample(1, temperature=0)


def test_attention_on_a_cpu_stays_in_float32(
    transformer: CausalTransformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In bfloat16 its backward pass takes ten times as long there."""
    seen = []
    attention = torch.nn.functional.scaled_dot_product_attention

    def spied(q: torch.Tensor, *args: torch.Tensor, **options: bool) -> torch.Tensor:
        result = attention(q, *args, **options)
        seen.append((q.dtype, result.dtype))
        return result

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", spied)
    with torch.autocast("cpu", torch.bfloat16):
        transformer(torch.zeros(2, 10, dtype=torch.int64))
    assert seen == [(torch.float32, torch.float32)] * 2
