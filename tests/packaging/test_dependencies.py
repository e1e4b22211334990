"""Whatever the project imports is declared, in the group that is installed where it runs."""

import ast
import json
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from project import CORE, EXTRAS, PYPROJECT, ROOT, names

CORE_AND_BOOK = (CORE, EXTRAS["book"])
EVERYTHING = (CORE, *EXTRAS.values())
COMMANDS = ("vae_course/cli.py", "vae_course/chapters/")
# The benchmark of peers says itself how to get the peer.
UNDECLARED = {"benchmarks/peers.py": {"pythae"}}

DISTRIBUTIONS = packages_distributions()
MAGIC = re.compile(r"^(\s*)[%!].*$", re.MULTILINE)


def sources() -> list[Path]:
    """List the code of the project, notebooks included."""
    rooms = ("vae_course", "book", "benchmarks", "scripts", "tests")
    found = [path for room in rooms for path in (ROOT / room).rglob("*.py")]
    return sorted([*found, *(ROOT / "book").glob("*.ipynb")])


def installed_for(path: Path) -> tuple[list[str], ...]:
    """Say which groups are there where a file runs: Colab has the core and nothing else."""
    name = path.relative_to(ROOT).as_posix()
    if name.startswith(("tests/", "benchmarks/", "scripts/")):
        return EVERYTHING
    if name == "vae_course/chapters/cluster.py":  # says itself which extra it needs
        return (*CORE_AND_BOOK, EXTRAS["cluster"])
    if name.startswith(("book/_ext/", *COMMANDS)):
        return CORE_AND_BOOK
    return (CORE,)


def code(path: Path) -> str:
    if path.suffix == ".py":
        return path.read_text(encoding="utf-8")
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    return MAGIC.sub(r"\1pass", "\n".join(code))


def imports(path: Path) -> set[str]:
    """Return the top-level names that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(code(path))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def undeclared(path: Path) -> set[str]:
    """Return what a file imports from no standard library, no neighbor and no declared package."""
    room = ROOT / path.relative_to(ROOT).parts[0]
    own = {"vae_course"} if room.name == "vae_course" else {one.stem for one in room.rglob("*.py")}
    known = sys.stdlib_module_names | own | {"vae_course"}
    declared = names(*installed_for(path))
    return {
        name
        for name in imports(path) - known
        if not declared & {canonicalize_name(one) for one in DISTRIBUTIONS.get(name, [])}
    }


def test_every_import_is_declared() -> None:
    allowed = {(file, name) for file, one in UNDECLARED.items() for name in one}
    found = {
        (path.relative_to(ROOT).as_posix(), name) for path in sources() for name in undeclared(path)
    }
    assert found == allowed


@pytest.mark.parametrize(
    ("place", "line", "name"),
    [
        ("vae_course/metrics/new.py", "import rich", "rich"),
        ("vae_course/new.py", "def f():\n    from hypothesis import given", "hypothesis"),
        ("vae_course/chapters/new.py", "import pytest", "pytest"),
        ("book/new.py", "import nbformat.v4", "nbformat"),
        ("benchmarks/new.py", "import pandas", "pandas"),
    ],
)
def test_an_undeclared_import_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, line: str, name: str
) -> None:
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    path = tmp_path / place
    path.parent.mkdir(parents=True)
    path.write_text(f"import json\n\nimport torch\n{line}\n", encoding="utf-8")
    assert undeclared(path) == {name}


@pytest.mark.parametrize("group", ["core", *EXTRAS])
def test_every_requirement_has_a_lowest_version(group: str) -> None:
    for line in {"core": CORE, **EXTRAS}[group]:
        operators = {one.operator for one in Requirement(line).specifier}
        assert ">=" in operators, f"`make test-lowest` cannot test {line!r}"


def test_the_lowest_build_tool_is_the_one_that_tests_build_with() -> None:
    assert set(PYPROJECT["build-system"]["requires"]) <= set(EXTRAS["dev"])
