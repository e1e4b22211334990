"""What schematics are drawn with: nodes, arrows and labels, each a piece of SVG.

Lengths are in units of the sheet, y points down. A piece is drawn in the color of the text
around it, or in one of three that a page may set: the drawing follows light and dark.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from math import hypot, sqrt

Point = tuple[float, float]

INK = "currentColor"
BLUE = "var(--vae-blue, #2a82c0)"
ORANGE = "var(--vae-orange, #c26a10)"
GREEN = "var(--vae-green, #108a68)"

_MATH = "Times New Roman,serif"
_WORDS = "system-ui,sans-serif"
_WORD_SIZE, _MATH_SIZE, _SCRIPT_SIZE = 12, 15, 11
_SCALE = 1.3  # CSS pixels for a unit, where there is room
_HEAD = 7.5  # an arrowhead's length; it is 0.8 times as wide
_GAP = 2.0  # between an arrow's tip and what it points to
_VARIABLE = re.compile("((?<![A-Za-z])[A-Za-zα-ω]\u0302?(?![A-Za-z]))")
_HAT = '<tspan dx="-.4em">ˆ</tspan>'  # a combining hat would change the font
_SCRIPTS = re.compile(r"([_^])(\{[^}]*\}|.)|([^_^]+)")


def number(value: float) -> str:
    """Write a length with at most one decimal."""
    return f"{round(value, 1):g}"


@dataclass(frozen=True)
class Label:
    """Words, with formulas between dollars: `"moves $e_k$"`, `"$x^{2}$"`.

    In a formula single letters are italic; `_` and `^` lower and raise one letter or a `{group}`.

    Attributes:
        x: where the text starts, has its middle or ends, as `anchor` says.
        y: the middle of its small letters.
        text: the words.
        anchor: `"start"`, `"middle"` or `"end"`.
        color: of the letters.
    """

    x: float
    y: float
    text: str
    anchor: str = "middle"
    color: str = INK

    def draw(self) -> str:
        """Draw the words."""
        options = "" if self.anchor == "middle" else f' text-anchor="{self.anchor}"'
        place = f'x="{number(self.x)}" y="{number(self.y + 0.34 * _WORD_SIZE)}"'
        return f"<text {place}{options}{_color(self.color)}>{''.join(_spans(self.text))}</text>"


def _spans(text: str) -> Iterator[str]:
    lowered = 0.0  # where the last piece has left the pen, below the line
    for i, piece in enumerate(text.split("$")):
        if i % 2:
            inner, lowered = _formula(piece)
            yield inner
        elif piece:
            move = f' dy="{number(-lowered)}"' if lowered else ""
            font = f' font-family="{_WORDS}" font-size="{_WORD_SIZE}"'
            yield _span(move + font, escape(piece, quote=False))


def _formula(text: str) -> tuple[str, float]:
    """Return a formula's spans, and how far below the line they end."""
    inner, lowered = "", 0.0
    for mark, script, plain in _SCRIPTS.findall(text):
        low = {"_": 0.22, "^": -0.36, "": 0.0}[mark] * _MATH_SIZE
        move = f' dy="{number(low - lowered)}"' if low != lowered else ""
        move += f' font-size="{_SCRIPT_SIZE}"' if mark else ""
        inner += _span(move, _italics(plain or script.strip("{}")))
        lowered = low
    return inner, lowered


def _italics(text: str) -> str:
    runs = [escape(run, quote=False) for run in _VARIABLE.split(text)]
    runs[1::2] = [_span(' font-style="italic"', run) for run in runs[1::2]]
    return "".join(runs).replace("\u0302", _HAT)


def _span(options: str, text: str) -> str:
    """Wrap text in a span; into the one that wraps all of it already, the options go as well."""
    if options and re.fullmatch("<tspan[^>]*>[^<]*</tspan>", text):
        return text.replace("<tspan", f"<tspan{options}", 1)
    return f"<tspan{options}>{text}</tspan>" if options else text


@dataclass(frozen=True)
class Box:
    """A rectangle around its name: what is computed, without chance."""

    x: float
    y: float
    text: str
    width: float = 32
    height: float = 32
    shade: float = 0

    def exit(self, start: Point, way: Point) -> float:
        """Return how far it is from `start`, inside, to the border in the direction `way`."""
        sides = ((self.x, self.width, 0), (self.y, self.height, 1))
        return min(
            ((middle - start[i]) * (1 if way[i] > 0 else -1) + length / 2) / abs(way[i])
            for middle, length, i in sides
            if abs(way[i]) > 1e-9
        )

    def draw(self) -> str:
        """Draw the rectangle."""
        left, top = self.x - self.width / 2, self.y - self.height / 2
        place = f'x="{number(left)}" y="{number(top)}"'
        size = f'width="{number(self.width)}" height="{number(self.height)}" rx="4"'
        return f"<rect {place} {size}{_shaded(self.shade)}/>"


@dataclass(frozen=True)
class Circle:
    """A circle around its name: a random variable, shaded where it is observed."""

    x: float
    y: float
    text: str
    radius: float = 17
    shade: float = 0

    def exit(self, start: Point, way: Point) -> float:
        """Return how far it is from `start`, inside, to the border in the direction `way`."""
        dx, dy = start[0] - self.x, start[1] - self.y
        along = dx * way[0] + dy * way[1]
        return sqrt(along**2 - dx**2 - dy**2 + self.radius**2) - along

    def draw(self) -> str:
        """Draw the circle."""
        place = f'cx="{number(self.x)}" cy="{number(self.y)}" r="{number(self.radius)}"'
        return f"<circle {place}{_shaded(self.shade)}/>"


