"""Exercises: one module a chapter with the checks, and `check`, which a notebook calls."""

from importlib import import_module
from pkgutil import iter_modules

from vae_course.exercises.answers import Verdict, check, registered

__all__ = ["Verdict", "check", "registered"]

for _module in iter_modules(__path__, f"{__name__}."):
    import_module(_module.name)  # a chapter's checks register themselves
