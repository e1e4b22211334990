"""Keep every request on the reader's own site: MathJax from a local copy, no Thebe."""

import shutil
from importlib.metadata import distribution
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.config import Config

# Of the 24 MB of the package, what `tex-chtml.js` loads by itself.
MATHJAX_PARTS = ("tex-chtml.js", "output/chtml/fonts", "input/tex/extensions")


def use_local_mathjax(app: Sphinx, config: Config) -> None:
    """Load MathJax from ``_static/mathjax``; its menu would offer parts that are not copied."""
    config.mathjax_path = "mathjax/tex-chtml.js"
    config.mathjax3_config = {
        "options": {"enableMenu": False},
        "chtml": {"scale": 0.92},
    }


def silence_thebe(app: Sphinx, config: Config) -> None:
    """Take out sphinx-thebe, which Jupyter Book always loads and whose script raises an error."""
    listeners = [one for each in app.events.listeners.values() for one in each]
    for listener in listeners:
        if getattr(listener.handler, "__module__", "").partition(".")[0] == "sphinx_thebe":
            app.disconnect(listener.id)
    styles = app.registry.css_files
    styles[:] = [style for style in styles if style[0] != "sphinx-thebe.css"]


def copy_mathjax(app: Sphinx) -> None:
    """Copy the needed part of MathJax (2 MB) next to the pages."""
    if app.builder.format != "html":
        return
    source = Path(str(distribution("sphinx-mathjax-offline").locate_file("")))
    source = source / "sphinx-mathjax-offline" / "static" / "mathjax"
    target = Path(app.outdir) / "_static" / "mathjax"
    for part in MATHJAX_PARTS:
        (target / part).parent.mkdir(parents=True, exist_ok=True)
        if (source / part).is_dir():
            shutil.copytree(source / part, target / part, dirs_exist_ok=True)
        else:
            shutil.copy2(source / part, target / part)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the listeners; Thebe's own come after ``config-inited``."""
    app.connect("config-inited", use_local_mathjax)
    app.connect("config-inited", silence_thebe, priority=1)
    app.connect("builder-inited", copy_mathjax)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
