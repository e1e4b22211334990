"""Where the project is and which chapters it has."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import vae_course
from vae_course.chapters.errors import ChapterError


def _package_folder() -> Path:
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
        head = self.name.split("_", 1)[0]
        return int(head) if head.isdecimal() else None

    def answers_to(self, word: str) -> bool:
        """Whether `word` (9, 09, 09_training_a_vae, or a path to it) means this chapter."""
        if word.isdecimal():
            return self.number == int(word)
        return Path(word).stem == self.name


@dataclass(frozen=True)
class Project:
    """The folder with _toc.yml and book/; `package` is the source that its chapters import."""

    root: Path
    package: Path = field(default_factory=_package_folder)

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
        found = []
        for entry in _toc_entries(_read_toc(self.root / "_toc.yml")):
            stem = self.root / entry.removesuffix(".ipynb").removesuffix(".md")
            if (source := stem.with_name(stem.name + ".ipynb")).is_file():
                found.append(Chapter(source))
            elif not stem.with_name(stem.name + ".md").is_file():
                raise ChapterError(f"_toc.yml names '{entry}', but there is no such .ipynb or .md")
        if not found:
            raise ChapterError(f"{self.root / '_toc.yml'} names no notebook")
        return found

    def select(self, words: Iterable[str]) -> list[Chapter]:
        """Pick the chapters that `words` name, in the book's order; all of them for no words."""
        chapters, words = self.chapters(), list(words)
        for word in words:
            if not any(chapter.answers_to(word) for chapter in chapters):
                known = ", ".join(chapter.name for chapter in chapters)
                raise ChapterError(f"no chapter '{word}' in _toc.yml; there are: {known}")
        return [c for c in chapters if not words or any(c.answers_to(word) for word in words)]


def find_project(start: Path) -> Project:
    """Find the project that `start` lies in: the nearest folder with _toc.yml and book/."""
    for folder in (start.resolve(), *start.resolve().parents):
        if (folder / "_toc.yml").is_file() and (folder / "book").is_dir():
            return Project(folder)
    raise ChapterError(f"no _toc.yml with a book/ beside it in {start} or above: go to the project")


def _read_toc(path: Path) -> Any:
    import yaml

    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ChapterError(f"{path} can't be read: {error}") from error


def _toc_entries(node: Any) -> Iterator[str]:
    """Yield every file that a Jupyter Book 1.x table of contents names, in its order."""
    if isinstance(node, list):
        for child in node:
            yield from _toc_entries(child)
    elif isinstance(node, dict):
        yield from (str(node[key]) for key in ("root", "file") if key in node)
        for key in ("parts", "chapters", "sections", "subtrees", "entries"):
            yield from _toc_entries(node.get(key))
