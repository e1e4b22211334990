"""Exercises: one module a chapter with the checks, and `check`, which a notebook calls."""

from vae_course.exercises import (  # noqa: F401  (they register)
    chapter_01,
    chapter_02,
    chapter_03,
    chapter_04,
    chapter_05,
    chapter_06,
    chapter_07,
    chapter_08,
    chapter_09,
    chapter_10,
    chapter_11,
    chapter_12,
    chapter_13,
    chapter_14,
    chapter_15,
)
from vae_course.exercises.answers import Verdict, check, registered

__all__ = ["Verdict", "check", "registered"]
