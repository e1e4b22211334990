"""Render the executed chapters of one profile as a site."""

import hashlib
import json
import os
import posixpath
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import vae_course
from vae_course.chapters.notebooks import (
    ChapterError,
    Notebook,
    read_notebook,
    text_of,
    unlinked,
)
from vae_course.chapters.project import Project, read_yaml
from vae_course.chapters.review import annotate, current_record, false_alarm
from vae_course.files import remove

# What decides how a page looks, besides the files.
RENDERERS = ("jupyter-book", "sphinx", "myst-nb", "sphinx-book-theme", "sphinx-mathjax-offline")
KEY_FILE = ".render-key"
COLORS = re.compile(r"\x1b\[[\d;]*m")
OWN_MIME_TYPES = "application/vnd.vae-course."


class RenderError(ChapterError):
    """The book could not be rendered; the message says why and what to do."""


def render_book(profile: str, root: Path) -> Path:
    """Render the book from the executed chapters of a profile and return its first page.

    The pages are built beside the site and take its place only when every one is there and no
    warning was given; a site made from the same files, settings and versions is left as it is.

    Args:
        profile: whose executed chapters to show, from ``_build/executed/<profile>/``.
        root: the folder of ``_config.yml``.

    Returns:
        ``root/_build/site/<profile>/index.html``.

    Raises:
        RenderError: a chapter is not executed, or Jupyter Book gave a warning or an error.
    """
    site = root / "_build" / "site" / profile
    for name in ("_config.yml", "_toc.yml"):
        read_yaml(root / name)
    _bring_back(site)
    inputs = dict(sorted(_inputs(profile=profile, root=root)))
    written = [*_relative(root, "book/**/*.md"), *_relative(root, "book/**/*.ipynb")]
    left_out = {name for name, _ in written} - inputs.keys()
    key = _key(inputs, left_out)
    if _read(site / KEY_FILE) == key.encode() and (site / "index.html").is_file():
        return site / "index.html"
    stage = root / "_build" / "stage" / profile
    _copy(inputs, to=stage, left_out=left_out, compared=_compared(Project(root), profile))
    pages = _build(stage)
    (pages / KEY_FILE).write_text(key, encoding="utf-8")
    _swap(pages, site)
    return site / "index.html"


def _inputs(*, profile: str, root: Path) -> Iterator[tuple[str, Path]]:
    """Yield each staged name with the file that it is a copy of."""
    for name in ("_config.yml", "_toc.yml"):
        yield name, root / name
    patterns = ("book/*.bib", "book/_static/**/*", "book/_ext/**/*.py", "results/**/*.json")
    for pattern in patterns:
        yield from _relative(root, pattern)
    project = Project(root)
    for page in (page for page in project.pages() if page.suffix == ".md"):
        yield page.relative_to(root).as_posix(), page
    for chapter in project.chapters():
        executed = project.executed(chapter, profile=profile)
        if not executed.is_file():
            raise RenderError(
                f"chapter {chapter.name} is not executed in profile {profile}: "
                f"run `vae-course run {chapter.name} --profile {profile}` first"
            )
        yield chapter.source.relative_to(root).as_posix(), executed


def _relative(root: Path, pattern: str) -> Iterator[tuple[str, Path]]:
    for path in root.glob(pattern):
        if path.is_file():
            yield path.relative_to(root).as_posix(), path


def _key(inputs: dict[str, Path], left_out: set[str]) -> str:
    """Digest everything that a page depends on."""
    digest = hashlib.sha256()
    for name, path in inputs.items():
        digest.update(name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    for path in sorted(Path(vae_course.__file__).parent.rglob("*.py")):  # the reference pages
        digest.update(path.read_bytes())
    settings = [f"{name}=={version(name)}" for name in RENDERERS]
    settings += sorted(left_out)
    settings += [os.environ.get("GITHUB_REPOSITORY", ""), os.environ.get("GITHUB_SERVER_URL", "")]
    digest.update("\n".join(settings).encode())
    return digest.hexdigest()


def _read(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


def _copy(
    inputs: dict[str, Path],
    *,
    to: Path,
    left_out: set[str],
    compared: Callable[[str, Notebook], None],
) -> None:
    """Make the staging folder anew, so that no page of an earlier book stays in it."""
    remove(to)
    for name, path in inputs.items():
        target = to / name
        target.parent.mkdir(parents=True, exist_ok=True)

        def absent(page: str, folder: str = posixpath.dirname(name)) -> bool:
            return posixpath.normpath(posixpath.join(folder, page)) in left_out

        if path.suffix == ".ipynb":
            notebook = read_notebook(path)
            compared(path.stem, notebook)
            target.write_text(_staged(notebook, absent), encoding="utf-8")
        elif path.suffix == ".md":
            text = unlinked(path.read_text(encoding="utf-8"), absent=absent)
            target.write_text(text, encoding="utf-8")
        else:
            shutil.copyfile(path, target)


def _compared(project: Project, profile: str) -> Callable[[str, Notebook], None]:
    """Return what puts the recorded runs beside an executed chapter's claims."""
    alpha = false_alarm(project, profile=profile)
    records = {c.name: current_record(project, c, profile=profile) for c in project.chapters()}

    def compare(chapter: str, notebook: Notebook) -> None:
        record = records.get(chapter)
        if record is not None:
            annotate(notebook, record, alpha=alpha)

    return compare


def _staged(notebook: Notebook, absent: Callable[[str], bool]) -> str:
    """Take out links to absent pages, and outputs for machines, which Sphinx cannot show."""
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = unlinked(text_of(cell["source"]), absent=absent)
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            for mime in [mime for mime in data if mime.startswith(OWN_MIME_TYPES)]:
                del data[mime]
    return json.dumps(notebook)


def _build(stage: Path) -> Path:
    """Run Jupyter Book in the staging folder; a warning is an error."""
    program = "from jupyter_book.cli.main import main; main()"
    command = [sys.executable, "-c", program, "build", str(stage), "-W", "-n", "--keep-going", "-q"]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        env=os.environ | {"PYTHONUTF8": "1"},
    )
    pages = stage / "_build" / "html"
    if done.returncode == 0 and (pages / "index.html").is_file():
        return pages
    said = COLORS.sub("", done.stderr.strip() or done.stdout.strip()).replace(
        f"{stage}{os.sep}", ""
    )
    raise RenderError(f"Jupyter Book failed (exit status {done.returncode}); it said:\n{said}")


def _aside(site: Path) -> Path:
    return site.with_name(f".{site.name}.old")


def _bring_back(site: Path) -> None:
    """Undo a swap that was killed between its two renames."""
    if _aside(site).is_dir() and not site.exists():
        _aside(site).rename(site)


def _swap(pages: Path, site: Path) -> None:
    """Put the finished pages where the site is; two renames, so no half site is ever seen."""
    old = _aside(site)
    remove(old)
    site.parent.mkdir(parents=True, exist_ok=True)
    if site.exists():
        site.rename(old)
    pages.rename(site)
    remove(old)
