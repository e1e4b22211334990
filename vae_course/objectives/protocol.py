"""What an objective asks of a model: three distributions."""

import inspect
from functools import cache
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vae_course.distributions import DiagonalGaussian


class LatentVariableModel(Protocol):
    """Anything with p(z), q(z|x) and p(x|z) as `torch.distributions` objects."""

    def prior(self) -> DiagonalGaussian:
        """Return p(z)."""
        ...

    def encode(self, x: Tensor) -> DiagonalGaussian:
        """Return q(z|x), batch shape `(batch,)`."""
        ...

    def decode(self, z: Tensor) -> Distribution:
        """Return p(x|z), batch shape `z.shape[:-1]`."""
        ...


@runtime_checkable
class JointModel(Protocol):
    """A model of several latent variables that weighs samples of all of them itself."""

    def log_weights(self, x: Tensor, k: int, generator: torch.Generator | None = None) -> Tensor:
        """Return log p(x, z_i) − log q(z_i|x) for k samples, `(batch, k)`."""
        ...


class Density(Protocol):
    """Anything with a log-probability."""

    def log_prob(self, x: Tensor) -> Tensor:
        """Return log p(x), `(batch,)`."""
        ...


def check_fits(loss: object, model: object, kind: type) -> None:
    """Refuse a model that does not have what a loss asks for.

    Args:
        loss: the loss, or the function, that asks.
        model: what it was given.
        kind: a protocol, whose attributes and methods the model needs.

    Raises:
        TypeError: one of them is missing, or takes other arguments.
    """
    asked = _asked(kind)
    missing = [name for name, member in asked.items() if not _has(model, name, member)]
    if missing:
        user = getattr(loss, "__name__", type(loss).__name__)
        needs = ", ".join(_called(name, member) for name, member in asked.items())
        raise TypeError(
            f"{user} needs a model with {needs}; a {type(model).__name__} has no such "
            f"{', '.join(missing)}"
        )


def check_diagonal(user: object, q: Distribution) -> None:
    """Refuse a posterior that has no mean and log-variance for each latent by itself.

    Raises:
        TypeError: it is no `DiagonalGaussian`.
    """
    if not isinstance(q, DiagonalGaussian):
        name = getattr(user, "__name__", type(user).__name__)
        raise TypeError(
            f"{name} needs diagonal Gaussians, a mean and a variance for each latent by itself, "
            f"not a {type(q).__name__}"
        )


@cache
def _asked(kind: type) -> dict[str, list[str] | None]:
    """Members of a protocol: a method's arguments that are always given; nothing for a value."""
    asked: dict[str, list[str] | None] = {}
    for each in reversed(kind.__mro__):
        asked |= dict.fromkeys(vars(each).get("__annotations__", {}))
        for name, member in vars(each).items():
            if inspect.isfunction(member) and (name == "__call__" or name[0] != "_"):
                arguments = list(inspect.signature(member).parameters.values())[1:]  # without self
                asked[name] = [a.name for a in arguments if a.default is inspect.Parameter.empty]
    return asked


def _called(name: str, arguments: list[str] | None) -> str:
    if arguments is None:
        return name
    return f"{'forward' if name == '__call__' else name}({', '.join(arguments)})"


def _has(model: object, name: str, arguments: list[str] | None) -> bool:
    if name == "__call__" and isinstance(model, nn.Module):
        name = "forward"  # every module can be called, but not every one has a forward
        if type(model).forward is nn.Module.forward:
            return False
    found = getattr(model, name, None)
    if arguments is None or found is None:
        return found is not None
    try:
        inspect.signature(found).bind(*arguments)
    except (TypeError, ValueError):
        return False
    return True
