"""Checks of the exercises of chapter 14, the VQ-VAE."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from vae_course.discrete import EMAState, ema_update, perplexity, quantize
from vae_course.exercises.answers import WrongAnswerError, exercise


@exercise("14.1")
def straight_through(answer: Callable[[Tensor, Tensor], Any]) -> str:
    """The nearest entries, with the gradient of the encodings."""
    generator = torch.Generator().manual_seed(1)
    z_e = torch.randn(3, 5, 4, generator=generator).requires_grad_()
    codebook = torch.randn(9, 4, generator=generator).requires_grad_()
    got = answer(z_e, codebook)
    if not isinstance(got, Tensor) or got.shape != z_e.shape:
        raise WrongAnswerError(
            f"encodings (3, 5, 4) gave {_shape(got)}: return entries of the codebook, one for each "
            "encoding, in the shape of z_e"
        )
    _is_an_entry(got.detach(), z_e.detach(), codebook.detach())
    pull = torch.randn(z_e.shape, generator=generator)
    if not got.requires_grad:
        raise WrongAnswerError(
            "right values, but no gradient reaches the encoder: straight-through is there for that"
        )
    to_encoder, to_codebook = torch.autograd.grad(
        (pull * got).sum(), [z_e, codebook], allow_unused=True
    )
    if to_encoder is None or not to_encoder.any():
        raise WrongAnswerError(
            "right values, but the gradient goes to the codebook and none to the encoder: the "
            "difference is detached on the wrong side; it is z_e + (z_q − z_e).detach()"
        )
    if not torch.allclose(to_encoder, pull, atol=1e-5):
        raise WrongAnswerError("the encoder gets a gradient, but not the decoder's as it is")
    if to_codebook is not None and to_codebook.any():
        raise WrongAnswerError(
            "the encoder's gradient is right, but the codebook gets one too: detach z_q there; "
            "moving the codebook is left to the codebook term"
        )
    return "right: the value is an entry, the gradient passes straight through."


def _is_an_entry(got: Tensor, z_e: Tensor, codebook: Tensor) -> None:
    if torch.allclose(got, codebook[quantize(z_e, codebook).indices], atol=1e-4):
        return
    distance = torch.cdist(z_e.reshape(-1, 4), codebook).view(3, 5, 9)
    if torch.allclose(got, codebook[distance.argmax(-1)], atol=1e-4):
        raise WrongAnswerError("these are the farthest entries: argmin of the distance, not argmax")
    if torch.allclose(got, codebook[(z_e @ codebook.T).argmax(-1)], atol=1e-4):
        raise WrongAnswerError(
            "that is the entry with the largest inner product; the nearest one also has to be "
            "charged its own length ‖e‖²"
        )
    if torch.allclose(got, z_e, atol=1e-4):
        raise WrongAnswerError(
            "the value is still z_e: detached on the wrong side; z_e + (z_q − z_e).detach() is z_q"
        )
    raise WrongAnswerError("not the entries nearest to the encodings, by (14.1)")


@exercise("14.2")
def effective_number(answer: Callable[[Tensor, int], Tensor | float]) -> str:
    """Perplexity of maps of indices."""
    generator = torch.Generator().manual_seed(2)
    maps = (torch.rand(40, 6, 6, generator=generator) ** 2 * 7).long() + 1  # 0 and 8 never occur
    maps[:20] = maps[:20] // 2 + 1  # images differ, so that a mean over them does as well
    got, wanted = _number(answer(maps, 9)), float(perplexity(maps, 9))
    frequencies = torch.bincount(maps.flatten(), minlength=9) / maps.numel()
    entropy = math.log(wanted)
    if math.isnan(got):
        raise WrongAnswerError("codes that never occur give 0 · log 0, here NaN; it counts as 0")
    each = torch.stack([perplexity(image, 9) for image in maps])
    known = {
        "that is the entropy in nats; its exponential is a number of codes": entropy,
        "that is the entropy in bits; 2 to its power is a number of codes": entropy / math.log(2),
        "the entropy is in bits and exp is for nats: take log and exp of one base": math.exp(
            entropy / math.log(2)
        ),
        "the entropy is in nats and 2 ** is for bits: take log and power of one base": 2**entropy,
        "the sign of the entropy is missing: exp(−Σ p log p)": math.exp(-entropy),
        "that is the mean of every image's perplexity, another number; count the indices of all "
        "images together first": float(each.mean()),
        "that is how many codes occur at all, however rarely": float((frequencies > 0).sum()),
        "that is 1 / Σ p², another effective number; (14.6) has the entropy": float(
            1 / frequencies.square().sum()
        ),
    }
    for hint, value in known.items():
        if math.isclose(got, value, rel_tol=1e-4):
            raise WrongAnswerError(hint)
    if not math.isclose(got, wanted, rel_tol=1e-3):
        raise WrongAnswerError(f"{got:.3f} instead of {wanted:.3f} on random maps; see (14.6)")
    unused = torch.full((10,), 3)
    if not math.isclose(_number(answer(unused, 9)), 1.0, rel_tol=1e-3):
        raise WrongAnswerError("a single code has perplexity 1; see what its zero counts do")
    return "right, and unused codes do no harm."


@exercise("14.3")
def moving_average(answer: Callable[[Tensor, list[tuple[Tensor, Tensor]], float], Any]) -> str:
    """The codebook after several batches, with both averages started at zero."""
    generator = torch.Generator().manual_seed(3)
    start = torch.randn(6, 3, generator=generator)
    batches = [
        (
            torch.randn(30, 3, generator=generator) + 1,
            torch.randint(4, (30,), generator=generator),  # codes 4 and 5 are never chosen
        )
        for _ in range(3)
    ]
    for several in (batches[:1], batches):
        given = [(z_e.clone(), indices.clone()) for z_e, indices in several]
        got = answer(start.clone(), given, 0.9)
        if not isinstance(got, Tensor) or got.shape != start.shape:
            raise WrongAnswerError(f"return the codebook, (6, 3); this is {_shape(got)}")
        _after(got, start, several)
    return "right from the first step on, and unused codes stay where they are."


Batches = list[tuple[Tensor, Tensor]]


def _after(got: Tensor, start: Tensor, batches: Batches) -> None:
    """Compare with the codebook after the batches, and with those of the usual mistakes."""
    if not torch.isfinite(got).all():
        raise WrongAnswerError("codes that nothing has chosen are 0 / 0: leave them where they are")
    zero = EMAState.start(start)
    wanted = _follow(zero, batches, 0.9)
    if torch.allclose(got, wanted.codebook, atol=1e-4):
        return
    used = wanted.counts > 0
    ones = torch.ones_like(zero.counts)
    known = {
        "the used codes are right, but those that nothing chose moved: leave them": wanted.codebook,
        "the sums started at the codebook and the counts at zero: the first step then inflates "
        "every entry by 1 / (1 − γ); start both at zero": _follow(
            EMAState(start, zero.counts, start), batches, 0.9
        ).codebook,
        "the averages started at one count and the codebook, and so remember a start that no "
        "encoding was at; start both at zero": _follow(
            EMAState(start, ones, start), batches, 0.9
        ).codebook,
        "γ and 1 − γ are exchanged: γ = 0.9 weighs the past": _follow(zero, batches, 0.1).codebook,
        "an entry is the average of sums over that of counts; these are the sums": wanted.sums,
        "these are means over all batches alike; the past fades by γ a step": _pooled(batches),
        "that averages the entry with the mean of the batch; average counts and sums, and divide "
        "in the end, so that a batch with more encodings weighs more": _mean_of_means(
            start, batches
        ),
    }
    for hint, codebook in known.items():
        if torch.allclose(got[used], codebook[used], atol=1e-3):
            raise WrongAnswerError(hint)
    raise WrongAnswerError(f"not e = m / N of (14.4) after {len(batches)} batches")


def _follow(state: EMAState, batches: Batches, decay: float) -> EMAState:
    for z_e, indices in batches:
        state = ema_update(state, z_e, indices, decay)
    return state


def _pooled(batches: Batches) -> Tensor:
    z_e, indices = (torch.cat(parts) for parts in zip(*batches, strict=True))
    chosen = torch.nn.functional.one_hot(indices, 6).float()
    return chosen.T @ z_e / chosen.sum(0).unsqueeze(1)


def _mean_of_means(start: Tensor, batches: Batches) -> Tensor:
    codebook = start
    for batch in batches:
        mean = _pooled([batch])
        codebook = torch.where(mean.isfinite(), 0.9 * codebook + 0.1 * mean, codebook)
    return codebook


@exercise("14.4")
def inflation(answer: Callable[[float, int], Tensor | float]) -> str:
    """1 / (1 − γ^t): what is left of the wrong start after t steps."""
    for gamma, t in ((0.99, 1), (0.9, 7), (0.99, 100), (0.5, 3)):
        got, wanted = _number(answer(gamma, t)), 1 / (1 - gamma**t)
        if math.isclose(got, wanted, rel_tol=1e-3):
            continue
        known = {
            "right at t = 1 only: the averages go on, and the inflation wears off": 1 / (1 - gamma),
            "the other way round: how much larger, not smaller": 1 - gamma**t,
            "the numerator is γ^t · e + (1 − γ^t) · e = e, and not e + (1 − γ^t) e: the start is "
            "weighed down by γ^t": 1 + wanted,
            "that grows without end: look at the weight of the start, γ^t, and of all that came "
            "after, 1 − γ^t": (1 - gamma) ** -t,
            "that is the share of the start, γ^t / (1 − γ^t); the encodings add 1": wanted - 1,
        }
        for hint, value in known.items():
            if math.isclose(got, value, rel_tol=1e-3):
                raise WrongAnswerError(hint)
        raise WrongAnswerError(
            f"at γ = {gamma}, t = {t} an entry is {wanted:.4g} times too long, not {got:.4g}: "
            "write m and N after t steps with (14.5)"
        )
    return "right: 1 / (1 − γ^t), and 100 at the first step of γ = 0.99."


@exercise("14.5")
def exponents(answer: Mapping[int, float]) -> str:
    """Slope of log distortion over log K in 1, 2 and 4 dimensions: −2 / d."""
    if not isinstance(answer, Mapping) or not {1, 2, 4} <= set(answer):
        raise WrongAnswerError("give a dict with the slope for each dimension: {1: …, 2: …, 4: …}")
    slopes = {d: _number(answer[d]) for d in (1, 2, 4)}
    theory = {d: -2 / d for d in slopes}

    def near(factor: Callable[[int], float]) -> bool:
        return all(math.isclose(slopes[d], factor(d), rel_tol=0.2) for d in slopes)

    if near(lambda d: 2 / d):
        raise WrongAnswerError("the sign: a larger codebook makes the error smaller")
    if near(lambda d: -1 / d):
        raise WrongAnswerError("that is the slope of the error's root; use its square")
    if near(lambda d: -d / 2):
        raise WrongAnswerError("upside down: log distortion over log K, not the other way round")
    if near(lambda d: -2 / d * math.log(2)):
        raise WrongAnswerError("take the logarithms of K and of the distortion to the same base")
    if not near(lambda d: theory[d]):
        shown = ", ".join(f"{d}: {slope:.2f}" for d, slope in slopes.items())
        raise WrongAnswerError(
            f"slopes {shown} are not what uniform points give; use K from 16 to 128, 5,000 points "
            "or more, and the mean of ‖z − e‖²"
        )
    return "right, about −2/d: in four dimensions, doubling K saves far less than in one."


def _number(value: Any) -> float:
    """A float of a number or a tensor with one element."""
    if isinstance(value, Tensor):
        if value.numel() != 1:
            raise WrongAnswerError(f"one number, please, not a tensor {tuple(value.shape)}")
        value = value.detach().item()
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        raise WrongAnswerError(f"one number, please, not a {type(value).__name__}")
    return float(value)


def _shape(value: Any) -> str:
    return str(tuple(value.shape)) if isinstance(value, Tensor) else type(value).__name__
