"""The three profiles: what each chapter's parameters become."""

import ast
from enum import StrEnum
from typing import Any

from vae_course.chapters.errors import ChapterError
from vae_course.chapters.files import read_notebook, tags_of, text_of
from vae_course.chapters.project import Chapter, Project

Parameters = dict[str, Any]


class Profile(StrEnum):
    """How much a run computes: the parameters cells hold the `quick` values."""

    SMOKE = "smoke"
    QUICK = "quick"
    FULL = "full"


def default_parameters(chapter: Chapter) -> Parameters:
    """Read a chapter's parameters cell: plain assignments of literals, `profile` first.

    Raises `ChapterError` naming the chapter and the line when there is no such cell, more than
    one, or something else than `name = literal` in it.
    """
    cells = [c for c in read_notebook(chapter.source)["cells"] if "parameters" in tags_of(c)]
    if len(cells) != 1:
        raise ChapterError(
            f"{chapter.name} has {len(cells)} cells tagged 'parameters'; it needs exactly one"
        )
    source = text_of(cells[0]["source"])
    try:
        found = dict(_assignment(line) for line in ast.parse(source).body)
    except (SyntaxError, ValueError) as error:
        raise ChapterError(
            f"{chapter.name}: its parameters cell may hold only `name = literal` lines: {error}"
        ) from error
    if next(iter(found.items()), None) != ("profile", "quick"):
        raise ChapterError(f'{chapter.name}: its parameters must start with profile = "quick"')
    return found


def _assignment(line: ast.stmt) -> tuple[str, Any]:
    match line:
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            return name, ast.literal_eval(value)
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
            return name, ast.literal_eval(value)
    raise ValueError(f"line {line.lineno} is `{ast.unparse(line)}`")


def load_profiles(project: Project) -> dict[str, dict[str, Parameters]]:
    """Read book/profiles.yml as {profile: {chapter: {parameter: value}}}, checked.

    Raises `ChapterError` naming profile, chapter and key for an unknown profile, an unknown
    chapter, a key that the chapter's parameters cell does not have, or a value of another type
    (YAML reads `1e-3` as text, for one: it wants `1.0e-3`).
    """
    import yaml

    path = project.book / "profiles.yml"
    try:
        table = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ChapterError(f"{path} can't be read: {error}") from error
    known = {chapter.name: default_parameters(chapter) for chapter in project.chapters()}
    if not isinstance(table, dict) or set(table) != set(Profile):
        raise ChapterError(f"{path.name} must have exactly the profiles {', '.join(Profile)}")
    if table[Profile.QUICK]:
        raise ChapterError(f"{path.name}: 'quick' is what the parameters cells say; leave it {{}}")
    for profile, chapters in table.items():
        for name, changes in (chapters or {}).items():
            _check(where=f"{path.name}: {profile}: {name}", changes=changes, known=known.get(name))
    return {profile: chapters or {} for profile, chapters in table.items()}


def _check(*, where: str, changes: Any, known: Parameters | None) -> None:
    if known is None:
        raise ChapterError(f"{where}: there is no such chapter in _toc.yml")
    if not isinstance(changes, dict):
        raise ChapterError(f"{where}: expected `parameter: value` lines, got {changes!r}")
    for key, value in changes.items():
        if key == "profile" or key not in known:
            names = ", ".join(name for name in known if name != "profile")
            raise ChapterError(f"{where}: unknown key '{key}'; the chapter has: {names}")
        if not _fits(value, known[key]):
            raise ChapterError(
                f"{where}: {key} is {value!r}, a {type(value).__name__}, where the chapter has"
                f" {known[key]!r}, a {type(known[key]).__name__}"
            )


def _fits(value: Any, default: Any) -> bool:
    """Whether a value may replace a default: same type, an int for a float, or None involved."""
    if value is None or default is None or type(value) is type(default):
        return True
    pairs = {(int, float), (list, tuple)}
    return (type(value), type(default)) in pairs


def parameters_of(
    chapter: Chapter, *, profile: str, profiles: dict[str, dict[str, Parameters]]
) -> Parameters:
    """Say what is injected into a chapter: `profile`, and what the profile changes."""
    return {"profile": str(profile), **profiles[profile].get(chapter.name, {})}
