"""What every model is: a module that remembers how it was built and is known by its name."""

import inspect
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from typing import Any, Self

import numpy as np
from torch import Size, Tensor, nn

_PACKAGE = __name__.partition(".")[0]

# Address → class; the last definition counts. Files of before have the name alone.
_KNOWN: dict[str, type["Model"]] = {}


class Model(nn.Module):
    """A module with a `config`, the arguments it was built with, so that a file can hold it.

    Derive from it, or from one of the package's models, and `save_model` and `load_model` know the
    class: nothing else is to be done.

    Attributes:
        config: the constructor's arguments by name, as JSON has them: a tuple is a list, a tensor
            its shape, a model its own config, and anything else the name of its class.
    """

    config: dict[str, Any]
    _tensors: dict[str, Tensor]  # among the arguments, by their place in them
    _foreign: dict[str, str]  # arguments that a file cannot hold, and what they are

    def __init_subclass__(cls, **options: Any) -> None:
        """Register the class, which is all that loading needs."""
        super().__init_subclass__(**options)
        _KNOWN[address(cls)] = cls
        _KNOWN.setdefault(cls.__name__, cls)

    def __new__(cls, *arguments: Any, **settings: Any) -> Self:
        """Note the arguments before the constructor sees them."""
        model = super().__new__(cls)
        signature = inspect.signature(cls.__init__)
        try:
            bound = signature.bind(model, *arguments, **settings)
        except TypeError:  # The constructor is about to say so itself; and a copy has no arguments.
            return model
        bound.apply_defaults()
        given = dict(list(bound.arguments.items())[1:])  # without self
        for name, parameter in signature.parameters.items():
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                given |= given.pop(name)
        model._tensors, model._foreign = {}, {}
        model.config = {name: model._plain(value, name) for name, value in given.items()}
        return model

    def _plain(self, value: Any, name: str) -> Any:
        """Return an argument as JSON has it; note tensors, and what JSON cannot hold."""
        if type(value) in (type(None), bool, int, float, str):  # and not, say, an enum
            return value
        if isinstance(value, np.number | np.bool_):
            return value.item()
        if type(value) in (list, tuple, range, Size):
            return [self._plain(item, f"{name}.{i}") for i, item in enumerate(value)]
        if isinstance(value, dict) and all(_is_name(key) for key in value):
            return {key: self._plain(item, f"{name}.{key}") for key, item in value.items()}
        if isinstance(value, Tensor):
            self._tensors[name] = value.detach()
            return {"$tensor": list(value.shape)}
        if isinstance(value, Model):
            self._tensors |= {f"{name}.{key}": t for key, t in value._tensors.items()}
            self._foreign |= {f"{name}.{key}": kind for key, kind in value._foreign.items()}
            return {"$model": address(type(value)), "config": value.config}
        self._foreign[name] = getattr(value, "__qualname__", type(value).__qualname__)
        return {"$foreign": self._foreign[name]}


def _is_name(key: object) -> bool:
    return isinstance(key, str) and not key.startswith("$") and "." not in key


def address(kind: type[Model]) -> str:
    """Return how a file calls a class: `vae_course.models.VAE`, or `own.MyVAE` for your own."""
    package, *rest = kind.__module__.split(".")
    return ".".join([package, rest[0]] if package == _PACKAGE else ["own"]) + f".{kind.__name__}"


def known(name: str) -> type[Model]:
    """Return the class of an address; a room of this package is imported when it has to be.

    Raises:
        ValueError: no class of that name has been defined.
    """
    room = name.rpartition(".")[0]
    if name not in _KNOWN and room.partition(".")[0] == _PACKAGE:
        with suppress(ModuleNotFoundError):
            import_module(room)
    if name not in _KNOWN:
        raise ValueError(
            f"no model is called {name.removeprefix('own.')!r} here: define or import the class "
            "first"
        )
    return _KNOWN[name]


def build(name: str, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Model:
    """Call a class with the arguments of a `config`.

    Args:
        name: the class's address.
        config: the arguments.
        tensors: those among the arguments, by their place in them.

    Raises:
        ValueError: no such class, or it does not take these arguments.
    """
    kind = known(name)
    settings = {key: _argument(value, key, tensors) for key, value in config.items()}
    arguments: list[Any] = []
    for parameter in list(inspect.signature(kind.__init__).parameters.values())[1:]:  # not self
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            arguments += settings.pop(parameter.name, [])
        elif parameter.kind < inspect.Parameter.VAR_POSITIONAL and parameter.name in settings:
            arguments.append(settings.pop(parameter.name))
        else:
            break
    try:
        return kind(*arguments, **settings)
    except TypeError as error:
        raise ValueError(f"{kind.__name__} does not take the arguments it had: {error}") from error


def _argument(value: Any, name: str, tensors: Mapping[str, Tensor]) -> Any:
    """Undo `Model._plain`."""
    if isinstance(value, list):
        return [_argument(item, f"{name}.{i}", tensors) for i, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    if "$tensor" in value:
        return tensors[name]
    if "$model" in value:
        inner = {k.removeprefix(f"{name}."): t for k, t in tensors.items()}
        return build(value["$model"], value["config"], inner)
    return {key: _argument(item, f"{name}.{key}", tensors) for key, item in value.items()}
