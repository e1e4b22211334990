"""What is built: a wheel that type checkers can read, an sdist that can test itself."""

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from project import CORE, EXTRAS, PYPROJECT, ROOT

import vae_course

ROOMS = ("vae_course", "book", "benchmarks", "scripts", "tests", "results", ".github", ".ci")
NOT_IN_GIT = ("__pycache__", ".ipynb_checkpoints")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build wheel and sdist with the installed hatchling: no network."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> zipfile.ZipFile:
    (path,) = built.glob("*.whl")
    return zipfile.ZipFile(path)


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> Message:
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return message_from_bytes(wheel.read(name))


def files(room: str) -> set[str]:
    """List the files of a room as git would."""
    return {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / room).rglob("*")
        if path.is_file() and not set(path.parts) & set(NOT_IN_GIT)
    }


def test_the_wheel_holds_the_package_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    contents = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert contents == files("vae_course")
    assert "vae_course/py.typed" in contents


def test_the_wheel_says_what_the_project_says(metadata: Message) -> None:
    assert metadata["Version"] == vae_course.__version__
    assert metadata["License-Expression"] == PYPROJECT["project"]["license"]
    assert set(metadata.get_all("License-File", [])) == {"LICENSE", "LICENSE-TEXT"}
    required = [Requirement(line) for line in metadata.get_all("Requires-Dist", [])]
    assert {one.name for one in required if not one.marker} == {Requirement(x).name for x in CORE}
    assert set(metadata.get_all("Provides-Extra", [])) == set(EXTRAS)


def test_the_sdist_holds_what_its_tests_read(built: Path) -> None:
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        contents = {name.partition("/")[2] for name in archive.getnames()}
    top = {name for name in contents if "/" not in name}
    assert {"Makefile", "_toc.yml", "_config.yml", "requirements.lock", "CITATION.cff"} <= top
    for room in ROOMS:
        assert {name for name in contents if name.startswith(f"{room}/")} == files(room)


def test_a_program_outside_is_checked_against_the_wheels_types(
    wheel: zipfile.ZipFile, tmp_path: Path
) -> None:
    venv.create(tmp_path / "env")
    scheme = {"base": str(tmp_path / "env"), "platbase": str(tmp_path / "env")}
    packages = Path(sysconfig.get_path("purelib", "venv", scheme))
    wheel.extractall(packages)
    (packages / "requirements.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")

    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"```python\n(.*?)```", readme, flags=re.DOTALL)
    (tmp_path / "right.py").write_text(program, encoding="utf-8")
    wrong = program.replace("epochs=20", 'epochs="20"') + "\nname: str = model.latent_dim\n"
    (tmp_path / "wrong.py").write_text(wrong, encoding="utf-8")

    python = Path(sysconfig.get_path("scripts", "venv", scheme)) / "python"
    command = [sys.executable, "-m", "mypy", "--strict", "--python-executable", str(python)]
    environment = {
        key: one for key, one in os.environ.items() if key not in ("PYTHONPATH", "MYPYPATH")
    }
    done = subprocess.run(
        [*command, "--no-pretty", "right.py", "wrong.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    errors = [line for line in done.stdout.splitlines() if ": error: " in line]
    assert [line.partition(":")[0] for line in errors] == ["wrong.py"] * 2, (
        done.stdout + done.stderr
    )
    assert "[arg-type]" in errors[0]
    assert "[assignment]" in errors[1]
