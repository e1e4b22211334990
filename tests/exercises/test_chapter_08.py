"""The checks of chapter 8 turn down the usual mistakes, with a hint that names them."""

import math

import pytest
import torch
from torch.distributions import Normal

from vae_course.distributions import reparameterize
from vae_course.exercises import check
from vae_course.gradients import leave_one_out


def noise_like(mean, generator):
    return torch.randn(mean.shape, generator=generator)


def z_with(sigma, noise=noise_like):
    return lambda mean, log_var, g: mean + sigma(log_var) * noise(mean, g)


def std(log_var):
    return torch.exp(0.5 * log_var)


def signs(mean, generator):
    return torch.randint(0, 2, mean.shape, generator=generator) * 2.0 - 1


def sampled(mean, log_var, generator):
    return Normal(mean, std(log_var)).sample()


def without_generator(mean, log_var, generator):
    return mean + std(log_var) * torch.randn_like(mean)


def always_one_seed(mean, log_var, generator):
    return reparameterize(mean, log_var, torch.Generator().manual_seed(0))


WRONG_SAMPLERS = [
    ("σ²", z_with(torch.exp)),
    ("log_var itself", z_with(lambda v: v)),
    ("not finite", z_with(torch.sqrt)),
    ("multiplied by σ", z_with(torch.ones_like)),
    ("no noise", lambda mean, log_var, g: mean + 0 * log_var),
    ("sign", z_with(lambda v: torch.exp(-0.5 * v))),
    ("torch.randn", z_with(std, lambda m, g: torch.rand(m.shape, generator=g))),
    ("not Gaussian", z_with(std, signs)),
    ("zero on average", z_with(std, lambda m, g: noise_like(m, g) + 0.5)),
    ("not σ", lambda mean, log_var, g: (mean + noise_like(mean, g)) * std(log_var)),
    ("same ε", z_with(std, lambda m, g: torch.randn(m.shape[1:], generator=g))),
    ("share one ε", z_with(std, lambda m, g: torch.randn(len(m), 1, generator=g))),
    ("reaches log_var", z_with(lambda v: std(v).detach())),
    ("reaches mean", lambda m, v, g: reparameterize(m.detach(), v, g)),
    ("cut the graph", sampled),
    ("cut the graph", lambda m, v, g: reparameterize(m, v, g).detach()),
    ("generator=", without_generator),
    ("two seeds", always_one_seed),
    ("one z for each", lambda m, v, g: reparameterize(m, v, g).sum(-1)),
    ("list", lambda m, v, g: reparameterize(m, v, g).tolist()),
    ("tuple", lambda m, v, g: (reparameterize(m, v, g), 0)),
]


@pytest.mark.parametrize(("hint", "answer"), WRONG_SAMPLERS)
def test_8_1_turns_down(hint, answer):
    verdict = check("8.1", answer)
    assert verdict.state == "wrong"
    assert hint in verdict.message


@pytest.mark.parametrize(
    "answer",
    [
        reparameterize,
        lambda m, v, g: torch.addcmul(m, (0.5 * v).exp(), torch.randn(m.shape, generator=g)),
        lambda m, v, g: m + torch.sqrt(torch.exp(v)) * torch.randn(m.shape, generator=g),
    ],
)
def test_8_1_accepts(answer):
    assert check("8.1", answer).state == "right"


def quadratic(a, b, mean, log_var):
    variance, slope = math.exp(log_var), 2 * a * mean + b
    return [
        slope,
        a * variance,
        4 * a**2 * variance,
        0.25 * variance * (slope**2 + 8 * a**2 * variance),
    ]


def with_entry(i, formula):
    def wrong(a, b, mean, log_var):
        answer = quadratic(a, b, mean, log_var)
        variance, slope = math.exp(log_var), 2 * a * mean + b
        answer[i] = formula(a, b, mean, variance, slope)
        return answer

    return wrong


WRONG_QUADRATICS = [
    ("the 2 of", with_entry(0, lambda a, b, m, v, s: a * m + b)),
    ("linear part", with_entry(0, lambda a, b, m, v, s: 2 * a * m)),
    ("sign", with_entry(0, lambda a, b, m, v, s: -s)),
    ("∂/∂σ,", with_entry(1, lambda a, b, m, v, s: 2 * a * math.sqrt(v))),
    ("∂/∂σ²;", with_entry(1, lambda a, b, m, v, s: a)),
    ("the ½ is missing", with_entry(1, lambda a, b, m, v, s: 2 * a * v)),
    ("½ too much", with_entry(1, lambda a, b, m, v, s: 0.5 * a * v)),
    ("not log σ", with_entry(1, lambda a, b, m, v, s: a * v**2)),
    ("σ where σ²", with_entry(1, lambda a, b, m, v, s: a * math.sqrt(v))),
    ("standard deviation", with_entry(2, lambda a, b, m, v, s: 2 * abs(a) * math.sqrt(v))),
    ("squared as well", with_entry(2, lambda a, b, m, v, s: a**2 * v)),
    ("squared mean", with_entry(2, lambda a, b, m, v, s: s**2 + 4 * a**2 * v)),
    ("a factor 4", with_entry(3, lambda a, b, m, v, s: v * (s**2 + 8 * a**2 * v))),
    ("to be squared", with_entry(3, lambda a, b, m, v, s: 0.5 * v * (s**2 + 8 * a**2 * v))),
    ("Var[ε²] is 2", with_entry(3, lambda a, b, m, v, s: 0.25 * v * (s**2 + 4 * a**2 * v))),
    ("second moment", with_entry(3, lambda a, b, m, v, s: 0.25 * v * (s**2 + 12 * a**2 * v))),
    ("from ε²", with_entry(3, lambda a, b, m, v, s: 2 * a**2 * v**2)),
    ("too", with_entry(3, lambda a, b, m, v, s: 0.25 * v * s**2)),
    ("not right", with_entry(3, lambda a, b, m, v, s: 7.0)),
    ("four numbers", lambda *p: quadratic(*p)[:2]),
    ("four numbers", lambda *p: quadratic(*p)[0]),
]


