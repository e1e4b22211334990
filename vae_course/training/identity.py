"""What a run is, in words that are the same in another process: no address of this one's memory."""

import functools
import hashlib
import inspect
import sys
import types
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import PurePath
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vae_course.storage import digest

_PLAIN = (type(None), bool, int, float, complex, str, bytes, torch.dtype, torch.device, PurePath)
_PACKAGE = __name__.partition(".")[0]
_SHORT = 16  # hexadecimal digits of a digest: 64 bits tell runs apart


def describe(thing: object) -> str:
    """Name a function, an object or a value by what it is made of.

    Functions by name, source (a lambda by its compiled code), defaults, the values they close over
    and, among the globals they read, numbers, strings and functions of the same module; dataclasses
    field by field; other objects by type and attributes, and if their class is not of an installed
    package by its functions; modules by their text, tensors and attributes; tensors and arrays by a
    digest of their bytes. What a function closes over in lists, dicts and sets is left out: records
    that a run fills, not settings. So are functions of other modules, and what a class inherits.
    """
    return _describe(thing, frozenset())


def digest_of(*tensors: Tensor) -> str:
    """Short digest of types, shapes and bytes, the order of images included."""
    return digest({str(index): tensor for index, tensor in enumerate(tensors)})[:_SHORT]


def _describe(thing: object, above: frozenset[int]) -> str:  # noqa: C901 (one line a kind)
    if isinstance(thing, _PLAIN) or thing is Ellipsis:
        return repr(thing)
    if id(thing) in above:
        return "…"
    inside = functools.partial(_describe, above=above | {id(thing)})
    name = type(thing).__qualname__
    if isinstance(thing, Tensor):
        return f"Tensor({digest_of(thing)})"
    if isinstance(thing, np.ndarray | np.generic):
        return f"array({thing.dtype}, {thing.shape}, {_hash(thing.tobytes())})"
    if isinstance(thing, type | types.BuiltinFunctionType | types.ModuleType | np.ufunc):
        return getattr(thing, "__qualname__", thing.__name__)
    if isinstance(thing, types.MethodType):
        return f"{inside(thing.__self__)}.{thing.__name__}"
    if isinstance(thing, types.FunctionType):
        return _function(thing, inside)
    if isinstance(thing, functools.partial):
        return f"partial({inside(thing.func)}, {inside(thing.args)}, {inside(thing.keywords)})"
    if isinstance(thing, Mapping):
        return f"{{{', '.join(f'{inside(k)}: {inside(v)}' for k, v in thing.items())}}}"
    if isinstance(thing, list | tuple):
        return f"[{', '.join(map(inside, thing))}]"
    if isinstance(thing, set | frozenset):
        return f"{{{', '.join(sorted(map(inside, thing)))}}}"
    name += _made_of(type(thing), inside)
    if isinstance(thing, nn.Module):
        own = [_public(part) for part in thing.modules()]
        text = f"{thing!r}{inside(own)}"
        return f"{name}({_hash(text.encode())}, {digest(thing.state_dict())[:_SHORT]})"
    if is_dataclass(thing):
        values = {field.name: getattr(thing, field.name) for field in fields(thing)}
    else:
        values = dict(sorted((getattr(thing, "__dict__", {}) | _slots(thing)).items()))
    return f"{name}({', '.join(f'{key}={inside(value)}' for key, value in values.items())})"


def _public(module: nn.Module) -> dict[str, object]:
    """Attributes of a module that are neither weights nor parts, nor change in a run."""
    return {
        key: value
        for key, value in sorted(vars(module).items())
        if not key.startswith("_") and key not in ("training", "config")
    }


def _slots(thing: object) -> dict[str, object]:
    """Attributes of an object whose class has slots."""
    rows = (getattr(kind, "__slots__", ()) for kind in type(thing).__mro__)
    names = [name for row in rows for name in ((row,) if isinstance(row, str) else row)]
    return {name: getattr(thing, name) for name in names if hasattr(thing, name)}


def _made_of(kind: type, inside: Callable[[object], str]) -> str:
    """Digest of the functions of a class that somebody wrote for this run."""
    if _is_installed(kind.__module__):
        return ""
    written = [v for v in vars(kind).values() if isinstance(v, types.FunctionType)]
    return f"[{_hash(inside(written).encode())}]"


def _function(function: types.FunctionType, inside: Callable[[object], str]) -> str:
    """Name, digest of the source, and what the function holds beside it."""
    held = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    closed = [cell.cell_contents for cell in function.__closure__ or () if _filled(cell)]
    held += [value for value in closed if not isinstance(value, list | dict | set)]
    read = [function.__globals__.get(name) for name in function.__code__.co_names]
    held += [value for value in read if isinstance(value, bool | int | float | str)]
    held += [helper for helper in read if _is_beside(helper, function)]
    values = f"; {', '.join(map(inside, held))}" if held else ""
    return f"{function.__qualname__}({_hash(_source(function).encode())}{values})"


def _is_beside(helper: object, function: types.FunctionType) -> bool:
    """Whether it is a function of the same module, which is not a package's."""
    ours = isinstance(helper, types.FunctionType) and helper.__module__ == function.__module__
    return ours and not _is_installed(function.__module__)


def _is_installed(name: str) -> bool:
    """Whether a module is Python's, this package's, or one of those that pip installs."""
    place = PurePath(getattr(sys.modules.get(name), "__file__", None) or "").parts
    package = name.partition(".")[0]
    known = package in sys.stdlib_module_names or package == _PACKAGE
    return package != "__main__" and (
        known or not {"site-packages", "dist-packages"}.isdisjoint(place)
    )


def _filled(cell: types.CellType) -> bool:
    """Whether a closure's cell has a value yet."""
    try:
        return cell.cell_contents is not ...
    except ValueError:
        return False


def _source(function: types.FunctionType) -> str:
    """Return the source; of a lambda, or where there is none, the compiled code."""
    try:
        if function.__name__ != "<lambda>":
            return inspect.getsource(function)
    except (OSError, TypeError):
        pass
    return repr(_code(function.__code__))


def _code(code: types.CodeType) -> tuple[Any, ...]:
    constants = [_constant(constant) for constant in code.co_consts]
    return (code.co_code, constants, code.co_names, code.co_varnames, code.co_freevars)


def _constant(value: object) -> object:
    """Name a constant; a set's order is another one in every process."""
    if isinstance(value, types.CodeType):
        return _code(value)
    return repr(sorted(map(repr, value)) if isinstance(value, frozenset) else value)


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:_SHORT]
