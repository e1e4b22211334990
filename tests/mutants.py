"""Break one rule at a time and see a test turn red: `python tests/mutants.py [NAME...]`.

Each mutant in mutants.toml is one change to the package against a rule that CONTRIBUTING says tests
keep. It is made in a copy of the package; the tests named beside it have to fail. A mutant that
lives is a rule that nobody keeps: the exit status is the number of those.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Mutant:
    """One change: in `file`, the only occurrence of `find` becomes `replace`."""

    name: str
    rule: str
    file: str
    find: str
    replace: str
    tests: list[str]

    def apply(self, root: Path) -> None:
        """Make the change below `root`; `ValueError` when the text is not there exactly once."""
        path = root / self.file
        text = path.read_text(encoding="utf-8")
        if text.count(self.find) != 1:
            raise ValueError(
                f"mutant {self.name}: {self.find!r} stands {text.count(self.find)} times in "
                f"{self.file}: write the mutant anew"
            )
        path.write_text(text.replace(self.find, self.replace), encoding="utf-8")


def mutants() -> list[Mutant]:
    """Read mutants.toml."""
    table = tomllib.loads((ROOT / "tests" / "mutants.toml").read_text(encoding="utf-8"))
    return [Mutant(name=name, **entry) for name, entry in table.items()]


def killer(mutant: Mutant) -> str | None:
    """Return the first test that fails on the mutant, or None if all pass."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "course"
        ignored = shutil.ignore_patterns(".*", "_build", "__pycache__")
        shutil.copytree(ROOT, root, ignore=ignored, symlinks=True)
        mutant.apply(root)
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
        done = subprocess.run(
            [*command, "-m", "not browser", *mutant.tests],
            cwd=root,
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"PYTHONPATH": str(root)},
        )
    if done.returncode == 0:
        return None
    red = re.search(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
    if done.returncode != 1 or red is None:
        raise RuntimeError(f"mutant {mutant.name}: pytest did not run:\n{done.stdout[-2000:]}")
    return red[1]


def main(names: list[str]) -> int:
    """Run the mutants of these names, or all, two at a time; print a line each."""
    known = {mutant.name: mutant for mutant in mutants()}
    if unknown := [name for name in names if name not in known]:
        raise SystemExit(f"no mutant {', '.join(unknown)}; there are: {', '.join(known)}")
    chosen = [known[name] for name in names] or list(known.values())
    lived = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for mutant, red in zip(chosen, pool.map(killer, chosen), strict=True):
            lived += red is None
            print(f"{mutant.name}: {red or 'LIVED'}  ({mutant.rule})", flush=True)
    print(f"{len(chosen)} mutants, {lived} lived")
    return lived


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
