"""The checks of chapter 3 turn down the usual mistakes, with a hint that names them."""

import math

import pytest
import torch
from torch.distributions import Normal

from vae_course.distributions import DiagonalGaussian
from vae_course.exercises import check
from vae_course.latent import neighborhood, overlap


def turned_down(number, answer, hint):
    verdict = check(number, answer)
    assert verdict.state == "wrong"
    assert hint in verdict.message, verdict.message


# --- 3.1


def one_pass(
    outputs,
    decoder,
    x,
    sigma_x,
    generator,
    *,
    swap=False,
    sigma=lambda v: (0.5 * v).exp(),
    noise=None,
    log_px=None,
    detach=False,
):
    mean, log_var = outputs.chunk(2, dim=-1)
    if swap:
        mean, log_var = log_var, mean
    draw = noise or (lambda shape: torch.randn(shape, generator=generator))
    z = mean + sigma(log_var) * draw(mean.shape)
    z = z.detach() if detach else z
    score = log_px or (lambda g, x, s: Normal(g, s).log_prob(x).sum(-1))
    return z, score(decoder(z), x, sigma_x)


def pixels(g, x, s):
    return Normal(g, s).log_prob(x)


@pytest.mark.parametrize(
    ("mistake", "hint"),
    [
        ({"swap": True}, "first half"),
        ({"sigma": torch.exp}, "variance σ² in place of σ"),
        ({"sigma": lambda v: (0.25 * v).exp()}, "one ½ is enough"),
        ({"sigma": lambda v: v}, "exponentiate"),
        ({"sigma": torch.ones_like}, "not used"),
        ({"sigma": lambda v: 3 * (0.5 * v).exp()}, "standard deviation"),
        ({"noise": torch.zeros}, "noise for every image"),
        ({"noise": lambda shape: torch.randn(1, shape[1])}, "noise for every image"),
        ({"noise": lambda shape: torch.randn(shape[0], 1)}, "move together"),
        ({"detach": True}, "gradient"),
        ({"log_px": lambda g, x, s: pixels(g, x, s).sum()}, "not over the batch"),
        ({"log_px": pixels}, "sum over pixels"),
        ({"log_px": lambda g, x, s: pixels(g, x, s).mean(-1)}, "not a mean"),
        ({"log_px": lambda g, x, s: -pixels(g, x, s).sum(-1)}, "sign"),
        ({"log_px": lambda g, x, s: pixels(g, x, s**0.5).sum(-1)}, "standard deviation"),
        ({"log_px": lambda g, x, s: pixels(g, x, 1.0).sum(-1)}, "not used"),
        (
            {"log_px": lambda g, x, s: -(x - g).square().sum(-1) / (2 * s**2)},
            "normalization",
        ),
        ({"log_px": lambda g, x, s: (x - g).abs().sum(-1)}, "log-density"),
    ],
)
def test_3_1_turns_down(mistake, hint):
    turned_down("3.1", lambda *args: one_pass(*args, **mistake), hint)


def test_3_1_turns_down_the_density_at_the_mean_code_and_at_another_draw():
    def at_mean(outputs, decoder, x, sigma_x, generator):
        z, _ = one_pass(outputs, decoder, x, sigma_x, generator)
        return z, pixels(decoder(outputs.chunk(2, -1)[0]), x, sigma_x).sum(-1)

    def at_another(*args):
        return one_pass(*args)[0], one_pass(*args)[1]

    turned_down("3.1", at_mean, "mean code")
    turned_down("3.1", at_another, "very z")


@pytest.mark.parametrize("result", [torch.zeros(3), [1.0], 0.0])
def test_3_1_turns_down_what_is_not_two_things(result):
    turned_down("3.1", lambda *args: result, "two things")


def test_3_1_turns_down_floats_and_half_a_blank():
    turned_down("3.1", lambda *args: (one_pass(*args)[0], 0.0), "got float")
    turned_down("3.1", lambda *args: (one_pass(*args)[0], ...), "still blank")


