"""Point the Colab, repository and issue buttons at the repository that builds the book.

A workflow on GitHub sets ``GITHUB_REPOSITORY`` to ``owner/name``, so a fork's book leads its
readers to the fork's notebooks with no file edited.
"""

import os
import re

from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.errors import ConfigError


def follow_fork(app: Sphinx, config: Config) -> None:
    """Replace the address of ``_config.yml`` when ``GITHUB_REPOSITORY`` names another one."""
    name = os.environ.get("GITHUB_REPOSITORY", "")
    if not name:
        return
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise ConfigError(f"GITHUB_REPOSITORY is {name!r}; it must read owner/name, or be unset")
    server = os.environ.get("GITHUB_SERVER_URL", "https://github.com")
    config.html_theme_options["repository_url"] = f"{server}/{name}"


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the listener before the theme reads its options."""
    app.connect("config-inited", follow_fork, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
