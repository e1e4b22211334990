r"""Give a display equation to MathJax as its author wrote it.

Sphinx wraps an equation of several lines in ``split``, where ``\tag{5.1}`` is an error. Jupyter and
Colab do not wrap, so the book does not either: what renders there renders here.
"""

from docutils import nodes
from sphinx.application import Sphinx


def unwrap_equations(app: Sphinx, doctree: nodes.document) -> None:
    """Put plain delimiters around each display equation."""
    if app.builder.format != "html":
        return
    for node in doctree.findall(nodes.math_block):
        if not node.get("nowrap") and not node.get("number"):
            node["nowrap"] = True
            node.children = [nodes.Text(rf"\[{node.astext()}\]")]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the transform of each page that was read."""
    app.connect("doctree-read", unwrap_equations)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
