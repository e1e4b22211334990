"""Files are written whole: links are not followed, leftovers of the dead go, the living stay."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from vae_course.files import _host, remove, write_whole


def leftover(path: Path, pid: int) -> Path:
    return path.with_name(f".{path.name}.{_host()}-{pid}.0badcafe.tmp")


def dead_process() -> int:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


def test_text_and_bytes_are_written_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    write_whole(path, "σ")
    assert path.read_bytes() == "σ".encode()
    write_whole(path, b"\x00")
    assert path.read_bytes() == b"\x00"
    assert list(path.parent.iterdir()) == [path]


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    victim, path = tmp_path / "victim", tmp_path / "file"
    victim.write_text("mine")
    path.symlink_to(victim)
    write_whole(path, "new")
    assert victim.read_text() == "mine"
    assert not path.is_symlink()
    assert path.read_text() == "new"


def test_only_what_the_dead_left_is_swept(tmp_path: Path) -> None:
    path = tmp_path / "file"
    dead, living = leftover(path, dead_process()), leftover(path, os.getpid())
    other = leftover(tmp_path / "other", dead_process())
    for left in (dead, living, other):
        left.write_text("half")
    write_whole(path, "new")
    assert set(tmp_path.iterdir()) == {path, living, other}


def test_a_write_that_fails_names_the_file_and_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as failed:
        write_whole(path, "new")
    assert failed.value.filename == str(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_removing_a_link_leaves_what_it_names(tmp_path: Path) -> None:
    folder, link = tmp_path / "folder", tmp_path / "link"
    folder.mkdir()
    (folder / "file").write_text("mine")
    link.symlink_to(folder)
    remove(link)
    assert (folder / "file").read_text() == "mine"
    assert not link.is_symlink()
    remove(folder)
    remove(folder)
    assert not folder.exists()
