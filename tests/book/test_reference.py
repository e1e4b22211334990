"""The reference pages: every room, every public name once, each formula's function a link away."""

import importlib
import importlib.util
import pkgutil
import re
import shutil
from collections import Counter
from html import unescape
from pathlib import Path
from typing import Any

import pytest
import yaml
from places import NOTEBOOKS, ROOT
from test_book_formulas import table

import vae_course
from vae_course.chapters.render import render_book

ENTRY = re.compile(r'id="(vae_course\.\w+\.[\w.]+)"')
ALL_ROOMS = {one.name for one in pkgutil.iter_modules(vae_course.__path__)}
ROOMS = sorted(ALL_ROOMS - {"chapters", "cli"})
PARAMETER = re.compile(r'class="sig-param"><span class="n"><span class="pre">(\w+)')
PAGES = ROOT / "book" / "reference"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Render the whole book, its chapters without outputs; a warning is an error."""
    root = tmp_path_factory.mktemp("book")
    for name in ("_config.yml", "_toc.yml"):
        shutil.copy(ROOT / name, root)
    for name in ("book", "results"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    executed = root / "_build" / "executed" / "smoke"
    executed.mkdir(parents=True)
    for chapter in NOTEBOOKS:
        shutil.copy(chapter, executed)
    return render_book("smoke", root).parent / "book"


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[str, str]:
    return {room: (site / "reference" / f"{room}.html").read_text("utf-8") for room in ROOMS}


@pytest.fixture(scope="module")
def extension() -> Any:
    spec = importlib.util.spec_from_file_location(
        "course_reference", ROOT / "book" / "_ext" / "course_reference.py"
    )
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def entry(page: str, name: str) -> str:
    """Return the HTML of an entry, up to the next one of the same depth."""
    html = page.split(f'id="{name}"')[1]
    return re.split(rf'id="{re.escape(name.rpartition(".")[0])}\.\w+"', html)[0]


def words(html: str) -> str:
    return " ".join(unescape(re.sub("<[^>]*>", "", html)).split())


def public_names(room: str) -> list[str]:
    module = importlib.import_module(f"vae_course.{room}")
    return getattr(module, "__all__", None) or [
        name
        for name, thing in vars(module).items()
        if getattr(thing, "__module__", "") == module.__name__ and not name.startswith("_")
    ]


def test_every_room_has_a_page_and_its_line_in_the_contents() -> None:
    assert sorted(path.stem for path in PAGES.glob("*.md")) == sorted([*ROOMS, "index"])
    contents = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    entries = [entry for part in contents["parts"] for entry in part["chapters"]]
    (package,) = [entry for entry in entries if entry["file"] == "book/reference/index"]
    listed = [page["file"] for page in package["sections"]]
    assert sorted(listed) == [f"book/reference/{room}" for room in ROOMS]


@pytest.mark.parametrize("room", ROOMS)
def test_a_page_is_a_title_and_the_room(room: str) -> None:
    text = (PAGES / f"{room}.md").read_text(encoding="utf-8")
    assert text == f"# {room}\n\n```{{room}} {room}\n```\n"


@pytest.mark.parametrize("room", ROOMS)
def test_every_public_name_has_an_entry(pages: dict[str, str], room: str) -> None:
    wanted = {f"vae_course.{room}.{name}" for name in public_names(room)}
    assert wanted
    assert wanted <= set(ENTRY.findall(pages[room]))


def test_no_entry_is_there_twice(pages: dict[str, str]) -> None:
    counted = Counter(name for page in pages.values() for name in ENTRY.findall(page))
    assert [name for name, count in counted.items() if count > 1] == []
    for room, page in pages.items():
        assert {name.split(".")[1] for name in ENTRY.findall(page)} == {room}


def test_every_function_of_the_notation_page_leads_to_its_entry(
    site: Path, pages: dict[str, str]
) -> None:
    notation = (site / "notation.html").read_text(encoding="utf-8")
    for formula, _places, functions in table():
        for name in functions:
            room, anchor = name.split(".")[0], f"vae_course.{name}"
            assert f'href="reference/{room}.html#{anchor}"' in notation, f"{formula}: {name}"
            assert f'id="{anchor}"' in pages[room], f"{formula}: no entry {name}"


def test_every_formula_of_the_notation_page_is_typeset_under_its_function(
    pages: dict[str, str],
) -> None:
    for formula, places, functions in table():
        parts = re.findall(r"\$([^$]+)\$", formula)
        assert parts, formula
        for name in functions:
            html = entry(pages[name.split(".")[0]], f"vae_course.{name}")
            found = re.findall(r'<div class="typeset[^>]*>(.*?)</div>', html, re.S)
            shown = [unescape(one) for one in found]
            mine = [one for one in shown if all(part in one for part in parts)]
            assert mine, f"{formula}: not under {name}"
            for number, _file in places:
                assert any(f"({number})" in one for one in mine), f"{number}: not under {name}"


def test_the_first_page_says_what_each_room_is(site: Path) -> None:
    page = (site / "reference" / "index.html").read_text(encoding="utf-8")
    for room in ROOMS:
        row = page.split(f'href="{room}.html">')[-1].split("</tr>")[0]
        said = str(importlib.import_module(f"vae_course.{room}").__doc__).split("\n\n")[0]
        assert re.sub("[`'’]", "", words(said)) in re.sub("[`'’]", "", words(row)), room


def test_an_entry_has_formula_shapes_source_and_code(pages: dict[str, str]) -> None:
    html = entry(pages["objectives"], "vae_course.objectives.elbo")
    formula = html.split('<p class="formula">')[1].split("</p>")[0]
    assert words(formula) == "ELBO = log p(x|z) − β KL(q(z|x) ‖ p(z))."
    assert '<code class="docutils literal notranslate"><span class="pre">(batch,)</span>' in html
    assert "Kingma &amp; Welling (2014), equation 3" in html.split('"reference-source">')[1]
    code = html.split('<details class="reference-code">')[1].split("</details>")[0]
    assert "def elbo(log_px: Tensor" in words(code)
    assert "return log_px - beta * kl" in words(code)
    assert "Args:" not in code
    assert re.search(r'/blob/main/vae_course/objectives/bound\.py#L\d+-L\d+"', code)


def test_a_sentence_without_a_formula_is_no_formula(pages: dict[str, str]) -> None:
    assert '"formula"' not in entry(pages["models"], "vae_course.models.save_model")


def test_signs_of_a_formula_stay_as_they_are(pages: dict[str, str]) -> None:
    twist = entry(pages["families"], "vae_course.families.twist")
    assert "by the angle rate · |x|." in words(twist)
    assert "σ*² = mean of" in words(entry(pages["scale"], "vae_course.scale.optimal_variance"))


def test_functions_lead_to_each_other_and_from_the_chapters(
    site: Path, pages: dict[str, str]
) -> None:
    chapter = (site / "05_elbo.html").read_text(encoding="utf-8")
    assert 'href="reference/objectives.html#vae_course.objectives.iwae_bound"' in chapter
    html = entry(pages["objectives"], "vae_course.objectives.log_weights")
    assert 'href="#vae_course.objectives.iwae_bound"' in html  # in the text
    html = entry(pages["scale"], "vae_course.scale.sampled_kl")
    assert 'href="distributions.html#vae_course.distributions.DiagonalGaussian"' in html  # a type


def test_a_parameter_is_not_taken_for_a_function(pages: dict[str, str]) -> None:
    for room, page in pages.items():
        for name in public_names(room):
            html = entry(page, f"vae_course.{room}.{name}")
            text = html.partition("</dt>")[2].partition("<dt")[0]
            for parameter in PARAMETER.findall(html):
                assert not re.search(rf'href="[^"]*\.{parameter}"[^>]*><code', text), (
                    f"{room}.{name}: {parameter}"
                )


def test_chapters_come_first_in_a_search(site: Path) -> None:
    scripts = site.parent / "_static"
    assert "book/reference/" in (scripts / "language_data.js").read_text(encoding="utf-8") + (
        scripts / "searchtools.js"
    ).read_text(encoding="utf-8")


def test_code_and_examples_of_a_docstring_are_left_alone(extension: Any) -> None:
    lines = ["|x| and a*b, w_, `|y| * w_`:", "", ">>> a | b * c_", "1", "", "|z|"]
    extension.as_plain_text(None, "function", "f", None, None, lines)
    assert lines == [r"\|x\| and a\*b, w\_, `|y| * w_`:", "", ">>> a | b * c_", "1", "", r"\|z\|"]


def test_a_room_that_is_not_there_is_named(extension: Any) -> None:
    with pytest.raises(Exception, match=r"no room 'kitchen'; there are: claims, conditional"):
        list(extension.room_page("kitchen"))


def test_what_is_returned_is_a_sentence(pages: dict[str, str]) -> None:
    html = entry(pages["objectives"], "vae_course.objectives.free_bits")
    returned = html.split("Returns<")[1].split("</dd>")[0]
    assert "A scalar, in nats per image: a property of the batch and not of one image." in words(
        returned
    )
    assert "<em>" not in returned
