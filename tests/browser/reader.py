"""A reader with a browser: opens a page, waits until it is whole, lists what is wrong with it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Page,
    Request,
    Response,
    ViewportSize,
    expect,
)

INSPECT = Path(__file__).with_name("inspect.js").read_text(encoding="utf-8")
DESKTOP: ViewportSize = {"width": 1280, "height": 900}
PHONE: ViewportSize = {"width": 360, "height": 740}
Theme = Literal["light", "dark"]
LOCAL_SCHEMES = {"data", "blob", "about"}

# Resolves when MathJax has typeset the page, or at once where there is no mathematics.
TYPESET = "async () => { await window.MathJax?.startup?.promise; await document.fonts.ready; }"
LOAD_IMAGES = "() => Promise.all([...document.images].map((one) => one.decode().catch(() => 0)))"


@dataclass
class Reader:
    """One browser page, with everything that went wrong on the network and in scripts."""

    page: Page
    origin: str
    network: list[str] = field(default_factory=list)
    scripts: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Listen before the first page is opened."""
        self.page.on("request", self._on_request)
        self.page.on("requestfailed", self._on_failure)
        self.page.on("response", self._on_response)
        self.page.on("pageerror", lambda error: self.scripts.append(f"page error: {error}"))
        self.page.on("console", self._on_console)

    def open(self, name: str) -> None:
        """Open a page of the site and wait for its scripts, equations and pictures."""
        self.page.goto(f"{self.origin}/{name}", wait_until="load")
        self.settle()

    def peek(self, name: str) -> None:
        """Open a page of the site for its text and links only."""
        self.page.goto(f"{self.origin}/{name}", wait_until="domcontentloaded")

    def settle(self) -> None:
        """Wait until the page at hand is whole."""
        self.page.evaluate(TYPESET)
        self.page.evaluate(LOAD_IMAGES)
        self.page.evaluate(INSPECT)

    def look(self, *, viewport: ViewportSize, theme: Theme) -> None:
        """Look at the page at hand in another window size and theme."""
        self.page.set_viewport_size(viewport)
        self.page.emulate_media(color_scheme=theme)
        expect(self.page.locator("html")).to_have_attribute("data-theme", theme)

    def check(self, *names: str) -> list[str]:
        """Run checks of inspect.js by name and join their findings."""
        findings: list[str] = []
        for name in names:
            findings += self.page.evaluate("(name) => window.inspectPage[name]()", name)
        return findings

    def _on_request(self, request: Request) -> None:
        url = urlsplit(request.url)
        if url.scheme not in LOCAL_SCHEMES and not request.url.startswith(self.origin):
            self.network.append(f"request to another place: {request.url}")

    def _on_failure(self, request: Request) -> None:
        self.network.append(f"request failed: {request.url} ({request.failure})")

    def _on_response(self, response: Response) -> None:
        if response.status >= 400:
            self.network.append(f"status {response.status}: {response.url}")

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.scripts.append(f"console error: {message.text}")


@contextmanager
def new_reader(browser: Browser, origin: str) -> Iterator[Reader]:
    """Give a reader with a fresh profile, so that no page inherits another's theme or cache."""
    context = browser.new_context(viewport=DESKTOP, color_scheme="light")
    context.set_default_timeout(20_000)
    try:
        yield Reader(page=context.new_page(), origin=origin)
    finally:
        context.close()