def test_3_1_accepts():
    assert check("3.1", one_pass).state == "right"


def test_3_1_accepts_torchs_own_distribution():
    def with_torch(outputs, decoder, x, sigma_x, generator):
        mean, log_var = outputs.chunk(2, -1)
        z = Normal(mean, (0.5 * log_var).exp()).rsample()
        return z, pixels(decoder(z), x, sigma_x).sum(-1)

    torch.manual_seed(0)
    assert check("3.1", with_torch).state == "right"


# --- 3.2


def gap(m1, v1, m2, v2):
    return (m1 - m2).square().sum(-1) + (v1.exp() + v2.exp()).sum(-1)


WRONG_GAPS = {
    "clouds are missing": lambda m1, v1, m2, v2: (m1 - m2).square().sum(-1),
    "means are missing": lambda m1, v1, m2, v2: (v1.exp() + v2.exp()).sum(-1),
    "σ in place of σ²": lambda m1, v1, m2, v2: gap(m1, v1 / 2, m2, v2 / 2),
    "deviations do not": lambda m1, v1, m2, v2: (
        (m1 - m2).square() + ((v1 / 2).exp() + (v2 / 2).exp()).square()
    ).sum(-1),
    "let noise cancel": lambda m1, v1, m2, v2: ((m1 - m2).square() + v1.exp() - v2.exp()).sum(-1),
    "exponentiate": lambda m1, v1, m2, v2: ((m1 - m2).square() + v1 + v2).sum(-1),
    "taken for log σ": lambda m1, v1, m2, v2: gap(m1, 2 * v1, m2, 2 * v2),
    "mean over latents": lambda *args: gap(*args) / 3,
    "its square": lambda *args: gap(*args).sqrt(),
    "only one": lambda m1, v1, m2, v2: ((m1 - m2).square() + v1.exp()).sum(-1),
    "a half too many": lambda *args: gap(*args) / 2,
    "one number a pair": lambda *args: gap(*args).sum(),
    "squared mean": lambda *args: gap(*args) + 1,
    "got float": lambda *args: 1.0,
    "got list": lambda *args: gap(*args).tolist(),
}


@pytest.mark.parametrize("hint", WRONG_GAPS)
def test_3_2_turns_down(hint):
    turned_down("3.2", WRONG_GAPS[hint], hint)


def test_3_2_accepts():
    assert check("3.2", gap).state == "right"


# --- 3.3


def each(m1, s1, m2, s2, *, quarter=0.25, root=0.5, width=True, means=True):
    both = s1**2 + s2**2
    factor = (2 * s1 * s2 / both) ** root if width else 1.0
    return factor * torch.exp(-quarter * (m1 - m2) ** 2 / both * means)


def kl(m1, s1, m2, s2):
    return torch.distributions.kl_divergence(Normal(m1, s1), Normal(m2, s2)).sum(-1)


WRONG_OVERLAPS = {
    "sum over latents": lambda *args: each(*args).sum(-1),
    "mean over latents": lambda *args: each(*args).mean(-1),
    "Bhattacharyya distance": lambda *args: -each(*args).log().sum(-1),
    "widths differ": lambda *args: each(*args, width=False).prod(-1),
    "means are missing": lambda *args: each(*args, means=False).prod(-1),
    "in place of ¼": lambda *args: each(*args, quarter=0.5).prod(-1),
    "σ in place of σ²": lambda m1, s1, m2, s2: each(m1, s1**0.5, m2, s2**0.5).prod(-1),
    "root of the first factor": lambda *args: each(*args, root=1.0).prod(-1),
    "(σ₁ + σ₂)²": lambda m1, s1, m2, s2: (
        torch.sqrt(4 * s1 * s2 / (s1 + s2) ** 2)
        * torch.exp(-0.25 * (m1 - m2) ** 2 / (s1 + s2) ** 2)
    ).prod(-1),
    "without the root": lambda m1, s1, m2, s2: (
        Normal(m1, (s1**2 + s2**2).sqrt()).log_prob(m2).sum(-1).exp()
    ),
    "not symmetric": kl,
    "complete the square": lambda *args: 0.5 * each(*args).prod(-1),
    "one number a pair": each,
    "got float": lambda *args: 0.5,
}


