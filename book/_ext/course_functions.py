"""Functions are links: code in a sentence that names one leads to its reference page.

``objectives.elbo`` is a link on every page; ``elbo`` alone is one where the page's own code imports
it from the package, and among the reference pages themselves. Notebooks stay plain Markdown.
"""

import re
from functools import cache
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.nodes import make_refnode

NAME = re.compile(r"(?P<package>vae_course\.)?(?P<name>[A-Za-z_][\w.]*)(?:\(.*\))?", re.DOTALL)
IMPORT = re.compile(r"^from vae_course[\w.]* import (?:\(([^)]*)\)|(.*))$", re.MULTILINE)
REFERENCE = "book/reference/"
UNLINKED = (nodes.reference, nodes.title, addnodes.desc_signature, addnodes.pending_xref)


class Functions:
    """What the reference pages document, by full name and by the name alone."""

    def __init__(self, env: BuildEnvironment) -> None:
        """Read the Python domain's objects."""
        objects: dict[str, Any] = env.domaindata["py"]["objects"]
        self.entries = {name: entry for name, entry in objects.items() if not entry.aliased}
        self.full: dict[str, str] = {}
        for name, entry in self.entries.items():
            if name.count(".") == 2 and entry.objtype != "module":
                self.full.setdefault(name.rpartition(".")[2], name)

    def find(self, text: str, scopes: list[str], alone: set[str] | None) -> str | None:
        """Return the full name that `text` means; `alone` are names that need no room (None: all).

        The scopes are where a reader of the place looks first: an entry, then its room.
        """
        if not (match := NAME.fullmatch(text)):
            return None
        name, first = match["name"], match["name"].partition(".")[0]
        if match["package"] or "." in name:
            candidate = f"vae_course.{name}"
            if candidate in self.entries:
                return candidate
        for scope in scopes:
            if f"{scope}.{name}" in self.entries:
                return f"{scope}.{name}"
        if (alone is None or first in alone) and first in self.full:
            candidate = self.full[first] + name[len(first) :]
            return candidate if candidate in self.entries else None
        return None


# Asked for only when every page has been read.
_functions = cache(Functions)


class LinkFunctions(SphinxPostTransform):
    """Make a link of each literal that names a function or class of the package."""

    default_priority = 5

    def run(self, **kwargs: Any) -> None:
        """Look at every literal outside of links, titles and signatures."""
        functions = _functions(self.env)
        reference = self.env.docname.startswith(REFERENCE)
        alone = None if reference else imported(self.document)
        for literal in list(self.document.findall(nodes.literal)):
            scopes = scopes_of(literal)
            name = functions.find(literal.astext(), scopes, alone)
            if literal.astext() in parameters_of(literal) or inside(literal, UNLINKED):
                continue
            if name and name not in scopes:
                literal.replace_self(link(self, name, functions.entries[name], literal.deepcopy()))


def link(transform: LinkFunctions, name: str, entry: Any, text: nodes.Node) -> nodes.reference:
    """Make a link to an entry of a reference page."""
    return make_refnode(
        transform.app.builder, transform.env.docname, entry.docname, entry.node_id, [text], name
    )


def imported(document: nodes.document) -> set[str]:
    """Return the names that the code of a page imports from the package."""
    code = "\n".join(block.astext() for block in document.findall(nodes.literal_block))
    names = ",".join(several or one for several, one in IMPORT.findall(code))
    return set(re.findall(r"\w+", names))


def inside(node: nodes.Node, kinds: tuple[type[nodes.Node], ...]) -> bool:
    """Whether one of the nodes around a node is of these kinds."""
    while (node := node.parent) is not None:
        if isinstance(node, kinds):
            return True
    return False


def parameters_of(node: nodes.Node) -> set[str]:
    """Return the names of the parameters of the entries that a node is in."""
    names = set()
    while (node := node.parent) is not None:
        if isinstance(node, addnodes.desc):
            names |= {one[0].astext() for one in node[0].findall(addnodes.desc_parameter)}
    return names


def scopes_of(node: nodes.Node) -> list[str]:
    """Return the entries that a node of a reference page is in, from the inside, and its room."""
    scopes = []
    while (node := node.parent) is not None:
        if isinstance(node, addnodes.desc) and node["domain"] == "py":
            signature = node[0]
            scopes.append(f"{signature['module']}.{signature['fullname']}")
    return [*scopes, scopes[-1].rpartition(".")[0]] if scopes else []


def find_elsewhere(
    app: Sphinx, env: BuildEnvironment, node: addnodes.pending_xref, text: nodes.Element
) -> nodes.reference | None:
    """Resolve a Python name, such as an exception's, that another room documents."""
    if node.get("refdomain") != "py":
        return None
    functions = _functions(env)
    name = functions.full.get(node["reftarget"])
    if name is None:
        return None
    entry = functions.entries[name]
    return make_refnode(app.builder, node["refdoc"], entry.docname, entry.node_id, [text], name)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the transform and the last resort of a reference."""
    app.add_post_transform(LinkFunctions)
    app.connect("missing-reference", find_elsewhere)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
