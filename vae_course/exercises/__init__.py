"""Exercises: one module a chapter with the checks, and `check`, which a notebook calls."""

from vae_course.exercises import chapter_02, chapter_05, chapter_09  # noqa: F401  (they register)
from vae_course.exercises.check import Verdict, check, registered

__all__ = ["Verdict", "check", "registered"]
