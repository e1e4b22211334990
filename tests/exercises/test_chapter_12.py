"""The checks of chapter 12 turn down the usual mistakes, with a hint that names them."""

import math

import pytest
import torch

from vae_course.disentangling import capacity_penalty, permute_columns
from vae_course.exercises import check

WRONG_PENALTIES = {
    "outside the mean": lambda kl, c, g: g * (kl - c).abs().mean(),
    "take the mean": lambda kl, c, g: g * (kl.sum() - c).abs(),
    "one penalty for the batch": lambda kl, c, g: g * (kl - c).abs().sum(),
    "γ is missing": lambda kl, c, g: (kl.mean() - c).abs(),
    "rewarded": lambda kl, c, g: g * (kl.mean() - c),
    "max(0": lambda kl, c, g: g * (kl.mean() - c).clamp(min=0),
    "the square": lambda kl, c, g: g * (kl.mean() - c).square(),
    "one number": lambda kl, c, g: g * (kl - c).abs(),
    "not γ": lambda kl, c, g: g * (kl.mean() - c).abs() + 1,
    "raised AttributeError": lambda kl, c, g: g * kl.average() - c,
}


@pytest.mark.parametrize("hint", WRONG_PENALTIES)
def test_12_1_turns_down(hint):
    verdict = check("12.1", WRONG_PENALTIES[hint])
    assert verdict.state == "wrong"
    assert hint in verdict.message


@pytest.mark.parametrize(
    "right", [capacity_penalty, lambda kl, c, g: g * abs(kl.mean().item() - c)]
)
def test_12_1_accepts(right):
    assert check("12.1", right).state == "right"


def in_place(z, generator):
    for d in range(z.shape[1]):
        z[:, d] = z[torch.randperm(len(z), generator=generator), d]
    return z


def with_replacement(z, generator):
    return z.gather(0, torch.randint(len(z), z.shape, generator=generator))


def one_column_left(z, generator):
    order = torch.randperm(len(z), generator=generator)
    return torch.stack([z[order, 0], z[order, 1], z[order.flip(0), 2]], -1)


WRONG_PERMUTATIONS = {
    "permuted together": lambda z, g: z[torch.randperm(len(z), generator=g)],
    "one column to another": lambda z, g: z[:, [2, 0, 1]],
    "from one column": lambda z, g: z.flatten()[torch.randperm(z.numel(), generator=g)].view_as(z),
    "replacement": with_replacement,
    "nothing is shuffled": lambda z, g: z.clone(),
    "make a copy": in_place,
    "(400, 3) gave (3, 400)": lambda z, g: permute_columns(z, g).T,
    "gave list": lambda z, g: permute_columns(z, g).tolist(),
    "other numbers": lambda z, g: torch.randn(z.shape, generator=g),
    "each column needs": one_column_left,
    "draw from the generator": lambda z, g: permute_columns(z),
    "fixed shift": lambda z, g: torch.stack([z[:, d].roll(d + 1) for d in range(3)], -1),
}


@pytest.mark.parametrize("hint", WRONG_PERMUTATIONS)
def test_12_2_turns_down(hint):
    verdict = check("12.2", WRONG_PERMUTATIONS[hint])
    assert verdict.state == "wrong"
    assert hint in verdict.message


def by_loop(z, generator):
    columns = [column[torch.randperm(len(z), generator=generator)] for column in z.T]
    return torch.stack(columns, dim=1)


@pytest.mark.parametrize("right", [permute_columns, by_loop])
def test_12_2_accepts(right):
    assert check("12.2", right).state == "right"


def mig(information, entropy, *, dim=1, second=True, each=True):
    top = information.topk(2, dim=dim).values
    first, next_ = (top[:, 0], top[:, 1]) if dim == 1 else (top[0], top[1])
    gap = first - next_ if second else first
    return (gap / entropy).mean() if each else gap.mean() / entropy.mean()


def mig_in_place(information, entropy):
    information.copy_(information.sort(1).values)
    return ((information[:, -1] - information[:, -2]) / entropy).mean()


WRONG_GAPS = {
    "along the factors": lambda i, h: mig(i, h, dim=0),
    "not along the factors": lambda i, h: mig(i, h, dim=0, each=False),
    "entropy, else": lambda i, h: mig(i, torch.ones_like(h)),
    "own entropy": lambda i, h: mig(i, h, each=False),
    "minus the mean": lambda i, h: ((i.amax(1) - i.mean(1)) / h).mean(),
    "minus the smallest": lambda i, h: ((i.amax(1) - i.amin(1)) / h).mean(),
    "subtract the second": lambda i, h: mig(i, h, second=False),
    "divide by the entropy": lambda i, h: mig(i, i.amax(1)),
    "take the mean": lambda i, h: mig(i, h) * len(h),
    "average over the factors": lambda i, h: i.amax(1) / h,
    "sort a copy": mig_in_place,
    "for each factor": lambda i, h: -mig(i, h),
}


