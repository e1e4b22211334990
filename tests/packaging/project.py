"""Where the project is, and what it declares."""

import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CORE = PYPROJECT["project"]["dependencies"]
EXTRAS = PYPROJECT["project"]["optional-dependencies"]


def names(*groups: list[str]) -> set[str]:
    """List the names of what some groups require."""
    return {canonicalize_name(Requirement(line).name) for group in groups for line in group}
