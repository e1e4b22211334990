"""Every page of the rendered book, as a reader sees it: wide and narrow, light and dark."""

from pathlib import Path
from typing import get_args

import pytest
import yaml
from playwright.sync_api import Browser, expect
from reader import DESKTOP, PHONE, Reader, Theme, new_reader

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.browser


def toc() -> list[str]:
    """List the pages of the book in reading order."""
    contents = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    entries = [entry for part in contents["parts"] for entry in part["chapters"]]
    pages = [page for entry in entries for page in (entry, *entry.get("sections", []))]
    return [contents["root"], *(page["file"] for page in pages)]


PAGES = [f"{name}.html" for name in toc()]
OPEN_DISCLOSURES = "document.querySelectorAll('details').forEach((one) => (one.open = true))"
CHAPTERS = [name for name in toc() if (ROOT / f"{name}.ipynb").is_file()]


def test_every_page_of_the_site_is_looked_at(site: Path) -> None:
    found = {path.relative_to(site).as_posix() for path in site.rglob("*.html")}
    pages = {name for name in found if not name.startswith("_static/")}
    assert pages == {*PAGES, "index.html", "search.html"}


@pytest.mark.parametrize("name", [*PAGES, "search.html"])
def test_page_is_whole_and_asks_nobody_else(browser: Browser, origin: str, name: str) -> None:
    with new_reader(browser, origin) as reader:
        reader.open(name)
        assert reader.check("math", "directives", "images", "captions", "headings") == []
        assert reader.network + reader.scripts == []


@pytest.mark.parametrize("name", PAGES)
def test_page_is_readable_wide_and_narrow_light_and_dark(
    browser: Browser, origin: str, name: str
) -> None:
    with new_reader(browser, origin) as reader:
        reader.open(name)
        reader.page.evaluate(OPEN_DISCLOSURES)
        found = {}
        for window, viewport in {"wide": DESKTOP, "narrow": PHONE}.items():
            for theme in get_args(Theme):
                reader.look(viewport=viewport, theme=theme)
                found[window, theme] = reader.check("width", "equations", "contrast")
        found["figures", "dark"] = reader.check("darkFigures")
        assert {look: troubles for look, troubles in found.items() if troubles} == {}


@pytest.mark.parametrize("name", PAGES)
def test_page_opens_from_a_folder_without_a_server(browser: Browser, site: Path, name: str) -> None:
    with new_reader(browser, site.as_uri()) as reader:
        reader.open(name)
        assert reader.check("math", "images") == []
        assert reader.network + reader.scripts == []


def test_next_leads_through_the_book_and_previous_back(browser: Browser, origin: str) -> None:
    with new_reader(browser, origin) as reader:
        reader.peek("index.html")
        reader.page.wait_for_url(f"{origin}/{PAGES[0]}")
        for link, pages in (("a.right-next", PAGES[1:]), ("a.left-prev", PAGES[-2::-1])):
            for page in pages:
                reader.page.locator(link).click()
                reader.page.wait_for_url(f"{origin}/{page}", wait_until="domcontentloaded")


def test_the_sidebar_lists_every_page(browser: Browser, origin: str) -> None:
    with new_reader(browser, origin) as reader:
        reader.peek(PAGES[0])
        links = reader.page.locator("nav.bd-links a.reference.internal")
        targets = {link.evaluate("(one) => one.href.split('#')[0]") for link in links.all()}
        assert targets == {f"{origin}/{name}" for name in PAGES}


def test_search_finds_a_word_and_opens_its_page(browser: Browser, origin: str) -> None:
    with new_reader(browser, origin) as reader:
        reader.open(PAGES[0])
        reader.page.keyboard.press("Control+k")
        reader.page.locator("dialog input[type=search], .search-button__wrapper input").first.fill(
            "autoencoder"
        )
        reader.page.keyboard.press("Enter")
        result = reader.page.locator("#search-results li a").first
        expect(result).to_be_visible()
        # Each result fetches its page for a summary: leaving earlier would call these off.
        reader.page.wait_for_load_state("networkidle")
        result.click()
        reader.page.wait_for_url(lambda url: "/book/" in url)
        assert "autoencoder" in reader.page.locator("article").inner_text().lower()
        assert reader.network + reader.scripts == []


def test_search_works_from_a_folder_too(browser: Browser, site: Path) -> None:
    with new_reader(browser, site.as_uri()) as reader:
        reader.open("search.html?q=autoencoder")
        expect(reader.page.locator("#search-results li a").first).to_be_visible()
        expect(reader.page.locator(".search-summary")).to_contain_text("found")
        assert reader.network + reader.scripts == []


def test_search_says_so_when_it_finds_nothing(browser: Browser, origin: str) -> None:
    with new_reader(browser, origin) as reader:
        reader.open("search.html?q=xyzzyplugh")
        expect(reader.page.locator("#search-results")).to_contain_text("did not match")


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_buttons_lead_to_the_notebook_and_its_repository(
    browser: Browser, origin: str, repository: str, chapter: str
) -> None:
    with new_reader(browser, origin) as reader:
        reader.peek(f"{chapter}.html")
        links = hrefs(reader)
        colab = f"https://colab.research.google.com/github/{repository}/blob/main/{chapter}.ipynb"
        assert colab in links
        assert f"https://github.com/{repository}" in links
        assert any(f"github.com/{repository}/issues/new" in link for link in links)


def test_the_front_page_offers_every_chapter_in_colab(
    browser: Browser, origin: str, repository: str
) -> None:
    with new_reader(browser, origin) as reader:
        reader.peek(PAGES[0])
        colab = f"https://colab.research.google.com/github/{repository}/blob/main"
        assert {f"{colab}/{name}.ipynb" for name in CHAPTERS} <= set(hrefs(reader))


def test_a_chapter_says_how_long_it_takes(browser: Browser, origin: str) -> None:
    with new_reader(browser, origin) as reader:
        for chapter in CHAPTERS:
            reader.peek(f"{chapter}.html")
            note = reader.page.locator("p.chapter-run").inner_text()
            assert "Measured run time: " in note
            assert "Outputs of this page: profile " in note


def hrefs(reader: Reader) -> list[str]:
    """List where the links of the page lead."""
    script = "(all) => all.map((one) => one.href)"
    return [str(link) for link in reader.page.eval_on_selector_all("a[href]", script)]