@pytest.mark.parametrize("hint", WRONG_GAPS)
def test_12_3_turns_down(hint):
    verdict = check("12.3", WRONG_GAPS[hint])
    assert verdict.state == "wrong"
    assert hint in verdict.message


@pytest.mark.parametrize("right", [mig, lambda i, h: mig(i, h).item()])
def test_12_3_accepts(right):
    assert check("12.3", right).state == "right"


def parts(a, s, *, half=0.5, noise=None, log_s=None, sign=1, log=1.0, whole=False, order=(0, 1, 2)):
    covariance = a @ a.T + (s * s if noise is None else noise(s)) * torch.eye(len(a))
    log_det, diagonal = torch.logdet(covariance), covariance.diagonal()
    log_variance = 2 * math.log(s) if log_s is None else log_s(s)
    information = half * (log_det - len(a) * log_variance)
    tc = sign * half * (diagonal.log().sum() - log_det)
    marginal = half * (diagonal - 1 - log * diagonal.log()).sum() + (tc if whole else 0)
    return tuple((information, tc, marginal)[k] for k in order)


@pytest.mark.parametrize(
    ("mistake", "hint"),
    [
        ({"half": 1.0}, "½ log det"),
        ({"noise": lambda s: s, "log_s": math.log}, "standard deviation"),
        ({"noise": lambda s: 0.0}, "of the noise"),
        ({"log_s": lambda s: 0.0}, "I = H(z)"),
        ({"sign": -1}, "sign of TC"),
        ({"log": 0.0}, "logarithm"),
        ({"whole": True}, "TC included"),
        ({"order": (1, 0, 2)}, "another order"),
        ({"order": (0, 1)}, "three numbers"),
        ({"log_s": math.log}, "not yet: mutual information."),
    ],
)
def test_12_4_turns_down(mistake, hint):
    verdict = check("12.4", lambda a, s: parts(a, s, **mistake))
    assert verdict.state == "wrong"
    assert hint in verdict.message


def test_12_4_turns_down_one_number():
    verdict = check("12.4", lambda a, s: parts(a, s)[0].item())
    assert verdict.state == "wrong"
    assert "three numbers" in verdict.message


@pytest.mark.parametrize(
    "right", [parts, lambda a, s: [part.item() for part in parts(a, s)]], ids=["tensors", "floats"]
)
def test_12_4_accepts(right):
    assert check("12.4", right).state == "right"


def plane(*, beta_in=False, **changes):
    """D = 64 · exp(−R / 8) at the R where its slope is −β: R = 8 log(8 / β)."""
    rows = {}
    for beta in (1.0, 2.0, 4.0):
        rate, distortion = 8 * math.log(8 / beta), 8 * beta
        elbo = -(distortion + (beta if beta_in else 1) * rate)
        rows[beta] = {"rate": rate, "distortion": distortion, "elbo": elbo}
    for name, change in changes.items():
        for row in rows.values():
            row[name] = change(row[name])
    return rows


def averaged(rows, name, by):
    for row in rows.values():
        row[name] /= by
        row["elbo"] = -(row["rate"] + row["distortion"])
    return rows


def turned_round():
    rows = plane()
    return {beta: rows[4.0 / beta] for beta in rows}


WRONG_PLANES = {
    "a dictionary": [1.0, 2.0, 4.0],
    "with distortion, elbo, rate": {1.0: {"rate": 1.0}},
    "at least three": {beta: plane()[beta] for beta in (1.0, 4.0)},
    "not finite": plane(rate=lambda r: math.nan),
    "KL is not negative": plane(rate=lambda r: -r),
    "binary pixels": plane(distortion=lambda d: -d),
    "β is in the training": plane(beta_in=True),
    "but −(D + R)": plane(elbo=lambda e: -e),
    "has to fall": turned_round(),
    "do not average": averaged(plane(), "distortion", 256),
    "summed over the latents": averaged(plane(), "rate", 20),
}


@pytest.mark.parametrize("hint", WRONG_PLANES)
def test_12_5_turns_down(hint):
    verdict = check("12.5", WRONG_PLANES[hint])
    assert verdict.state == "wrong"
    assert hint in verdict.message


def test_12_5_accepts():
    assert check("12.5", plane()).state == "right"
    as_tensors = {
        beta: {name: torch.tensor(value) for name, value in row.items()}
        for beta, row in plane().items()
    }
    assert check("12.5", as_tensors).state == "right"


@pytest.mark.parametrize("number", ["12.1", "12.2", "12.3", "12.4"])
def test_a_blank_function_is_open(number):
    assert check(number, lambda *args: ...).state == "open"


def test_a_blank_is_open():
    assert check("12.5", ...).state == "open"
