"""The house: dependencies between its rooms point downwards, and its door opens fast."""

import ast
import importlib
import inspect
import json
import re
import subprocess
import sys
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest

import vae_course

PACKAGE = Path(vae_course.__file__).parent
CHAPTERS = sorted((Path(__file__).parents[2] / "book").glob("[0-9]*.ipynb"))

# From the ground up; rooms of one floor do not know each other.
TOPICS = {
    "conditional",
    "discrete",
    "disentangling",
    "evidence",
    "families",
    "gradients",
    "heads",
    "hierarchical",
    "latent",
    "priors",
    "scale",
}
FLOORS = [
    {"files", "claims", "schedules", "source"},
    {"distributions", "storage", "data"},
    {"likelihoods", "networks"},
    {"models", "objectives"},
    {"training"},
    {"metrics", "figures"},
    TOPICS,
    {"exercises", "chapters"},
    {"cli"},
]
LIGHT = {"chapters", "cli"}  # Start in a moment: nothing that imports torch.
AT_HAND = {*LIGHT, "claims", "data", "files"}
INSIDE_A_FUNCTION = {"chapters.spread": {"scipy"}}  # for quantiles of Student's t
HEAVY = {
    "torch",
    "torchvision",
    "matplotlib",
    "lightning_fabric",
    "sklearn",
    "scipy",
}


def floor(room: str) -> int:
    return next(height for height, rooms in enumerate(FLOORS) if room in rooms)


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    """Return the dotted names that a file imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def test_every_room_has_its_floor() -> None:
    assert {room_of(path) for path in FILES} == set().union(*FLOORS)


def test_types_in_public_signatures_are_exported() -> None:
    """So that their pages can be linked, and a reader can import what a function asks for."""
    rooms = [importlib.import_module(f"vae_course.{room}") for room in sorted(set.union(*FLOORS))]
    public = {name: vars(room)[name] for room in rooms for name in getattr(room, "__all__", [])}
    public |= {name: part for room in rooms for name, part in vars(room).items() if name[0] != "_"}
    hidden = {
        kind.__qualname__
        for part in public.values()
        for function in functions_of(part)
        for hint in typing.get_type_hints(function).values()
        for kind in own_classes(hint)
        if kind.__name__ not in public
    }
    assert not hidden, f"named in public signatures, and not exported: {sorted(hidden)}"


def functions_of(part: object) -> list[object]:
    if inspect.isfunction(part):
        return [part]
    if not inspect.isclass(part):
        return []
    members = inspect.getmembers(part, inspect.isfunction)
    own = [(name, member) for name, member in members if member.__module__.startswith("vae_course")]
    return [member for name, member in own if name[0] != "_" or name in ("__init__", "__call__")]


def own_classes(hint: object) -> Iterator[type]:
    if inspect.isclass(hint) and hint.__module__.startswith("vae_course."):
        yield hint
    for inner in typing.get_args(hint):
        for one in inner if isinstance(inner, list) else [inner]:
            yield from own_classes(one)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_dependencies_point_downwards(path: Path) -> None:
    room = room_of(path)
    used = {
        name.split(".")[1] for name in imports(path) if name.split(".")[0] == "vae_course" != name
    }
    for other in (used & set().union(*FLOORS)) - {room}:
        below = floor(other) < floor(room)
        assert below, f"{room} uses {other}, which is not below it"
        assert room not in LIGHT or other in {*LIGHT, "claims", "data", "files"}, (
            f"{room} uses {other}"
        )


def chapter_rooms(path: Path) -> set[str]:
    """Return the rooms whose code a chapter's cells import."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    return set(re.findall(r"^\s*from vae_course\.(\w+)", code, re.MULTILINE))


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_reads_the_core_and_at_most_two_topic_rooms(path: Path) -> None:
    assert len(chapter_rooms(path) & TOPICS) <= 2


def test_no_name_is_exported_twice() -> None:
    owners: dict[str, list[str]] = {}
    for room in sorted(set().union(*FLOORS) - {"chapters", "cli", "exercises"}):
        module = importlib.import_module(f"vae_course.{room}")
        names = getattr(module, "__all__", None) or [
            name
            for name, thing in vars(module).items()
            if getattr(thing, "__module__", "") == module.__name__ and not name.startswith("_")
        ]
        for name in names:
            owners.setdefault(name, []).append(room)
    assert {name: rooms for name, rooms in owners.items() if len(rooms) > 1} == {}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_has_the_name_of_its_module(path: Path) -> None:
    names = {
        node.name
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    }
    assert path.stem not in names


@pytest.mark.parametrize(
    "room",
    [
        "",
        "cli",
        "chapters",
        *(f"chapters.{p.stem}" for p in sorted((PACKAGE / "chapters").glob("[!_]*.py"))),
    ],
)
def test_light_rooms_import_nothing_heavy_by_name(room: str) -> None:
    folder = PACKAGE.joinpath(*room.split(".")) if room else PACKAGE
    path = folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")
    heavy = {name.split(".")[0] for name in imports(path)} & HEAVY
    assert heavy <= INSIDE_A_FUNCTION.get(room, set())


def test_package_commands_and_chapters_start_without_torch() -> None:
    code = (
        "import sys, pkgutil, vae_course, vae_course.cli, vae_course.chapters as chapters\n"
        "for module in pkgutil.iter_modules(chapters.__path__):\n"
        "    __import__(f'vae_course.chapters.{module.name}')\n"
        f"print(sorted({HEAVY!r} & set(sys.modules)))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert shown.strip() == "[]"


def test_no_pickle_is_read_or_written() -> None:
    for path in FILES:
        assert not {name.split(".")[0] for name in imports(path)} & {"pickle", "dill", "joblib"}
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call):
                assert ast.unparse(call.func) not in {"torch.load", "torch.save"}, path
