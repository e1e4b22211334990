"""The version is written once, in `vae_course/__init__.py`; the rest follows."""

import re
from datetime import date

import yaml
from project import PYPROJECT, ROOT

import vae_course

CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
RELEASE = re.compile(r"^## \[(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d)$", re.MULTILINE)
KINDS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_project_reads_the_version_from_the_package() -> None:
    assert PYPROJECT["project"]["dynamic"] == ["version"]
    assert "version" not in PYPROJECT["project"]
    assert PYPROJECT["tool"]["hatch"]["version"] == {"path": "vae_course/__init__.py"}


def test_the_changelogs_newest_release_is_this_version() -> None:
    version, day = RELEASE.findall(CHANGELOG)[0]
    assert version == vae_course.__version__
    assert day == CITATION["date-released"]


def test_the_citation_is_of_this_version() -> None:
    assert CITATION["version"] == vae_course.__version__
    assert CITATION["repository-code"] == PYPROJECT["project"]["urls"]["Repository"]
    assert CITATION["license"] in PYPROJECT["project"]["license"].split(" AND ")


def test_the_citation_has_what_its_format_asks_for() -> None:
    assert {"cff-version", "message", "title", "authors"} <= set(CITATION)
    assert CITATION["cff-version"] == "1.2.0"
    assert CITATION["type"] == "software"
    assert date.fromisoformat(CITATION["date-released"])
    assert all(author["name"] for author in CITATION["authors"])


def test_the_changelog_keeps_its_form() -> None:
    headings = re.findall(r"^## (.*)$", CHANGELOG, flags=re.MULTILINE)
    assert headings[0] == "[Unreleased]"
    assert all(RELEASE.fullmatch(f"## {heading}") for heading in headings[1:])
    days = [day for _, day in RELEASE.findall(CHANGELOG)]
    assert days == sorted(days, reverse=True)
    assert set(re.findall(r"^### (.*)$", CHANGELOG, flags=re.MULTILINE)) <= KINDS
    for heading in headings:
        name = re.escape(heading.partition("]")[0] + "]")
        assert re.search(rf"^{name}: https://\S+$", CHANGELOG, flags=re.MULTILINE)
