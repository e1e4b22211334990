"""Copies of the chapters for nbval: a profile's parameters in, checked outputs kept."""

import json
from collections.abc import Sequence
from pathlib import Path

from vae_course.chapters.files import read_notebook, tags_of
from vae_course.chapters.profiles import load_profiles, parameters_of
from vae_course.chapters.project import Chapter, Project
from vae_course.files import write_whole

CHECKED = "nbval-check-output"


def prepare(project: Project, chapters: Sequence[Chapter], *, profile: str) -> list[Path]:
    """Write `_build/nbval/NN_slug.ipynb` for each chapter, without executing anything.

    The profile's parameters stand in a cell right after the parameters cell, and stored outputs
    stay only in cells tagged `nbval-check-output`. Copies of an earlier call are removed.
    """
    folder = project.root / "_build" / "nbval"
    for old in folder.glob("*.ipynb"):
        old.unlink()
    profiles = load_profiles(project)
    return [
        _prepare(
            chapter,
            parameters=parameters_of(chapter, profile=profile, profiles=profiles),
            target=folder / f"{chapter.name}.ipynb",
        )
        for chapter in chapters
    ]


def _prepare(chapter: Chapter, *, parameters: dict[str, object], target: Path) -> Path:
    import nbformat
    import papermill

    notebook = read_notebook(chapter.source)
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code" and CHECKED in tags_of(cell):
            cell["execution_count"] = 1  # nbval does not check a cell that seems not to have run
        elif cell["cell_type"] == "code":
            cell.update(outputs=[], execution_count=None)
    prepared = papermill.execute_notebook(
        nbformat.from_dict(notebook),
        None,
        parameters,
        prepare_only=True,
        kernel_name="python3",
        language="python",
    )
    prepared.metadata.pop("papermill", None)
    write_whole(target, json.dumps(prepared, indent=1, ensure_ascii=False) + "\n")
    return target
