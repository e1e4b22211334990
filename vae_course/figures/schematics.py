"""Schematics: what goes where in the models of the book. They follow light and dark."""

from dataclasses import dataclass
from itertools import pairwise
from math import hypot
from typing import Any

from vae_course.figures.captioned import need_words, with_caption
from vae_course.figures.drawing import (
    BLUE,
    GREEN,
    ORANGE,
    Box,
    Circle,
    Label,
    Network,
    Node,
    Pieces,
    arrow,
    cross,
    frame,
    line,
    sheet,
)


@dataclass(frozen=True)
class Schematic:
    """A drawing with its title and its alternative text inside; the last line of a cell shows it.

    Attributes:
        svg: the drawing, to be put into a page as it is.
        caption: what the reader is to see in it, one or two sentences.

    Raises:
        ValueError: the caption is empty.
    """

    svg: str
    caption: str

    def __post_init__(self) -> None:
        """Refuse an empty caption."""
        need_words(caption=self.caption)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return with_caption(self.svg, self.caption)


def autoencoder_schematic(*, caption: str) -> Schematic:
    """Draw x → encoder → z → decoder → x̂, and the squared error between the ends."""
    y = 64
    x, z, mean = Box(32, y, "$x$", shade=0.1), Box(190, y, "$z$"), Box(348, y, "$x̂$")
    encoder, decoder = (
        Network(111, y, "encoder", 72, 36, 70),
        Network(269, y, "decoder", 36, 72, 70),
    )
    nodes = (x, encoder, z, decoder, mean)
    pieces: Pieces = (
        *nodes,
        *_chain(*nodes),
        Label(111, y + 50, "$f_φ$"),
        Label(269, y + 50, "$g_θ$"),
        Label(32, 14, "image"),
        Label(190, 14, "code"),
        Label(372, 14, "reconstruction", anchor="end"),
        line((32, y + 20), (32, 144), (130, 144), color=BLUE, dashed=True),
        line((250, 144), (348, 144), (348, y + 20), color=BLUE, dashed=True),
        Label(190, 144, "error $‖x − x̂‖^2$", color=BLUE),
    )
    alt = (
        "From left to right: an image x; a trapezoid that narrows, the encoder f with weights φ; "
        "a code z; a trapezoid that widens, the decoder g with weights θ; the reconstruction x̂. "
        "A dashed line below joins x and x̂: the squared error."
    )
    svg = sheet(380, 162, pieces, title="An autoencoder", alt=alt)
    return Schematic(svg, caption)


def vae_schematic(*, caption: str) -> Schematic:
    """Draw x → q(z|x) → z → p(x|z), with the two terms of the ELBO where they are."""
    y = 156
    x, z = Box(20, y, "$x$", 28, 28, shade=0.1), Circle(208, y, "$z$", 16)
    encoder, decoder = Network(85, y, "encoder", 84, 64, 62), Network(275, y, "decoder", 44, 84, 62)
    mu, sigma = Box(153, y - 20, "$μ$", 28, 28), Box(153, y + 20, "$σ$", 28, 28)
    noise, prior = Circle(208, y + 72, "$ε$", 16), Box(153, 24, "$p(z) = N(0, I)$", 100, 28)
    likelihood = Box(358, y, "$p_θ(x | z)$", 64, 28)
    pieces: Pieces = (
        *(x, encoder, mu, sigma, z, noise, decoder, likelihood, prior),
        arrow(x, encoder),
        *(arrow(_point(116, node.y), node) for node in (mu, sigma)),
        *(arrow(node, z) for node in (mu, sigma, noise)),
        *_chain(z, decoder, likelihood),
        frame(132, y - 42, 174, y + 42, dashed=True),
        Label(153, y - 54, "$q_φ(z | x)$"),
        Label(94, 24, "prior", anchor="end"),
        Label(358, y - 28, "likelihood"),
        Label(182, y + 72, "$z = μ + σ ⊙ ε$", anchor="end"),
        Label(234, y + 72, "$ε ∼ N(0, I)$", anchor="start"),
        line((153, 43), (153, 88), color=ORANGE, dashed=True),
        Label(163, 65, "$D_{KL}(q_φ(z | x) ‖ p(z))$", anchor="start", color=ORANGE),
        line((20, y + 20), (20, 272), (120, 272), color=BLUE, dashed=True),
        line((258, 272), (358, 272), (358, y + 20), color=BLUE, dashed=True),
        Label(189, 272, "$E_q[log p_θ(x | z)]$", color=BLUE),
    )
    alt = (
        "From left to right: an image x; the encoder; its outputs μ and σ, framed as the "
        "distribution q(z|x); the code z, which is μ + σ ⊙ ε with noise ε from N(0, I); the "
        "decoder; the likelihood p(x|z). Above, a dashed line joins q(z|x) and the prior "
        "p(z) = N(0, I): their divergence is one term of the ELBO. Below, a dashed line joins x "
        "and p(x|z): the expected log-likelihood is the other."
    )
    svg = sheet(394, 288, pieces, title="A variational autoencoder", alt=alt)
    return Schematic(svg, caption)


