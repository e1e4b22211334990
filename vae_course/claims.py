"""Measured claims: numbers a chapter's run shows its reader and leaves for a test to compare."""

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from importlib.metadata import version
from typing import Any

CLAIMS_MIME = "application/vnd.vae-course.claims+json"


@dataclass(frozen=True)
class Claim:
    """One number the text rests on.

    Attributes:
        name: unique in the chapter, like a Python name; `results/` records it by this.
        value: as measured.
        unit: `"nats"`, `"bits/dim"`, `"×"`, `"%"`, or empty for a plain number.
        text: what it is, in words.
    """

    name: str
    value: float
    unit: str
    text: str


@dataclass(frozen=True)
class Table:
    """A small table: headings, rows, and the claims that are in it."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    claims: Mapping[str, Mapping[str, Any]]

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        columns = zip(*self.rows, strict=True)
        numbers = [any(column) and all(map(_is_number, column)) for column in columns]
        kinds = [' class="number"' if number else "" for number in numbers]
        head = "".join(
            f'<th scope="col"{kind}>{escape(name)}</th>'
            for name, kind in zip(self.headings, kinds, strict=True)
        )
        body = "".join(
            "<tr>"
            + "".join(
                f"<td{kind}>{escape(cell)}</td>" for cell, kind in zip(row, kinds, strict=True)
            )
            + "</tr>"
            for row in self.rows
        )
        html = (
            f'<table class="vae-claims"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
        )
        plain = "\n".join("  ".join(row) for row in (self.headings, *self.rows))
        bundle: dict[str, Any] = {"text/html": html, "text/plain": plain}
        return bundle | ({CLAIMS_MIME: self.claims} if self.claims else {})


def claims_table(*claims: Claim) -> Table:
    """Show claims to the reader and leave them, machine-readable, in the notebook.

    Raises:
        ValueError: two claims of one name, or a name that is not like a Python name.
    """
    names = [claim.name for claim in claims]
    for name in names:
        if not name.isidentifier() or names.count(name) > 1:
            raise ValueError(f"claim {name!r}: names are unique and like Python names")
    return Table(
        ("measured in this run", "value", "unit"),
        tuple((claim.text, format_number(claim.value), claim.unit) for claim in claims),
        {c.name: {"value": float(c.value), "unit": c.unit, "text": c.text} for c in claims},
    )


def comparison_table(headings: tuple[str, ...], *rows: tuple[object, ...]) -> Table:
    """Show a table that is only looked at: numbers are rounded, nothing is recorded."""
    return Table(headings, tuple(tuple(_cell(cell) for cell in row) for row in rows), {})


def format_number(value: float) -> str:
    """Write a number as a reader wants it: `12`, `12.30`, `0.001234`, `1.23e-07`, `60,000`."""
    size = abs(value)
    if isinstance(value, int) or size >= 1000:
        return f"{value:,.0f}"
    return f"{value:#.4g}".removesuffix(".") if size >= 1e-3 or size == 0 else f"{value:.2e}"


def _is_number(cell: str) -> bool:
    """Whether a cell belongs into a column of numbers, flush right; an empty one does too."""
    bare = cell.replace(" ± ", "±").removesuffix(" %")
    return bare == "" or (bare[0] in "+-−0123456789" and " " not in bare)


def _cell(cell: object) -> str:
    return format_number(cell) if isinstance(cell, float) else str(cell)


def provenance(profile: str) -> Table:
    """Say what this run is made on: profile, hardware, threads and versions."""
    import torch

    gpu = torch.cuda.is_available()
    device = torch.cuda.get_device_name() if gpu else f"CPU, {platform.machine()}"
    packages = ("vae-course", "torch", "numpy")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    return comparison_table(
        ("this run", ""),
        ("profile", profile),
        ("device", f"{device}, {torch.get_num_threads()} threads"),
        ("versions", f"Python {platform.python_version()}, {versions}"),
    )
