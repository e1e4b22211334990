import inspect
import itertools
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from matplotlib import font_manager
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextToPath

from vae_course import figures
from vae_course.figures import Schematic
from vae_course.figures.drawing import Box, Circle, Label, Network, arrow, sheet

ROOT = Path(__file__).parents[2]
SVG = "{http://www.w3.org/2000/svg}"
SCHEMATICS: dict[str, Callable[..., Schematic]] = {
    name: getattr(figures, name) for name in figures.__all__ if name.endswith("_schematic")
}
PHONE = 342  # pixels for a figure on a page 390 pixels wide
Span = tuple[float, float, float, float]  # left, top, right, bottom
Line = list[tuple[float, float]]

each = pytest.mark.parametrize("name", SCHEMATICS)


def parsed(name: str) -> ElementTree.Element:
    return ElementTree.fromstring(SCHEMATICS[name](caption="What to see.").svg)


def sizes(root: ElementTree.Element) -> tuple[float, float]:
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    return width, height


def pieces(element: ElementTree.Element, font: dict[str, str]) -> Iterator[tuple[str, float]]:
    """Yield what a text element shows, with its width: Times in formulas, else a wide font."""
    font = font | {name: element.attrib[name] for name in font if name in element.attrib}
    if "dx" in element.attrib:
        yield "", float(element.attrib["dx"].removesuffix("em")) * float(font["font-size"])
    yield element.text or "", width(element.text or "", font)
    for child in element:
        yield from pieces(child, font)
        yield child.tail or "", width(child.tail or "", font)


def width(text: str, font: dict[str, str]) -> float:
    if not text:
        return 0.0
    family = "STIXGeneral" if "serif" in font["font-family"].split(",")[1:] else "DejaVu Sans"
    family = "DejaVu Sans" if font["font-family"].startswith("system-ui") else family
    properties = FontProperties(family=family, style=font["font-style"], size=100)
    font_manager.findfont(properties, fallback_to_default=False)
    wide, _, _ = TextToPath().get_text_width_height_descent(text, properties, ismath=False)
    return wide * float(font["font-size"]) / 100


def words(root: ElementTree.Element) -> dict[str, Span]:
    """Return the texts of a drawing and the boxes around them, with some air."""
    (group,) = (one for one in root.iter(f"{SVG}g") if "font-family" in one.attrib)
    start = {"font-family": group.attrib["font-family"], "font-size": "15", "font-style": "normal"}
    found = {}
    for number, element in enumerate(group):
        parts = list(pieces(element, start))
        total = sum(wide for _, wide in parts)
        anchor = {"start": 0.0, "middle": 0.5, "end": 1.0}[element.get("text-anchor", "middle")]
        left, base = float(element.attrib["x"]) - anchor * total, float(element.attrib["y"])
        text = f"{number}: {''.join(text for text, _ in parts)}"
        found[text] = (left, base - 9, left + total, base + 3)
    return found


def borders(root: ElementTree.Element) -> Iterator[Line]:
    """Yield what is drawn as lines from point to point."""
    for element in root.iter():
        part = {key: float(value) for key, value in element.attrib.items() if is_number(value)}
        if element.tag == f"{SVG}rect":
            (x, y), (wide, high) = (part["x"], part["y"]), (part["width"], part["height"])
            yield [(x, y), (x + wide, y), (x + wide, y + high), (x, y + high), (x, y)]
        elif element.tag == f"{SVG}circle":
            turn = [2 * math.pi * i / 36 for i in range(37)]
            r = part["r"]
            yield [(part["cx"] + r * math.cos(a), part["cy"] + r * math.sin(a)) for a in turn]
        elif element.tag == f"{SVG}path":
            yield from (outline(path) for path in element.attrib["d"].split("M")[1:])


def is_number(text: str) -> bool:
    return re.fullmatch(r"-?[\d.]+", text) is not None


def outline(path: str) -> Line:
    points = [(float(x), float(y)) for x, y in re.findall(r"(-?[\d.]+),(-?[\d.]+)", path)]
    if "Q" in path:
        (a, b, c), steps = points, [i / 30 for i in range(31)]
        return [
            tuple((1 - t) ** 2 * a[i] + 2 * t * (1 - t) * b[i] + t**2 * c[i] for i in (0, 1))
            for t in steps
        ]
    return [*points, points[0]] if path.endswith("Z") else points


def crosses(line: Line, box: Span) -> bool:
    left, top, right, bottom = box
    for (x0, y0), (x1, y1) in itertools.pairwise(line):
        for t in (i / 100 for i in range(101)):
            x, y = x0 + t * (x1 - x0), y0 + t * (y1 - y0)
            if left < x < right and top < y < bottom:
                return True
    return False