def generation_schematic(*, caption: str) -> Schematic:
    """Draw the graphical model of p(z) p(x|z): z → x on a plate for N images, and θ."""
    pieces: Pieces = (*_generation(), frame(78, 10, 190, 172), Label(178, 160, "$N$"))
    alt = (
        "A circle z above a shaded circle x, with an arrow from z to x, on a plate marked N. "
        "An arrow to x comes from θ, outside the plate. Beside z stands p(z), beside the arrow "
        "p(x|z)."
    )
    svg = sheet(204, 182, pieces, title="A latent variable model", alt=alt)
    return Schematic(svg, caption)


def inference_schematic(*, caption: str) -> Schematic:
    """Draw the graphical model with its inference model: a dashed q(z|x) from x to z, and φ."""
    z, x, weights = Circle(150, 42, "$z$"), Circle(150, 132, "$x$"), Circle(296, 42, "$φ$", 10)
    pieces: Pieces = (
        *_generation(),
        frame(78, 10, 258, 172),
        Label(246, 160, "$N$"),
        Label(weights.x, weights.y, weights.text, color=BLUE),
        arrow(weights, z, color=BLUE, dashed=True),
        arrow(x, z, bend=(206, 87), color=BLUE, dashed=True),
        Label(192, 87, "$q_φ(z | x)$", anchor="start", color=BLUE),
    )
    alt = (
        "A circle z above a shaded circle x, with an arrow from z to x marked p(x|z), on a plate "
        "marked N; an arrow to x comes from θ, outside the plate. Dashed, a curved arrow from x "
        "back to z is marked q(z|x), and a second one to z comes from φ, outside the plate."
    )
    svg = sheet(312, 182, pieces, title="A latent variable model and its inference", alt=alt)
    return Schematic(svg, caption)


