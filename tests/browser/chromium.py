"""Find a Chromium, or install one: an installed browser, then apt, then Playwright's own.

Run it to do so now: ``python tests/browser/chromium.py`` prints the browser's path, or says in one
line what could not be had and exits with status 1.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MAC = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
# A session of tests needs no sandbox, no GPU and no talk with the maker of the browser.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class ChromiumError(RuntimeError):
    """No Chromium could be found or installed."""


def installed() -> Path | None:
    """Return an installed browser that starts, or None."""
    return next((path for path in _candidates() if _starts(path)), None)


def ensure() -> Path:
    """Return an installed browser, after installing one if there is none.

    Raises:
        ChromiumError: none is installed and neither apt nor Playwright could install one.
    """
    if found := installed():
        return found
    reasons = []
    for install in (_install_with_apt, _install_with_playwright):
        reasons.append(install())
        if found := installed():
            return found
    names = ", ".join(NAMES[:3])
    raise ChromiumError(
        f"no Chromium: none of {names} is installed; {'; '.join(reasons)}; install one of them"
    )


def _candidates() -> Iterator[Path]:
    for name in NAMES:
        if found := shutil.which(name):
            yield Path(found)
    yield MAC
    yield _playwrights_own()


def _playwrights_own() -> Path:
    """Where Playwright keeps the browser that it downloads."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        return Path(playwright.chromium.executable_path)


def _starts(path: Path) -> bool:
    """Tell a browser from a leftover: some systems ship a script that only advises a download."""
    return path.is_file() and _run([str(path), "--version"], seconds=60) is None


def _install_with_apt() -> str:
    """Install Debian's package and a font, as root; return why it is not there yet."""
    if not shutil.which("apt-get"):
        return "apt-get is not on this system"
    if os.geteuid() != 0:
        return "apt-get needs root"
    environment = {"DEBIAN_FRONTEND": "noninteractive"}
    update = _run(["apt-get", "update", "-q"], seconds=300, environment=environment)
    packages = ["--no-install-recommends", "chromium", "fonts-liberation"]
    command = ["apt-get", "install", "-y", "-q", *packages]
    failure = _run(command, seconds=600, environment=environment) or update
    return f"apt-get could not install it ({failure or 'what it installed does not start'})"


def _install_with_playwright() -> str:
    """Download Playwright's own build; return why it is not there yet."""
    command = [sys.executable, "-m", "playwright", "install", "chromium"]
    failure = _run(command, seconds=300)
    reason = failure or "what it installed does not start, a system library may be missing"
    return f"playwright could not install its own ({reason})"


def _run(
    command: list[str], *, seconds: int, environment: dict[str, str] | None = None
) -> str | None:
    """Run a command; return None if it worked, else the last line of what it said."""
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
            env=os.environ | (environment or {}),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    lines = (done.stderr or done.stdout).strip().splitlines()
    return None if done.returncode == 0 else (lines or [f"exit status {done.returncode}"])[-1]


def main() -> int:
    """Print the browser's path, or the one line that says why there is none."""
    try:
        print(ensure())
    except ChromiumError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