def test_there_are_seven() -> None:
    assert len(SCHEMATICS) == 7
    for function in SCHEMATICS.values():
        assert list(inspect.signature(function).parameters) == ["caption"]


@each
def test_a_schematic_is_svg_with_title_and_description(name: str) -> None:
    root = parsed(name)
    assert root.tag == f"{SVG}svg" and root.attrib["role"] == "img"
    title, description = root[:2]
    assert (title.tag, description.tag) == (f"{SVG}title", f"{SVG}desc")
    assert title.text.strip() and len(description.text) > 100
    known = {"svg", "title", "desc", "g", "path", "rect", "circle", "text", "tspan"}
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= known
    attributes = set().union(*(element.attrib for element in root.iter()))
    assert not {a for a in attributes if a in {"id", "class"} or a.startswith("on") or "href" in a}


@each
def test_the_caption_stands_below_and_is_needed(name: str) -> None:
    bundle = SCHEMATICS[name](caption="a < b")._repr_mimebundle_()
    assert bundle["text/html"].startswith('<figure class="vae-figure"><svg ')
    assert bundle["text/html"].endswith("</svg><figcaption>a &lt; b</figcaption></figure>")
    assert bundle["text/plain"] == "Figure: a < b"
    with pytest.raises(ValueError, match="a figure needs a caption"):
        SCHEMATICS[name](caption=" \n")


@each
def test_every_color_is_the_texts_or_one_that_the_page_sets(name: str) -> None:
    colors = {
        element.attrib[attribute]
        for element in parsed(name).iter()
        for attribute in ("fill", "stroke", "color")
        if attribute in element.attrib
    }
    css = (ROOT / "book" / "_static" / "custom.css").read_text(encoding="utf-8")
    for color in colors - {"none", "currentColor"}:
        variable = re.fullmatch(r"var\((--vae-\w+), #[0-9a-f]{6}\)", color)
        assert variable, color
        assert len(re.findall(rf"^  {variable[1]}: #[0-9a-f]{{6}};$", css, re.MULTILINE)) == 2


def luminance(color: str) -> float:
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_colors_are_legible_on_light_and_dark() -> None:
    css = (ROOT / "book" / "_static" / "custom.css").read_text(encoding="utf-8")
    pairs = re.findall(r"^  --vae-\w+: (#\w{6});$", css, re.MULTILINE)
    assert len(pairs) == 6
    assert all(contrast(color, "#ffffff") >= 4.5 for color in pairs[:3])
    assert all(contrast(color, "#14181e") >= 4.5 for color in pairs[3:])
    for name in SCHEMATICS:  # where no page sets them, one color has to do for both
        for color in re.findall(r", (#\w{6})\)", SCHEMATICS[name](caption="c").svg):
            assert min(contrast(color, "#ffffff"), contrast(color, "#111111")) > 3.8


@each
def test_it_is_small_and_its_letters_are_large_on_a_phone(name: str) -> None:
    svg, root = SCHEMATICS[name](caption="c").svg, parsed(name)
    assert len(svg.encode()) < 7000
    style = root.attrib["style"]
    assert "width:100%" in style and "max-width:" in style
    room = min(PHONE, float(re.search(r"max-width:([\d.]+)px", style)[1]))
    smallest = min(
        float(one.attrib["font-size"]) for one in root.iter() if "font-size" in one.attrib
    )
    assert smallest * room / sizes(root)[0] > 9


@each
def test_words_lie_on_the_sheet_and_not_on_one_another(name: str) -> None:
    root = parsed(name)
    wide, high = sizes(root)
    found = words(root)
    for text, (left, top, right, bottom) in found.items():
        assert left >= 2 and right <= wide - 2 and top >= 2 and bottom <= high - 2, text
    for (text, a), (other, b) in itertools.combinations(found.items(), 2):
        apart = a[2] + 3 <= b[0] or b[2] + 3 <= a[0] or a[3] + 2 <= b[1] or b[3] + 2 <= a[1]
        assert apart, f"{text} lies on {other}"


@each
def test_no_line_runs_through_words_or_off_the_sheet(name: str) -> None:
    root = parsed(name)
    wide, high = sizes(root)
    found = words(root)
    for line in borders(root):
        assert all(1 <= x <= wide - 1 and 1 <= y <= high - 1 for x, y in line)
        for text, (left, top, right, bottom) in found.items():
            box = (left - 2, top, right + 2, bottom)
            assert not crosses(line, box), f"{line} runs through {text}"


