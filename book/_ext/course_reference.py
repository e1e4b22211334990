"""Reference pages from the package's docstrings.

A page of ``book/reference`` is a title and ``{room} NAME``; its first page has ``{rooms}``. Autodoc
writes the entries, in the order of the source; formulas stand out, those of the notation page are
typeset under the function that they are, shapes are code, and each entry ends with its code.
"""

import ast
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

import vae_course

PACKAGE = Path(vae_course.__file__).parent
FOLDER = "book/reference/"
ROOM = re.compile(r"```\{room\} (\w+)\n```")
ROOMS = "```{rooms}\n```"
COMMANDS = {"chapters", "cli"}  # Used from the shell, not imported.

Definition = ast.FunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign

RELATION = re.compile(r" [=≈≥≤∝←] |^[−‖½√Σ∫∇2]|^\((?=[^)]*[Σ−/])|^[\w−]+\([^)]*[|‖;]")
ARROW = re.compile(r" [~→↔] ")
CODE = re.compile(r"((?:`+).+?`+|^ *>>> .+?(?:\n *\n|\Z))", re.DOTALL | re.MULTILINE)
SIGN = re.compile(r"[|*\\]|(?<=\w)_(?!\w)")
WORD = re.compile(r"[a-z]{3,}")
FUNCTIONS = {"log", "exp", "max", "min", "mean", "det", "diag", "sin", "cos", "tanh", "softmax"}


@dataclass(frozen=True)
class File:
    """One file of a room: what it says of itself, and the definitions a reader may import."""

    module: str
    docstring: str
    lines: list[str]
    definitions: dict[str, Definition]


def rooms() -> list[str]:
    """List the rooms of the package whose functions a reader imports."""
    found = {module.name for module in pkgutil.iter_modules(vae_course.__path__)}
    return sorted(found - COMMANDS)


def room_docstring(room: str) -> str:
    """Return what a room says of itself."""
    return ast.get_docstring(ast.parse(_room_file(room).read_text(encoding="utf-8"))) or ""


def room_files(room: str) -> list[File]:
    """Return the files of a room with its public names: those that its ``__init__`` imports."""
    if _room_file(room).name != "__init__.py":
        file = _read(f"vae_course.{room}")
        return [_keep(file, {name for name in file.definitions if not name.startswith("_")})]
    tree = ast.parse(_room_file(room).read_text(encoding="utf-8"))
    public = next(
        set(ast.literal_eval(node.value))
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    )
    found = []
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            names = public & {alias.name for alias in node.names}
            found += [_keep(_read(str(node.module)), names)] if names else []
    return found


def _room_file(room: str) -> Path:
    folder = PACKAGE / room
    return folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")


