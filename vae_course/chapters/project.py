"""Where the project is, which chapters it has, and what each profile makes of their parameters."""

import ast
import math
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import vae_course
from vae_course.chapters.notebooks import ChapterError, read_notebook, tags_of, text_of

MAX_YAML = 200_000  # bytes; ours have 5,000


def package_folder() -> Path:
    """Where the installed package's own files are."""
    return Path(vae_course.__file__).parent


@dataclass(frozen=True)
class Chapter:
    """One notebook of the book: `source` is the master in book/."""

    source: Path

    @property
    def name(self) -> str:
        """The file's stem, such as `09_training_a_vae`."""
        return self.source.stem

    @property
    def number(self) -> int | None:
        """The number that the file's name starts with, if it does."""
        return _number(self.name.split("_", 1)[0])

    def answers_to(self, word: str) -> bool:
        """Whether `word` (9, 09, 09_training_a_vae, or a path to it) means this chapter."""
        number = _number(word)
        return Path(word).stem == self.name if number is None else self.number == number


def _number(word: str) -> int | None:
    """The number that a word is, of as many digits as a chapter may have."""
    return int(word) if word.isdecimal() and len(word) <= 9 else None


@dataclass(frozen=True)
class Project:
    """The folder with _toc.yml and book/; `package` is the source that its chapters import."""

    root: Path
    package: Path = field(default_factory=package_folder)

    @property
    def book(self) -> Path:
        """The folder of the masters. Nothing here writes into it."""
        return self.root / "book"

    def executed(self, chapter: Chapter, *, profile: str) -> Path:
        """Where the executed copy of a chapter lies."""
        return self.root / "_build" / "executed" / profile / f"{chapter.name}.ipynb"

    def record(self, chapter: Chapter, *, profile: str) -> Path:
        """Where the recorded claims of a chapter lie."""
        return self.root / "results" / profile / f"{chapter.name}.json"

    def chapters(self) -> list[Chapter]:
        """List the notebooks that _toc.yml names, in its order."""
        found = [Chapter(page) for page in self.pages() if page.suffix == ".ipynb"]
        if not found:
            raise ChapterError(f"{self.root / '_toc.yml'} names no notebook")
        _check_names([chapter.name for chapter in found])
        return found

    def pages(self) -> list[Path]:
        """List the notebooks and Markdown files that _toc.yml names, in its order."""
        found = []
        for entry in _toc_entries(read_yaml(self.root / "_toc.yml")):
            if not (page := self._page(entry)):
                raise ChapterError(f"_toc.yml names {entry!r}, but there is no such .ipynb or .md")
            if page in found:
                raise ChapterError(f"_toc.yml names {entry!r} twice")
            found.append(page)
        return found

    def _page(self, entry: Any) -> Path | None:
        """Find the file of an entry, which has no way out of the project."""
        if not isinstance(entry, str) or not entry or ".." in Path(entry).parts:
            return None
        stem = self.root / entry.removesuffix(".ipynb").removesuffix(".md")
        if not stem.is_relative_to(self.root) or stem == self.root:
            return None
        for suffix in (".ipynb", ".md"):
            with suppress(OSError):  # a name that is too long for a file
                if (page := stem.with_name(stem.name + suffix)).is_file():
                    return page
        return None

    def select(self, words: Iterable[str]) -> list[Chapter]:
        """Pick the chapters that `words` name, in the book's order; all of them for no words."""
        chapters, words = self.chapters(), list(words)
        for word in words:
            if not any(chapter.answers_to(word) for chapter in chapters):
                known = ", ".join(chapter.name for chapter in chapters)
                raise ChapterError(f"no chapter '{word}' in _toc.yml; there are: {known}")
        return [c for c in chapters if not words or any(c.answers_to(word) for word in words)]


def _check_names(names: list[str]) -> None:
    """Raise `ChapterError` for names under which two chapters' files would be one."""
    for name in names:
        if names.count(name) > 1:
            raise ChapterError(
                f"_toc.yml names two notebooks called {name!r}, whose executed copies would be one "
                "file: rename one of them"
            )
        if "." in name:
            raise ChapterError(
                f"_toc.yml names {name!r}: a chapter's name has no dot, since what is kept of it "
                "ends in .failed.ipynb and .metrics.json: rename it"
            )


def find_project(start: Path) -> Project:
    """Find the project that `start` lies in: the nearest folder with _toc.yml and book/."""
    for folder in (start.resolve(), *start.resolve().parents):
        if (folder / "_toc.yml").is_file() and (folder / "book").is_dir():
            return Project(folder)
    raise ChapterError(f"no _toc.yml with a book/ beside it in {start} or above: go to the project")