@pytest.mark.parametrize(("hint", "answer"), WRONG_QUADRATICS)
def test_8_2_turns_down(hint, answer):
    verdict = check("8.2", answer)
    assert verdict.state == "wrong"
    assert hint in verdict.message


@pytest.mark.parametrize(
    "answer",
    [
        quadratic,
        lambda *p: tuple(quadratic(*p)),
        lambda *p: torch.tensor(quadratic(*p)),
        lambda *p: [torch.tensor(number) for number in quadratic(*p)],
    ],
)
def test_8_2_accepts(answer):
    assert check("8.2", answer).state == "right"


def surrogate(values, log_q):
    values = values.detach()
    return -((values - leave_one_out(values)) * log_q).mean(0)


def surrogate_with(baseline, detach=True):
    def answer(values, log_q):
        values = values.detach() if detach else values
        return -((values - baseline(values)) * log_q).mean(0)

    return answer


WRONG_SURROGATES = [
    ("sign", lambda f, log_q: -surrogate(f, log_q)),
    ("the own one too", surrogate_with(lambda f: f.mean(0))),
    ("no baseline", surrogate_with(lambda f: 0)),
    ("over the batch", surrogate_with(lambda f: f.mean(1, keepdim=True))),
    ("are k − 1", surrogate_with(lambda f: (f.sum(0) - f) / len(f))),
    ("their mean", lambda f, log_q: surrogate(f, log_q) * len(f)),
    ("exponentiated", lambda f, log_q: surrogate(f, log_q.exp())),
    ("detach the values", surrogate_with(leave_one_out, detach=False)),
    (
        "detach the values",
        lambda f, log_q: -((f - leave_one_out(f).detach()) * log_q).mean(0),
    ),
    ("must not be detached", lambda f, log_q: surrogate(f, log_q.detach())),
    ("reaches log_q", lambda f, log_q: -((f - leave_one_out(f)) * log_q.detach()).mean(0)),
    ("one number an image", lambda f, log_q: surrogate(f, log_q).mean()),
    ("one number an image", lambda f, log_q: surrogate(f.T, log_q.T)),
    ("one number an image", lambda f, log_q: 0.5),
    ("not −(1/k)", lambda f, log_q: 3 * surrogate(f, log_q)),
]


@pytest.mark.parametrize(("hint", "answer"), WRONG_SURROGATES)
def test_8_3_turns_down(hint, answer):
    verdict = check("8.3", answer)
    assert verdict.state == "wrong"
    assert hint in verdict.message


def as_a_covariance(values, log_q):
    """The same gradient: Σ (f − f̄) log q / (k − 1)."""
    values = values.detach()
    return -((values - values.mean(0)) * log_q).sum(0) / (len(values) - 1)


@pytest.mark.parametrize("answer", [surrogate, as_a_covariance])
def test_8_3_accepts(answer):
    assert check("8.3", answer).state == "right"


def crossing(sigma, generator, *, width=None, n=40_000):
    """Bisect on samples; `width` is a mistaken standard deviation."""
    noise = torch.randn(n, generator=generator)
    width = width or sigma
    low, high = 0.1 / width, 5 / width
    for _ in range(20):
        omega = 0.5 * (low + high)
        z = width * noise
        path, score = omega * torch.cos(omega * z), torch.sin(omega * z) * noise / width
        low, high = (omega, high) if path.var() < score.var() else (low, omega)
    return low


WRONG_CROSSINGS = [
    ("standard deviation σ", lambda sigma, g: crossing(sigma, g, width=1.0)),
    ("radians", lambda sigma, g: crossing(sigma, g) / (2 * math.pi)),
    ("falls with σ", lambda sigma, g: crossing(1 / sigma, g)),
    ("near ω", lambda sigma, g: 2 * crossing(sigma, g)),
    ("one float", lambda sigma, g: torch.full((3,), crossing(sigma, g))),
    ("one float", lambda sigma, g: [crossing(sigma, g)]),
]


@pytest.mark.parametrize(("hint", "answer"), WRONG_CROSSINGS)
def test_8_4_turns_down(hint, answer):
    verdict = check("8.4", answer)
    assert verdict.state == "wrong"
    assert hint in verdict.message


@pytest.mark.parametrize("answer", [crossing, lambda *a: torch.tensor(crossing(*a))])
def test_8_4_accepts(answer):
    assert check("8.4", answer).state == "right"


@pytest.mark.parametrize("number", ["8.1", "8.2", "8.3", "8.4"])
def test_a_blank_is_open(number):
    assert check(number, lambda *args: ...).state == "open"
