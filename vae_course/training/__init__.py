"""The one training loop."""

from vae_course.training.history import DivergenceError, History
from vae_course.training.loop import Objective, count_steps, default_fabric, fit

__all__ = ["DivergenceError", "History", "Objective", "count_steps", "default_fabric", "fit"]