def read_yaml(path: Path) -> Any:
    """Read a YAML file that a person wrote: UTF-8, plain values, each key once, no aliases.

    Raises `ChapterError`, naming the file and what is wrong in it. An alias, which can stand for
    any amount of data, is turned down like a key that is given twice.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
            if self.check_event(yaml.AliasEvent):
                mark = self.peek_event().start_mark
                raise yaml.MarkedYAMLError(problem="aliases are not read", problem_mark=mark)
            return super().compose_node(parent, index)

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            mapping = super().construct_mapping(node, deep=deep)
            if len(mapping) < len(node.value):
                keys = [str(key.value) for key, _ in node.value]
                twice = next((key for key in keys if keys.count(key) > 1), keys[0])
                raise yaml.MarkedYAMLError(
                    problem=f"key {twice!r} stands there twice", problem_mark=node.start_mark
                )
            return mapping

    try:
        if (size := path.stat().st_size) > MAX_YAML:
            raise ChapterError(f"{path} has {size:,} bytes; more than {MAX_YAML:,} are not read")
        return yaml.load(path.read_text(encoding="utf-8"), Loader)
    except ChapterError:
        raise
    except Exception as error:  # PyYAML has many ways to fail on a damaged file
        raise ChapterError(f"{path} can't be read: {type(error).__name__}: {error}") from error


def _toc_entries(node: Any) -> Iterator[Any]:
    """Yield every file that a Jupyter Book 1.x table of contents names, in its order."""
    if isinstance(node, list):
        for child in node:
            yield from _toc_entries(child)
    elif isinstance(node, dict):
        yield from (node[key] for key in ("root", "file") if key in node)
        for key in ("parts", "chapters", "sections", "subtrees", "entries"):
            yield from _toc_entries(node.get(key))


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
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:
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

    What is said of a chapter that _toc.yml leaves out is not looked at. Raises `ChapterError`
    naming profile, chapter and key for an unknown profile, a chapter that book/ does not have, a
    key that the chapter's parameters cell does not have, or a value of another type (YAML reads
    `1e-3` as text, for one: it wants `1.0e-3`).
    """
    path = project.book / "profiles.yml"
    table = read_yaml(path)
    known = {chapter.name: default_parameters(chapter) for chapter in project.chapters()}
    written = {path.stem for path in project.book.glob("*.ipynb")}
    if not isinstance(table, dict) or set(table) != set(Profile):
        raise ChapterError(f"{path.name} must have exactly the profiles {', '.join(Profile)}")
    if table[Profile.QUICK]:
        raise ChapterError(f"{path.name}: 'quick' is what the parameters cells say; leave it {{}}")
    for profile, chapters in table.items():
        if not isinstance(chapters, dict | None):
            raise ChapterError(
                f"{path.name}: {profile}: expected `chapter:` lines, got {chapters!r}"
            )
        for name, changes in (chapters or {}).items():
            where = f"{path.name}: {profile}: {name}"
            if name in known:
                _check(where=where, changes=changes, known=known[name])
            elif name not in written:
                raise ChapterError(f"{where}: there is no book/{name}.ipynb")
    return {profile: chapters or {} for profile, chapters in table.items()}


def _check(*, where: str, changes: Any, known: Parameters) -> None:
    if not isinstance(changes, dict):
        raise ChapterError(f"{where}: expected `parameter: value` lines, got {changes!r}")
    for key, value in changes.items():
        if key == "profile" or key not in known:
            names = ", ".join(name for name in known if name != "profile")
            raise ChapterError(f"{where}: unknown key '{key}'; the chapter has: {names}")
        if not _is_plain(value):
            raise ChapterError(
                f"{where}: {key} is {value!r}; it may be made of text, finite numbers, true, false,"
                " null, lists, and mappings with keys of text"
            )
        if not _fits(value, known[key]):
            raise ChapterError(
                f"{where}: {key} is {value!r}, a {type(value).__name__}, where the chapter has"
                f" {known[key]!r}, a {type(known[key]).__name__}"
            )


def _is_plain(value: Any) -> bool:
    """Whether a value is one that JSON and Python write alike."""
    match value:
        case None | bool() | int():
            return True
        case str():
            return not any("\ud800" <= sign <= "\udfff" for sign in value)  # half a character
        case float():
            return math.isfinite(value)
        case list():
            return all(map(_is_plain, value))
        case dict():
            return all(isinstance(key, str) and _is_plain(item) for key, item in value.items())
    return False


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
