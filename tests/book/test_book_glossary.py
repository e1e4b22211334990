"""The glossary: in order, each term once, each with a way into the book."""

import re

from places import ROOT

ENTRY = re.compile(r"^(?P<term>\S.*)\n(?P<text>(?: {4}.*\n)+)", re.MULTILINE)


def entries() -> list[tuple[str, str]]:
    page = (ROOT / "book/glossary.md").read_text(encoding="utf-8")
    body = page.split("```{glossary}\n")[1].split("```")[0]
    return [(found["term"], found["text"]) for found in ENTRY.finditer(body)]


def test_terms_are_in_order_and_once() -> None:
    terms = [term.casefold() for term, _ in entries()]
    assert terms == sorted(set(terms))


def test_every_term_leads_to_a_page() -> None:
    for term, definition in entries():
        targets = re.findall(r"\]\(([\w.]+)\)", definition)
        assert targets, f"{term}: no link"
        for target in targets:
            assert (ROOT / "book" / target).exists(), f"{term}: there is no {target}"
