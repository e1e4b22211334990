"""One browser and one server for all browser tests; SITE names another book than the smoke one."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from chromium import FLAGS, ensure
from playwright.sync_api import Browser, expect, sync_playwright
from server import serve

ROOT = Path(__file__).parents[2]

expect.set_options(timeout=20_000)  # as for actions: a busy machine is slow, not wrong


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what opens pages where no book was ever built, as in a fresh checkout."""
    if "SITE" in os.environ or (ROOT / "_build" / "site" / "smoke").is_dir():
        return
    reason = "no book is rendered yet: `make site` builds the one that these tests open"
    for item in items:
        if item.get_closest_marker("browser"):
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Start the Chromium that is there, or install one."""
    program = ensure()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def site() -> Path:
    """Give the folder of the rendered book: SITE, or the one that `make site` builds."""
    folder = Path(os.environ.get("SITE", ROOT / "_build" / "site" / "smoke")).resolve()
    if not (folder / "index.html").is_file():
        pytest.fail(f"there is no rendered book in {folder}: run `make site` first", pytrace=False)
    return folder


@pytest.fixture(scope="session")
def origin(site: Path) -> Iterator[str]:
    """Serve the rendered book."""
    with serve(site) as address:
        yield address


@pytest.fixture(scope="session")
def repository() -> str:
    """Give the owner/name that the book's links lead to: the fork's, or the one of _config.yml."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    own = config["repository"]["url"].removeprefix("https://github.com/")
    return os.environ.get("GITHUB_REPOSITORY") or own
