"""What a run is, in words that are the same in another process: no address of this one's memory."""

import functools
import hashlib
import inspect
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
_SHORT = 16  # hexadecimal digits of a digest: 64 bits tell runs apart


def describe(thing: object) -> str:
    """Name a function, an object or a value by what it is made of.

    Functions by name, source (a lambda by its compiled code), defaults, the values they close over
    and the numbers and strings among the globals they read; dataclasses field by field; other
    objects by type and attributes; tensors and arrays by a digest of their bytes. What a function
    closes over in lists, dicts and sets is left out: records that a run fills, not settings.
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
    if isinstance(thing, nn.Module):
        return f"{name}({_hash(repr(thing).encode())}, {digest(thing.state_dict())[:_SHORT]})"
    if is_dataclass(thing):
        values = {field.name: getattr(thing, field.name) for field in fields(thing)}
    else:
        values = dict(sorted(getattr(thing, "__dict__", {}).items()))
    return f"{name}({', '.join(f'{key}={inside(value)}' for key, value in values.items())})"


def _function(function: types.FunctionType, inside: Callable[[object], str]) -> str:
    """Name, digest of the source, and what the function holds beside it."""
    held = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    closed = [cell.cell_contents for cell in function.__closure__ or () if _filled(cell)]
    held += [value for value in closed if not isinstance(value, list | dict | set)]
    read = (function.__globals__.get(name) for name in function.__code__.co_names)
    held += [value for value in read if isinstance(value, bool | int | float | str)]
    values = f"; {', '.join(map(inside, held))}" if held else ""
    return f"{function.__qualname__}({_hash(_source(function).encode())}{values})"


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
