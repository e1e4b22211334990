"""The finder of a Chromium, on machines that are not this one."""

from pathlib import Path

import chromium
import pytest


def program(path: Path, *, status: int) -> Path:
    """Write a program that says something and exits."""
    path.write_text(f"#!/bin/sh\necho said by {path.name}\nexit {status}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with an empty PATH, no browser of Playwright's, and a user who is not root."""
    own = tmp_path / "playwright-own"
    monkeypatch.setattr(chromium, "MAC", tmp_path / "nowhere")
    monkeypatch.setattr(chromium, "_playwrights_own", lambda: own)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr("sys.executable", str(program(tmp_path / "python", status=1)))
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_an_installed_browser_is_used(bare: Path) -> None:
    browser = program(bare / "google-chrome", status=0)
    assert chromium.ensure() == browser


def test_a_leftover_that_does_not_start_is_passed_over(bare: Path) -> None:
    program(bare / "chromium", status=1)
    browser = program(bare / "chromium-browser", status=0)
    assert chromium.ensure() == browser


def test_what_playwright_downloads_is_used(bare: Path) -> None:
    download = f"cp {bare / 'fake'} {bare / 'playwright-own'}"
    program(bare / "fake", status=0)
    (bare / "python").write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{download}\n", encoding="utf-8")
    assert chromium.ensure() == bare / "playwright-own"


def test_apt_is_asked_when_it_may_install(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    program(bare / "apt-get", status=0)
    install = f'[ "$1" = update ] || cp {bare / "fake"} {bare / "chromium"}'
    program(bare / "fake", status=0)
    (bare / "apt-get").write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{install}\n", encoding="utf-8")
    assert chromium.ensure() == bare / "chromium"


def test_no_browser_is_told_in_one_line(bare: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program(bare / "apt-get", status=0)
    assert chromium.main() == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "none of chromium, chromium-browser, google-chrome is installed" in lines[0]
    assert "apt-get needs root" in lines[0]
    assert "playwright could not install its own (said by python)" in lines[0]