def points(svg: str) -> Line:
    paths = "".join(re.findall(r' d="([^"]*)"', svg))
    return [(float(x), float(y)) for x, y in re.findall(r"(-?[\d.]+),(-?[\d.]+)", paths)]


def drawn(*pieces: object) -> ElementTree.Element:
    return ElementTree.fromstring(sheet(200, 100, pieces, title="t", alt="a"))


def test_the_checks_of_this_file_see_what_is_wrong() -> None:
    close, apart = words(drawn(Label(60, 50, "$z_1$ and"), Label(92, 50, "then"))).values()
    assert close[2] + 3 > apart[0]  # 32 apart, and too close
    (box,) = words(drawn(Label(100, 50, "$q_φ(z)$"))).values()
    assert 25 < box[2] - box[0] < 35 and sum(box[::2]) == pytest.approx(200)
    through = [Circle(100, 50, "", 12), Box(100, 50, "", 200, 90), arrow(BOX, Circle(150, 60, "c"))]
    assert [any(crosses(one, box) for one in borders(drawn(p))) for p in through] == [1, 0, 1]


BOX, CIRCLE = Box(20, 50, "a", 20, 30), Circle(100, 50, "b", 10)


@pytest.mark.parametrize(
    ("svg", "tail", "tip"),
    [
        (arrow(BOX, CIRCLE), (30, 50), (88, 50)),
        (arrow(CIRCLE, BOX), (90, 50), (32, 50)),
        (arrow(BOX, CIRCLE, aside=6), (30, 56), (90, 56)),
        (arrow(CIRCLE, BOX, aside=6), (92, 44), (32, 44)),
        (arrow(BOX, Box(20, 120, "c")), (20, 65), (20, 102)),
        (arrow(Network(20, 50, "n", 40, 20, 30), CIRCLE), (35, 50), (88, 50)),
        (arrow(BOX, CIRCLE, bend=(20, -40)), (20, 35), None),
        (arrow(BOX, CIRCLE, bend=(100, 0)), None, (100, 38)),
    ],
)
def test_an_arrow_runs_from_border_to_just_before_the_border(svg, tail, tip) -> None:
    found = points(svg)
    assert tail is None or found[0] == tail
    assert tip is None or found[-3] == pytest.approx(tip, abs=0.06)
    head, left, right = found[-3:]
    base = ((left[0] + right[0]) / 2, (left[1] + right[1]) / 2)
    assert found[-4] == pytest.approx(base, abs=0.1)  # the line ends in the middle of the head
    assert math.dist(head, base) == pytest.approx(7.5, abs=0.15)


def text_of(label: Label) -> ElementTree.Element:
    return ElementTree.fromstring(label.draw())


def test_a_label_lowers_raises_and_slants() -> None:
    text = text_of(Label(0, 0, "of $log p_θ(x̂)^2$ now"))
    assert "".join(text.itertext()) == "of log pθ(xˆ)2 now"
    slanted = [s.text for s in text.iter("tspan") if s.get("font-style") == "italic"]
    assert slanted == ["p", "θ", "x"]
    moves = [float(s.attrib["dy"]) for s in text.iter("tspan") if "dy" in s.attrib]
    assert len(moves) == 4 and moves[0] > 0 > moves[2] and sum(moves) == pytest.approx(0)
    assert [s.text for s in text.iter("tspan") if s.get("font-size") == "11"] == ["θ", "2"]


def test_what_is_written_is_escaped() -> None:
    label = Label(5, 5, "a < b & $x_{<t}$")
    root = ElementTree.fromstring(sheet(10, 10, (label,), title="1 < 2", alt='"&"'))
    assert [one.text for one in root[:2]] == ["1 < 2", '"&"']
    assert "".join(root[-1].itertext()) == "a < b & x<t"


def test_the_symbols_are_those_of_the_notation_page() -> None:
    page = (ROOT / "book" / "notation.md").read_text(encoding="utf-8")
    tex = {"φ": r"\phi", "θ": r"\theta", "μ": r"\mu", "σ": r"\sigma", "ε": r"\varepsilon"}
    tex |= {"β": r"\beta", "I": "I"}
    for name in SCHEMATICS:
        for element in parsed(name).iter(f"{SVG}tspan"):
            if element.get("font-style") == "italic":
                symbol = (element.text or "").strip()
                assert re.search(rf"\$[^$]*{re.escape(tex.get(symbol, symbol))}[^$]*\$", page), (
                    symbol
                )