def gradient_schematic(*, caption: str) -> Schematic:
    """Draw where the gradient of f(z) passes: not through a draw, but through μ + σ ⊙ ε."""
    draw, formula = Circle(80, 122, "$z$"), Box(272, 122, "$z = μ + σ ⊙ ε$", 140)
    left, right = Box(80, 52, "$f(z)$", 46), Box(272, 52, "$f(z)$", 46)
    mu, sigma = Box(50, 200, "$μ$"), Box(110, 200, "$σ$")
    mean, spread, noise = Box(222, 200, "$μ$"), Box(272, 200, "$σ$"), Circle(322, 200, "$ε$")
    pieces: Pieces = (
        *(draw, formula, left, right, mu, sigma, mean, spread, noise),
        *_there_and_back(draw, left),
        *_there_and_back(formula, right),
        *_blocked(mu, draw),
        *_blocked(sigma, draw),
        *_there_and_back(mean, Box(mean.x, formula.y, "")),
        *_there_and_back(spread, formula),
        arrow(noise, Box(noise.x, formula.y, "")),
        Label(80, 16, "a draw"),
        Label(272, 16, "the same, reparameterized"),
        Label(104, 122, "$∼ N(μ, σ^2)$", anchor="start"),
        arrow(_point(66, 244), _point(96, 244)),
        Label(104, 244, "value", anchor="start"),
        arrow(_point(166, 244), _point(196, 244), color=ORANGE),
        Label(204, 244, "gradient", anchor="start"),
        cross(286, 244, ORANGE),
        Label(298, 244, "blocked", anchor="start"),
    )
    alt = (
        "Two graphs of a computation. Left: μ and σ lead to a circle z, drawn from N(μ, σ²), and z "
        "leads to f(z). The gradient comes back from f(z) to z; from there to μ and to σ it is "
        "crossed out. Right: μ, σ and a circle ε lead to a box z = μ + σ ⊙ ε, and z leads to f(z). "
        "The gradient comes back to z, and on to μ and to σ."
    )
    svg = sheet(384, 258, pieces, title="Where gradients pass", alt=alt)
    return Schematic(svg, caption)


def quantization_schematic(*, caption: str) -> Schematic:
    """Draw the step of VQ: the nearest code, the straight-through gradient, the two losses."""
    y, row = 76, 162
    x, mean = Box(20, y, "$x$", 28, 28, shade=0.1), Box(376, y, "$x̂$", 28, 28)
    encoder, decoder = Network(85, y, "encoder", 70, 40, 62), Network(311, y, "decoder", 40, 70, 62)
    found, entry = Box(153, y, "$z_e$", 30, 30), Box(243, y, "$z_q$", 30, 30)
    codes: list[Node] = [Box(118 + 40 * i, row, text, 30, 30) for i, text in enumerate(_CODES)]
    nearest = Box(198, row, "$e_k$", 30, 30, shade=0.1)
    left, right = Box(20, 246, "$z_e$", 30, 30), Box(376, 246, "$e_k$", 30, 30)
    pieces: Pieces = (
        *(x, encoder, found, entry, decoder, mean, *codes, nearest, left, right),
        arrow(x, encoder),
        arrow(found, nearest),
        arrow(nearest, entry),
        *_there_and_back(encoder, found),
        *_there_and_back(entry, decoder),
        *_there_and_back(decoder, mean),
        arrow(entry, found, bend=(198, 20), color=ORANGE),
        Label(198, 16, "gradient: straight through", color=ORANGE),
        Label(164, 122, "nearest", anchor="end"),
        Label(234, 122, "its copy", anchor="start"),
        frame(97, row - 22, 299, row + 22, dashed=True),
        Label(88, row, "codebook", anchor="end"),
        arrow(right, left, aside=6, color=BLUE),
        arrow(left, right, aside=6, color=GREEN),
        Label(198, 224, "codebook loss $‖sg[z_e] − e_k‖^2$ moves $e_k$", color=BLUE),
        Label(198, 268, "commitment $β‖z_e − sg[e_k]‖^2$ moves $z_e$", color=GREEN),
    )
    alt = (
        "An image x goes through the encoder to z_e; an arrow leads down to the nearest entry e_k "
        "of a codebook e_1 to e_K, and from there up to its copy z_q, which goes through the "
        "decoder to x̂. The gradient comes back from x̂ to z_q, jumps over the codebook to z_e, "
        "and goes on into the encoder. Below, two arrows between z_e and e_k: the codebook loss "
        "moves e_k to z_e, the commitment loss, weighted by β, moves z_e to e_k."
    )
    svg = sheet(396, 286, pieces, title="The step of vector quantization", alt=alt)
    return Schematic(svg, caption)


