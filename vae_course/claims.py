"""Measured claims: numbers a chapter's run shows its reader, and what the text says of them."""

import math
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.metadata import version
from numbers import Integral
from typing import Any

CLAIMS_MIME = "application/vnd.vae-course.claims+json"

Other = float | str
"""A number, or the name of another claim of the chapter."""


@dataclass(frozen=True)
class Side:
    """One side of a relation: `times` · the claim `of` + `plus`; without `of` the number `plus`."""

    of: str | None = None
    times: float = 1.0
    plus: float = 0.0

    def at(self, values: Mapping[str, float]) -> float:
        """Return its value in a run.

        Raises:
            KeyError: the run has no claim of that name.
        """
        return self.plus if self.of is None else self.times * values[self.of] + self.plus

    def words(self, texts: Mapping[str, str]) -> str:
        """Say it as a reader reads it: `0`, `2 × “test ELBO”`, `“rate” + 0.5`."""
        if self.of is None:
            return f"{self.plus:.4g}"
        factor = "" if self.times == 1 else f"{self.times:.4g} × "
        sign, size = ("+", self.plus) if self.plus > 0 else ("−", -self.plus)
        shift = f" {sign} {size:.4g}" if self.plus else ""
        return f"{factor}“{texts.get(self.of, self.of)}”{shift}"


@dataclass(frozen=True)
class Relation:
    """What the text says of a claim: that it lies between two sides, one of which may be absent.

    It is evaluated in every run, and held to the recorded ones: prose says what nine of ten of them
    bear out. Made by `above`, `below`, `at_least`, `at_most`, `between`, `near`, `within_factor`.
    """

    low: Side | None = None
    high: Side | None = None
    strict: bool = False

    def margin(self, value: float, values: Mapping[str, float]) -> float:
        """By how much the value is on the right side; negative, by how much on the wrong one.

        Raises:
            KeyError: the run lacks the claim that this one is compared with.
        """
        room = [value - self.low.at(values)] if self.low else []
        room += [self.high.at(values) - value] if self.high else []
        return min(room)

    def holds(self, value: float, values: Mapping[str, float]) -> bool:
        """Whether it is true in a run with these claims."""
        margin = self.margin(value, values)
        return margin > 0 or (margin == 0 and not self.strict)

    def words(self, texts: Mapping[str, str]) -> str:
        """Say it in symbols: `> 0`, `≤ 2 × “rate”`, `0.9 to 1.1`."""
        if self.low and self.high:
            return f"{self.low.words(texts)} to {self.high.words(texts)}"
        sign = {(True, True): ">", (True, False): "≥", (False, True): "<", (False, False): "≤"}
        side = self.low or self.high
        assert side is not None
        return f"{sign[self.low is not None, self.strict]} {side.words(texts)}"

    def to_json(self) -> dict[str, Any]:
        """Return it in plain values, as notebooks and records keep it."""
        sides = {"low": self.low, "high": self.high}
        plain = {name: [s.of, s.times, s.plus] for name, s in sides.items() if s}
        return {**plain, "strict": True} if self.strict else dict(plain)

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> "Relation":
        """Read what `to_json` gave.

        Raises:
            ValueError: it is something else.
        """
        sides = {name: plain[name] for name in ("low", "high") if name in plain}
        if not sides or plain.keys() - {"low", "high", "strict"}:
            raise ValueError(f"a relation has low, high or both, and strict: not {dict(plain)!r}")
        made = {}
        for name, side in sides.items():
            of, times, plus = side
            if not (of is None or isinstance(of, str)):
                raise ValueError(f"a relation is to a claim's name or to nothing, not to {of!r}")
            made[name] = Side(of, float(times), float(plus))
        return cls(**made, strict=bool(plain.get("strict", False)))


def above(other: Other, *, times: float = 1, plus: float = 0) -> Relation:
    """Say that a claim is above a number or another claim: x > times · other + plus."""
    return Relation(low=_side(other, times, plus), strict=True)


def below(other: Other, *, times: float = 1, plus: float = 0) -> Relation:
    """Say that a claim is below a number or another claim: x < times · other + plus."""
    return Relation(high=_side(other, times, plus), strict=True)


def at_least(other: Other, *, times: float = 1, plus: float = 0) -> Relation:
    """Say that x ≥ times · other + plus."""
    return Relation(low=_side(other, times, plus))


def at_most(other: Other, *, times: float = 1, plus: float = 0) -> Relation:
    """Say that x ≤ times · other + plus."""
    return Relation(high=_side(other, times, plus))


def between(low: Other, high: Other) -> Relation:
    """Say that low ≤ x ≤ high, each a number or another claim."""
    return Relation(low=_side(low), high=_side(high))


def near(other: Other, *, by: float) -> Relation:
    """Say that |x − other| ≤ by."""
    return Relation(low=_side(other, plus=-by), high=_side(other, plus=by))


def within_factor(other: Other, factor: float) -> Relation:
    """Say that other / factor ≤ x ≤ factor · other, of positive numbers."""
    return Relation(low=_side(other, 1 / factor), high=_side(other, factor))