def _read(module: str) -> File:
    text = (PACKAGE.parent / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")
    tree = ast.parse(text)
    definitions = {
        name: node for node in tree.body if isinstance(node, Definition) for name in _names(node)
    }
    return File(module, ast.get_docstring(tree) or "", text.splitlines(), definitions)


def _names(node: Definition) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _keep(file: File, names: set[str]) -> File:
    kept = {name: node for name, node in file.definitions.items() if name in names}
    return File(file.module, file.docstring, file.lines, kept)


def room_page(room: str) -> Iterator[str]:
    """Write the page of a room in Markdown: its files are sections, its names are entries.

    Raises:
        ExtensionError: there is no such room.
    """
    if room not in rooms():
        raise ExtensionError(f"vae_course has no room {room!r}; there are: {', '.join(rooms())}")
    yield from _paragraphs(room_docstring(room))
    yield from _rst(f".. py:module:: vae_course.{room}")
    files = room_files(room)
    for file in files:
        if len(files) > 1:
            title, text = _title(file.docstring)
            yield from _paragraphs(f"## {title}")
            yield from _paragraphs(text)
        for name, node in file.definitions.items():
            yield from _rst(*_entry(room, name, node, file.lines))


def _title(docstring: str) -> tuple[str, str]:
    """Cut a file's docstring into a heading, which ends at its first colon or stop, and text."""
    title, text = re.split(r":\s|\.(?:\s+|\Z)", docstring, maxsplit=1)
    words = re.match(r"[a-z]{2,}\b", text)
    if words and words[0] not in FUNCTIONS:
        text = text[:1].upper() + text[1:]
    return " ".join(title.split()), text


def _paragraphs(text: str) -> list[str]:
    return [*text.splitlines(), ""]


def _rst(*lines: str) -> list[str]:
    return ["```{eval-rst}", *lines, "```", ""]


def _entry(room: str, name: str, node: Definition, lines: list[str]) -> list[str]:
    full = f"vae_course.{room}.{name}"
    if isinstance(node, ast.FunctionDef):
        return [f".. autofunction:: {full}"]
    if isinstance(node, ast.ClassDef):
        options = ("members:", "special-members: __call__", "show-inheritance:")
        return [f".. autoclass:: {full}", *(f"   :{option}" for option in options)]
    value = ast.unparse(node.value) if node.value else ""
    first = node.lineno - 1
    while lines[first - 1].startswith("# "):
        first -= 1
    said = [f"   {line.removeprefix('# ')}" for line in lines[first : node.lineno - 1]]
    head = [f".. py:data:: {name}", f"   :module: vae_course.{room}"]
    return [*head, *([f"   :value: {value}"] if len(value) < 60 else []), "", *said]


def write_page(app: Sphinx, docname: str, source: list[str]) -> None:
    """Put a room's page, or the list of the rooms, where the committed page asks for it."""
    if docname.startswith(FOLDER):
        source[0] = ROOM.sub(lambda asked: "\n".join(room_page(asked[1])), source[0])
        source[0] = source[0].replace(ROOMS, "\n".join(rooms_table(Path(app.srcdir))))


def rooms_table(root: Path) -> Iterator[str]:
    """Write what each room says of itself, in the order of ``_toc.yml``."""
    yield from ("| room | what is in it |", "| --- | --- |")
    for room in _listed(root):
        first = " ".join(room_docstring(room).split("\n\n")[0].split()).replace("|", r"\|")
        yield f"| [`{room}`]({room}.md) | {first} |"


def _listed(root: Path) -> list[str]:
    pages = _pages(yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8")))
    names = [page.removeprefix(FOLDER) for page in pages if page.startswith(FOLDER)]
    return [name for name in names if name in rooms()]


def _pages(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for child in node:
            yield from _pages(child)
    elif isinstance(node, dict):
        yield from (str(value) for key, value in node.items() if key == "file")
        yield from _pages([value for value in node.values() if isinstance(value, list)])


class code_fold(nodes.General, nodes.Element):  # noqa: N801  (as docutils names its nodes)
    """The code of an entry, folded; no text of the page, so the search does not index it."""


def visit_code_fold(translator: Any, node: code_fold) -> None:
    """Write a disclosure with highlighted code and the way to the file."""
    code = translator.highlighter.highlight_block(node["code"], "python")
    translator.body.append(
        f'<details class="reference-code"><summary>Code</summary>{code}'
        f'<p><a class="reference external" href="{node["address"]}">{node["place"]}</a></p>'
        "</details>\n"
    )
    raise nodes.SkipNode


def skip_code_fold(translator: Any, node: code_fold) -> None:
    """Leave the code out where nothing can be folded."""
    raise nodes.SkipNode


def code_of(thing: Any) -> tuple[str, str, int, int]:
    """Return code without docstrings, the file's place in the repository, first and last line."""
    thing = inspect.unwrap(thing)
    lines, first = inspect.getsourcelines(thing)
    module = importlib.import_module(thing.__module__)
    place = Path(str(module.__file__)).relative_to(PACKAGE.parent).as_posix()
    said = _docstring_lines(Path(str(module.__file__)))
    kept = [line for number, line in enumerate(lines, first) if number not in said]
    return re.sub(r":\n\n+(?= )", ":\n", "".join(kept)), place, first, first + len(lines) - 1


@cache
def _docstring_lines(path: Path) -> set[int]:
    said: set[int] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node):
            said |= set(range(node.body[0].lineno, int(node.body[0].end_lineno or 0) + 1))
    return said


def as_plain_text(
    app: Sphinx, kind: str, name: str, thing: Any, options: Any, lines: list[str]
) -> None:
    """Keep reStructuredText from reading |x|, a * b and w_ as its own signs; code stays code."""
    if kind == "property":  # Else napoleon takes what is before a colon for a type.
        lines[0] = f": {lines[0]}"
    parts = CODE.split("\n".join(lines))
    parts[::2] = [SIGN.sub(r"\\\g<0>", part) for part in parts[::2]]
    lines[:] = "".join(parts).split("\n")


NOTATION_ROW = re.compile(
    r"^\| (?P<formula>.*\$.*) \| (?P<places>.*) \| (?P<functions>`.*) \|$", re.MULTILINE
)
MATH = re.compile(r"\$([^$]+)\$")
LINK = re.compile(r"\[([^\]]+)\]\(([\w/]+)\.ipynb\)")


@cache
def formulas(notation: Path) -> dict[str, list[str]]:
    """Return, for each function of the notation page, its rows in reStructuredText."""
    found: dict[str, list[str]] = {}
    text = notation.read_text(encoding="utf-8") if notation.exists() else ""  # a smaller book
    for row in NOTATION_ROW.finditer(text):
        formula = MATH.sub(r":math:`\1`\\ ", row["formula"])
        places = LINK.sub(r":doc:`\1 </book/\2>`", row["places"])
        for name in re.findall(r"`([\w.]+)", row["functions"]):
            found.setdefault(f"vae_course.{name}", []).append(f"{formula} {places}")
    return found


def typeset(app: Sphinx, kind: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Put the notation page's formulas of a function under the first sentence of its docstring."""
    rows = formulas(Path(app.srcdir) / "book" / "notation.md").get(name, [])
    first = lines.index("") if "" in lines else len(lines)
    lines[first:first] = [
        line for row in rows for line in ("", ".. container:: typeset", "", f"   {row}", "")
    ]


def dress(app: Sphinx, doctree: nodes.document) -> None:
    """Mark formulas and sources of a reference page, name its fields, and add the code."""
    if not app.env.docname.startswith(FOLDER):
        return
    for entry in list(doctree.findall(addnodes.desc)):
        _mark_paragraphs(entry[-1])
        _name_fields(entry[-1])
        if entry["objtype"] in ("function", "class", "exception") and _is_outermost(entry):
            entry[-1].append(_fold(app, entry[0]))


def _mark_paragraphs(content: nodes.Element) -> None:
    paragraphs = [node for node in content.children if isinstance(node, nodes.paragraph)]
    if paragraphs and paragraphs[0].astext().startswith("Bases: "):
        bases = paragraphs.pop(0)
        if bases.astext() == "Bases: object":
            content.remove(bases)
    for index, paragraph in enumerate(paragraphs):
        text = paragraph.astext()
        if text.startswith("Source: "):
            paragraph["classes"].append("reference-source")
        elif _is_formula(text, first=index == 0):
            paragraph["classes"].append("formula")


def _is_formula(text: str, *, first: bool) -> bool:
    """Whether a paragraph is a formula; the first one may say it within a sentence."""
    wordless = len(set(WORD.findall(text.partition(": ")[0])) - FUNCTIONS) <= 2
    if RELATION.search(text):
        return first or wordless
    return bool(ARROW.search(text)) and wordless


def _name_fields(content: nodes.Element) -> None:
    for name in content.findall(nodes.field_name):
        if name.astext() == "Variables":
            name.children = [nodes.Text("Attributes")]
        elif name.astext() == "Returns":
            _sentence(name.parent[-1])


def _sentence(returns: nodes.Element) -> None:
    """Give a sentence of Returns its colon back: what is before it is no type."""
    for type_ in list(returns.findall(nodes.emphasis)):
        place, (first, *rest) = type_.parent, type_.parent.children
        if first is type_ and rest and rest[0].astext().startswith(" – "):
            place.clear()
            place.extend([*type_.children, nodes.Text(f": {rest[0].astext()[3:]}"), *rest[1:]])


def _is_outermost(entry: nodes.Node) -> bool:
    parent = entry.parent
    while parent is not None and not isinstance(parent, addnodes.desc):
        parent = parent.parent
    return parent is None


def _fold(app: Sphinx, signature: nodes.Element) -> code_fold:
    thing: Any = importlib.import_module(signature["module"])
    for part in signature["fullname"].split("."):
        thing = getattr(thing, part)
    code, place, first, last = code_of(thing)
    options = app.config.html_theme_options
    file = f"{options['repository_url']}/blob/{options['repository_branch']}/{place}"
    return code_fold("", code=code, place=place, address=f"{file}#L{first}-L{last}")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the fold, and autodoc with its reader of Google's docstrings."""
    app.setup_extension("sphinx.ext.autodoc")
    app.setup_extension("sphinx.ext.napoleon")
    skip = (skip_code_fold, None)
    app.add_node(code_fold, html=(visit_code_fold, None), latex=skip, text=skip, man=skip)
    app.connect("source-read", write_page)
    app.connect("autodoc-process-docstring", as_plain_text, priority=400)  # Before napoleon.
    app.connect("autodoc-process-docstring", typeset, priority=410)  # Its signs are its own.
    app.connect("doctree-read", dress)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