@dataclass(frozen=True)
class Network:
    """A trapezoid around its name: a network, narrower to the side of the code."""

    x: float
    y: float
    text: str
    left: float
    right: float
    width: float = 66

    def exit(self, start: Point, way: Point) -> float:
        """Return how far it is from `start`, inside, to the left or right border."""
        height = (self.left + self.right) / 2
        return Box(self.x, self.y, self.text, self.width, height).exit(start, way)

    def draw(self) -> str:
        """Draw the trapezoid."""
        a, b = self.x - self.width / 2, self.x + self.width / 2
        y, left, right = self.y, self.left / 2, self.right / 2
        corners = ((a, y - left), (b, y - right), (b, y + right), (a, y + left))
        return f'<path d="M{_path(*corners)}Z"{_shaded(0.06)}/>'


Node = Box | Circle | Network


def arrow(
    start: Node,
    end: Node,
    *,
    bend: Point | None = None,
    aside: float = 0,
    color: str = INK,
    dashed: bool = False,
) -> str:
    """Draw an arrow from border to border.

    Args:
        start: where it leaves.
        end: where it points to.
        bend: the control point of a curve; straight without one.
        aside: how far it runs to the right of the line between the middles, seen along it.
        color: of line and head.
        dashed: a broken line.
    """
    there, back = bend or (end.x, end.y), bend or (start.x, start.y)
    tail = _border(start, there, aside)
    tip = _border(end, back, -aside, _GAP)
    way = _direction((end.x, end.y), back)
    base = (tip[0] + _HEAD * way[0], tip[1] + _HEAD * way[1])
    middle = f"Q{_path(bend)} " if bend else "L"
    line = f'<path d="M{_path(tail)}{middle}{_path(base)}"{_dashes(dashed)}/>'
    both = line + _head(tip, base)
    return both if color == INK else f"<g{_color(color)}>{both}</g>"


def line(*points: Point, color: str = INK, dashed: bool = False) -> str:
    """Draw a line through points."""
    return f'<path d="M{_path(*points)}"{_dashes(dashed)}{_color(color)}/>'


def cross(x: float, y: float, color: str = INK) -> str:
    """Draw a cross: no way through."""
    a, b, c, d = (number(value) for value in (x - 4.5, y - 4.5, x + 4.5, y + 4.5))
    return f'<path d="M{a},{b} {c},{d}M{a},{d} {c},{b}" stroke-width="2"{_color(color)}/>'


def frame(left: float, top: float, right: float, bottom: float, dashed: bool = False) -> str:
    """Draw a rectangle around what belongs together."""
    place = f'x="{number(left)}" y="{number(top)}"'
    size = f'width="{number(right - left)}" height="{number(bottom - top)}" rx="6"'
    return f"<rect {place} {size}{_dashes(dashed)}/>"


def _border(node: Node, toward: Point, aside: float, gap: float = 0) -> Point:
    """Return where a line from the middle of a node, moved aside, leaves it, and a gap on."""
    way = _direction((node.x, node.y), toward)
    start = (node.x - aside * way[1], node.y + aside * way[0])
    far = node.exit(start, way) + gap
    return (start[0] + far * way[0], start[1] + far * way[1])


def _direction(start: Point, end: Point) -> Point:
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = hypot(dx, dy)
    return (dx / length, dy / length)


def _head(tip: Point, base: Point) -> str:
    dx, dy = 0.4 * (tip[0] - base[0]), 0.4 * (tip[1] - base[1])
    corners = (tip, (base[0] - dy, base[1] + dx), (base[0] + dy, base[1] - dx))
    return f'<path d="M{_path(*corners)}Z" fill="{INK}" stroke="none"/>'


def _path(*points: Point) -> str:
    return " ".join(f"{number(x)},{number(y)}" for x, y in points)


def _dashes(dashed: bool) -> str:
    return ' stroke-dasharray="5 3.5"' if dashed else ""


def _color(color: str) -> str:
    return "" if color == INK else f' color="{color}"'


def _shaded(shade: float) -> str:
    return f' fill="{INK}" fill-opacity="{shade:g}"' if shade else ""


Pieces = tuple[Node | Label | str, ...]


def sheet(width: float, height: float, pieces: Pieces, *, title: str, alt: str) -> str:
    """Put pieces on a sheet: SVG with a title and a description for who can't see it.

    Args:
        width: of the sheet.
        height: of the sheet.
        pieces: nodes, labels, and the lines that the functions of this module return.
        title: what it is, in a few words.
        alt: what it shows, for those who do not see it.
    """
    nodes = [piece for piece in pieces if isinstance(piece, Node)]
    names = [Label(node.x, node.y, node.text) for node in nodes if node.text]
    labels = [*names, *(piece for piece in pieces if isinstance(piece, Label))]
    lines = [*(piece for piece in pieces if isinstance(piece, str)), *(n.draw() for n in nodes)]
    style = f"display:block;width:100%;max-width:{number(_SCALE * width)}px;margin:0 auto"
    box = f'viewBox="0 0 {number(width)} {number(height)}" style="{style}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" {box}>'
        f"<title>{escape(title, quote=False)}</title><desc>{escape(alt, quote=False)}</desc>"
        f'<g fill="none" stroke="{INK}" stroke-width="1.4" stroke-linejoin="round">'
        f"{''.join(lines)}</g>"
        f'<g aria-hidden="true" fill="{INK}" text-anchor="middle" '
        f'font-family="{_MATH}" font-size="{_MATH_SIZE}">'
        f"{''.join(label.draw() for label in labels)}</g></svg>"
    )
