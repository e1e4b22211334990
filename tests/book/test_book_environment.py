"""pyproject.toml, environment.yml and requirements.lock say the same."""

import re
import tomllib

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from places import ROOT
from rattler import MatchSpec

# What conda calls by another name.
CONDA_NAMES = {"pytorch": "torch", "matplotlib-base": "matplotlib"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")


def required(*extras: str) -> dict[str, Requirement]:
    """List the requirements of the core and of some extras by name."""
    lines = list(PROJECT["dependencies"])
    for extra in extras:
        lines += PROJECT["optional-dependencies"][extra]
    return {canonicalize_name(Requirement(line).name): Requirement(line) for line in lines}


def bounds(specifier: object) -> set[str]:
    """Split ``>=1,<2`` into its bounds."""
    return {part.strip() for part in str(specifier).split(",") if part.strip()}


def locked() -> list[Requirement]:
    """List the pinned versions of requirements.lock."""
    lines = LOCK.replace("\\\n", " ").splitlines()
    return [Requirement(line.split("--hash")[0]) for line in lines if line.strip()]


def test_the_conda_environment_agrees_with_the_project() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    *packages, _, by_pip = environment["dependencies"]
    specs = [MatchSpec(line) for line in packages]
    conda = {
        canonicalize_name(CONDA_NAMES.get(name, name)): bounds(spec.version)
        for spec in specs
        for name in [spec.name.normalized]
    }
    assert conda.pop("python") == bounds(PROJECT["requires-python"])
    *from_pip, itself = by_pip["pip"]
    pip = {Requirement(line).name: bounds(Requirement(line).specifier) for line in from_pip}
    assert itself == "--editable .[book]"
    assert conda | pip == {name: bounds(one.specifier) for name, one in required("book").items()}


def test_the_lock_pins_all_that_the_project_requires() -> None:
    pins: dict[str, set[Version]] = {}
    for pin in locked():
        (version,) = (Version(one.version) for one in pin.specifier)
        pins.setdefault(canonicalize_name(pin.name), set()).add(version)
    for name, requirement in required(*PROJECT["optional-dependencies"]).items():
        assert name in pins, f"{name} is not in requirements.lock: run `make lock`"
        assert all(version in requirement.specifier for version in pins[name])


def test_the_lock_has_hashes_and_no_address() -> None:
    pins = LOCK.replace("\\\n", " ").splitlines()
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", pin) for pin in pins)
    assert not re.search(r"://|@|--index|--extra-index|--find-links|^-e", LOCK, re.MULTILINE)
    assert all(pin.url is None for pin in locked())


def test_the_lock_serves_every_supported_python() -> None:
    for python in ("3.11", "3.12", "3.13"):
        environment = {"python_version": python, "python_full_version": f"{python}.0"}
        names = [
            canonicalize_name(pin.name)
            for pin in locked()
            if pin.marker is None or pin.marker.evaluate(environment)
        ]
        assert len(names) == len(set(names)), f"two versions of one package on Python {python}"
        assert set(required(*PROJECT["optional-dependencies"])) <= set(names)
