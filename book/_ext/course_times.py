"""Measured times in the book: the ``{chapter-table}`` directive and the line under a title.

Recorded times come from ``results/<profile>/<chapter>.json``; what the page at hand took comes from
the metadata ``vae_course`` that the run leaves in an executed notebook. No time is typed in.
"""

import json
from pathlib import Path
from statistics import median
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from vae_course.chapters.project import Project
from vae_course.chapters.records import read_record

RECORDED = {"quick": "CPU", "full": "GPU"}
SHOWN_VERSIONS = {"python": "Python", "torch": "PyTorch"}


def duration(seconds: float) -> str:
    """Write seconds as a reader says them: ``34 s``, ``2 min 5 s``, ``1 h 10 min``."""
    whole = max(1, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def recorded(root: Path, profile: str, chapter: str) -> str:
    """Say how long the chapter took in the recorded runs (median), or that there are none."""
    path = root / "results" / profile / f"{chapter}.json"
    if not path.is_file():
        return "not recorded yet"
    return duration(median(run.seconds for run in read_record(path).runs))


def chapters(root: Path) -> list[str]:
    """List the notebooks of ``_toc.yml``, in reading order."""
    found = Project(root).chapters()
    return [chapter.source.relative_to(root).with_suffix("").as_posix() for chapter in found]


class ChapterTable(SphinxDirective):
    """A table of all chapters: title, measured time on CPU and on GPU, Colab."""

    def run(self) -> list[nodes.Node]:
        """Write the table in Markdown, so that titles and links are resolved like any other."""
        root, options = Path(self.env.srcdir), self.config.html_theme_options
        repository = options["repository_url"].removeprefix("https://github.com/")
        colab = f"{options['launch_buttons']['colab_url']}/github/{repository}"
        lines = [
            "| Chapter | CPU (`quick`) | GPU (`full`) | Run it |",
            "| --- | --- | --- | --- |",
        ]
        for file in chapters(root):
            times = [recorded(root, profile, Path(file).name) for profile in RECORDED]
            link = f"[Colab]({colab}/blob/{options['repository_branch']}/{file}.ipynb)"
            lines.append(f"| [](/{file}) | {times[0]} | {times[1]} | {link} |")
        node = nodes.container(classes=["chapter-table"])
        self.state.nested_parse(StringList(lines, "chapter-table"), self.content_offset, node)
        return [node]


def memory(megabytes: float | None) -> str:
    """Write a peak of memory: ``640 MB``, ``1.5 GB``; some systems do not tell it."""
    if megabytes is None:
        return "memory not measured"
    amount = f"{megabytes:.0f} MB" if megabytes < 1000 else f"{megabytes / 1000:.1f} GB"
    return f"{amount} of memory"


def describe_run(run: dict[str, Any]) -> str:
    """Say in one line with what the outputs of a page were made."""
    machine, versions = run["hardware"], run["versions"]
    parts = [
        f"profile {run['parameters']['profile']}",
        duration(run["seconds"]),
        memory(run["peak_memory_mb"]),
        machine["gpu"] or f"{machine['cpu']}, {machine['cores']} cores",
        *(f"{name} {versions[key]}" for key, name in SHOWN_VERSIONS.items() if key in versions),
        run["date"][:10],
    ]
    return f"Outputs of this page: {', '.join(parts)}."


def add_run_note(app: Sphinx, doctree: nodes.document) -> None:
    """Put the measured run times under the title of a chapter."""
    docname = app.env.docname
    path = Path(app.env.doc2path(docname))
    title = next(iter(doctree.findall(nodes.title)), None)
    if path.suffix != ".ipynb" or title is None:
        return
    run = json.loads(path.read_text(encoding="utf-8"))["metadata"].get("vae_course")
    root = Path(app.srcdir)
    times = [
        f"{recorded(root, profile, path.stem)} on a {place} ({profile})"
        for profile, place in RECORDED.items()
    ]
    text = f"Measured run time: {'; '.join(times)}."
    if run:
        text += f" {describe_run(run)}"
    note = nodes.paragraph("", text, classes=["chapter-run"])
    title.parent.insert(title.parent.index(title) + 1, note)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive and the note."""
    app.add_directive("chapter-table", ChapterTable)
    app.connect("doctree-read", add_run_note)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