@pytest.mark.parametrize("hint", WRONG_OVERLAPS)
def test_3_3_turns_down(hint):
    turned_down("3.3", WRONG_OVERLAPS[hint], hint)


def test_3_3_accepts():
    assert check("3.3", lambda *args: each(*args).prod(-1)).state == "right"


def test_3_3_accepts_the_packages_own():
    def packaged(m1, s1, m2, s2):
        return overlap(DiagonalGaussian(m1, 2 * s1.log()), DiagonalGaussian(m2, 2 * s2.log()))

    assert check("3.3", packaged).state == "right"


# --- 3.4


def distance(decode, classify, codes, radii, generator, *, rays=neighborhood, found=None):
    start = classify(decode(codes)).argmax(-1)
    walks = rays(codes, radii, generator)
    kinds = torch.stack([classify(decode(z)).argmax(-1) for z in walks])
    kept = (kinds == start).int().cumprod(0).sum(0)
    ends = torch.cat([radii, radii.new_tensor([math.inf])])
    return found(kinds, start, kept, radii) if found else ends[kept]


def long_steps(codes, radii, generator):
    return codes + radii.view(-1, 1, 1) * torch.randn(codes.shape, generator=generator)


def from_zero(codes, radii, generator):
    return neighborhood(torch.zeros_like(codes), radii, generator)


def one_way(codes, radii, generator):
    return codes + radii.view(-1, 1, 1) * torch.eye(codes.shape[1])[0]


def last_change(kinds, start, kept, radii):
    changed = kinds != start
    back = changed.flip(0).int().argmax(0)
    return torch.where(changed.any(0), radii[len(radii) - 1 - back], math.inf)


def in_unchanged(kinds, start, kept, radii):
    """Count all radii without a change, also those after one."""
    ends = torch.cat([radii, radii.new_tensor([math.inf])])
    return ends[(kinds == start).sum(0)]


def never_is_zero(kinds, start, kept, radii):
    return torch.cat([radii, torch.zeros(1)])[kept]


@pytest.mark.parametrize(
    ("mistake", "hint"),
    [
        ({"rays": long_steps}, "length one"),
        ({"rays": from_zero}, "from the code"),
        ({"rays": one_way}, "a direction for each"),
        ({"found": lambda kinds, start, kept, radii: kept}, "not its index"),
        ({"found": lambda kinds, start, kept, radii: kept.float()}, "not its index"),
        ({"found": lambda kinds, start, kept, radii: radii[kept - 1]}, "without a change"),
        ({"found": last_change}, "at 1.5"),
        ({"found": in_unchanged}, "comes back"),
        ({"found": never_is_zero}, "math.inf"),
        ({"found": lambda kinds, start, kept, radii: radii[kept].mean()}, "one distance a code"),
        ({"found": lambda kinds, start, kept, radii: 1.5}, "got float"),
    ],
)
def test_3_4_turns_down(mistake, hint):
    turned_down("3.4", lambda *args: distance(*args, **mistake), hint)


def test_3_4_turns_down_a_comparison_with_a_fixed_class():
    def with_class_zero(decode, classify, codes, radii, generator):
        kinds = torch.stack(
            [classify(decode(z)).argmax(-1) for z in neighborhood(codes, radii, generator)]
        )
        kept = (kinds == 0).int().cumprod(0).sum(0)
        return torch.cat([radii, radii.new_tensor([math.inf])])[kept]

    turned_down("3.4", with_class_zero, "at r = 0")


def test_3_4_accepts():
    assert check("3.4", distance).state == "right"


@pytest.mark.parametrize("number", ["3.1", "3.2", "3.3", "3.4"])
def test_a_blank_is_open(number):
    assert check(number, lambda *args: ...).state == "open"