def ladder_schematic(*, caption: str) -> Schematic:
    """Draw two codes inferred from the bottom up, and by the ladder, from the top down."""
    upper, lower, image = Circle(96, 62, "$z_2$"), Circle(96, 146, "$z_1$"), _image(96)
    top, middle, bottom = Circle(304, 62, "$z_2$"), Circle(304, 146, "$z_1$"), _image(304)
    first, second = Box(224, 146, "features", 62), Box(224, 62, "features", 62)
    corner = _point(224, 232)
    pieces: Pieces = (
        *(upper, lower, image, top, middle, bottom, first, second),
        Label(96, 16, "bottom-up"),
        Label(264, 16, "top-down: the ladder"),
        *(arrow(a, b, aside=5) for a, b in ((upper, lower), (lower, image), (top, middle))),
        *(_infer(a, b, 5) for a, b in ((image, lower), (lower, upper))),
        arrow(middle, bottom),
        line((287, 232), (224, 232), color=BLUE, dashed=True),
        *(
            _infer(a, b)
            for a, b in ((corner, first), (first, second), (first, middle), (second, top))
        ),
        _infer(top, middle, -5),
        Label(84, 104, "$p_θ(z_1 | z_2)$", anchor="end"),
        Label(84, 190, "$p_θ(x | z_1)$", anchor="end"),
        Label(108, 104, "$q_φ(z_2 | z_1)$", anchor="start", color=BLUE),
        Label(108, 190, "$q_φ(z_1 | x)$", anchor="start", color=BLUE),
        Label(328, 62, "$q_φ(z_2 | x)$", anchor="start", color=BLUE),
        Label(316, 104, "$p_θ(z_1 | z_2)$", anchor="start"),
        Label(328, 146, "$q_φ(z_1 | z_2, x)$", anchor="start", color=BLUE),
        Label(316, 190, "$p_θ(x | z_1)$", anchor="start"),
    )
    alt = (
        "Two stacks of circles: z_2 above z_1 above a shaded x. In both, solid arrows of the model "
        "lead down: p(z_1|z_2) and p(x|z_1). Left, dashed arrows of the inference lead up: "
        "q(z_1|x), then q(z_2|z_1). Right, dashed arrows climb from x through two boxes, features "
        "without chance. The upper one leads to z_2, by q(z_2|x); the lower one and, beside the "
        "model's own arrow, z_2 lead to z_1, by q(z_1|z_2, x)."
    )
    svg = sheet(410, 262, pieces, title="Two ways to infer a stack of codes", alt=alt)
    return Schematic(svg, caption)


_CODES = ("$e_1$", "$e_2$", "", "…", "$e_K$")


def _image(x: float) -> Circle:
    return Circle(x, 232, "$x$", shade=0.1)


def _point(x: float, y: float) -> Circle:
    return Circle(x, y, "", 0)


def _chain(*nodes: Node) -> Pieces:
    return tuple(arrow(a, b) for a, b in pairwise(nodes))


def _generation() -> Pieces:
    z, x, weights = (
        Circle(150, 42, "$z$"),
        Circle(150, 132, "$x$", shade=0.1),
        Circle(26, 132, "", 12),
    )
    return (
        *(z, x, arrow(z, x), arrow(weights, x)),
        Label(26, 132, "$θ$"),
        Label(126, 42, "$p(z)$", anchor="end"),
        Label(140, 87, "$p_θ(x | z)$", anchor="end"),
    )


def _there_and_back(start: Node, end: Node) -> Pieces:
    """A value that goes on, and a gradient that comes back beside it."""
    return (arrow(start, end, aside=5), arrow(end, start, aside=5, color=ORANGE))


def _blocked(start: Node, end: Node) -> Pieces:
    """A value that goes on, and beside it a gradient that is crossed out."""
    dx, dy = start.x - end.x, start.y - end.y
    aside = 5 / hypot(dx, dy)
    middle = (end.x + dx / 2 - aside * dy, end.y + dy / 2 + aside * dx)
    back = arrow(end, start, aside=5, color=ORANGE, dashed=True)
    return (arrow(start, end, aside=5), back, cross(*middle, ORANGE))


def _infer(start: Node, end: Node, aside: float = 0) -> str:
    return arrow(start, end, aside=aside, color=BLUE, dashed=True)