def _side(other: Other, times: float = 1, plus: float = 0) -> Side:
    if isinstance(other, str):
        return Side(other, float(times), float(plus))
    return Side(plus=float(times * other + plus))


@dataclass(frozen=True)
class Claim:
    """One number the text rests on.

    Attributes:
        name: unique in the chapter, like a Python name; `results/` records it by this.
        value: as measured; a whole number is a count.
        unit: `"nats"`, `"bits/dim"`, `"×"`, `"%"`, or empty for a plain number.
        text: what it is, in words.
        says: what the text says of it; None where it only shows the number.
    """

    name: str
    value: float
    unit: str
    text: str
    says: Relation | None = None


@dataclass(frozen=True)
class Table:
    """A small table: headings, rows, and the claims that are in it."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    claims: Mapping[str, Mapping[str, Any]]

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        plain = "\n".join("  ".join(row) for row in (self.headings, *self.rows))
        bundle: dict[str, Any] = {
            "text/html": table_html(self.headings, self.rows),
            "text/plain": plain,
        }
        return bundle | ({CLAIMS_MIME: self.claims} if self.claims else {})


def table_html(headings: Sequence[str], rows: Sequence[Sequence[str]], *, note: str = "") -> str:
    """Write a table, columns of numbers flush right, perhaps with a note under it."""
    columns = zip(*rows, strict=True)
    numbers = [any(column) and all(map(_is_number, column)) for column in columns]
    kinds = [' class="number"' if number else "" for number in numbers]
    head = "".join(
        f'<th scope="col"{kind}>{escape(name)}</th>'
        for name, kind in zip(headings, kinds, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(f"<td{kind}>{escape(cell)}</td>" for cell, kind in zip(row, kinds, strict=True))
        + "</tr>"
        for row in rows
    )
    table = f'<table class="vae-claims"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    return table + (f'<p class="vae-claims-note">{escape(note)}</p>' if note else "")


def claims_table(*claims: Claim) -> Table:
    """Show claims to the reader and leave them, machine-readable, in the notebook.

    Raises:
        ValueError: two claims of one name, or a name that is not like a Python name.
    """
    names = [claim.name for claim in claims]
    for name in names:
        if not name.isidentifier() or names.count(name) > 1:
            raise ValueError(f"claim {name!r}: names are unique and like Python names")
    made = {claim.name: _plain(claim) for claim in claims}
    return Table(*claims_rows(made), made)


def claims_rows(claims: Mapping[str, Mapping[str, Any]]) -> tuple[tuple[str, ...], Any]:
    """Headings and rows of a table of claims; a column for what the text says, if it says any."""
    texts = {name: claim["text"] for name, claim in claims.items()}
    says = any("says" in claim for claim in claims.values())
    rows = []
    for claim in claims.values():
        row = [claim["text"], format_number(claim["value"]), claim["unit"]]
        if says:
            row.append(Relation.from_json(claim["says"]).words(texts) if "says" in claim else "")
        rows.append(tuple(row))
    return ("measured in this run", "value", "unit", *(["the text says"] * says)), tuple(rows)


def _plain(claim: Claim) -> dict[str, Any]:
    whole = isinstance(claim.value, Integral)
    plain: dict[str, Any] = {"value": int(claim.value) if whole else float(claim.value)}
    plain |= {"unit": claim.unit, "text": claim.text}
    return plain | ({"says": claim.says.to_json()} if claim.says else {})


def comparison_table(headings: tuple[str, ...], *rows: tuple[object, ...]) -> Table:
    """Show a table that is only looked at: numbers are rounded, nothing is recorded."""
    return Table(headings, tuple(tuple(_cell(cell) for cell in row) for row in rows), {})


def format_number(value: float) -> str:
    """Write a number as a reader wants it: `12`, `12.30`, `0.001234`, `1.23e-07`, `60,000`."""
    size = abs(value)
    if isinstance(value, int) or size >= 1000:
        return f"{value:,.0f}"
    return f"{value:#.4g}".removesuffix(".") if size >= 1e-3 or size == 0 else f"{value:.2e}"


def plus_minus(values: Iterable[float]) -> str:
    """Write the mean and its standard error s / √n, to two digits of the error: `-251.93 ± 0.15`.

    The values are of independent things: seeds, draws or test images. Of two models that saw the
    same ones, give the differences.

    Raises:
        ValueError: fewer than two values, which have no spread.
    """
    numbers = [float(value) for value in values]
    if len(numbers) < 2:
        raise ValueError(f"a standard error needs at least two values, and here are {len(numbers)}")
    mean, count = sum(numbers) / len(numbers), len(numbers)
    error = math.sqrt(sum((value - mean) ** 2 for value in numbers) / (count - 1) / count)
    digits = max(0, 1 - math.floor(math.log10(error))) if 0 < error < math.inf else 2
    return f"{mean:.{digits}f} ± {error:.{digits}f}"


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
