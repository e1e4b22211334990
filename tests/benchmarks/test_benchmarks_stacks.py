"""Benchmarks of stacks train, measure and record as the others do."""

import json
import runpy
from pathlib import Path

import pytest
from typer import Typer
from typer.testing import CliRunner

PUBLISHED = Path(__file__).parents[2] / "benchmarks" / "published.py"


@pytest.mark.parametrize(
    ("name", "published", "layers"),
    [("burda-vae-2", 85.33, 2), ("burda-iwae-2", 82.90, 2), ("ladder", 81.74, 5)],
)
def test_a_stack_takes_a_step_and_is_measured(
    name: str, published: float, layers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(PUBLISHED.parent)
    app = Typer()
    app.command()(runpy.run_path(str(PUBLISHED))["main"])
    out = tmp_path / "published.json"
    options = (
        name, "--dataset", "fashion-mnist-mini", "--epochs", "1", "--train-images", "64",
        "--batch-size", "32", "--images", "2", "--samples", "10",
        "--checkpoint", tmp_path / "run", "--out", out,
    )  # fmt: skip
    result = CliRunner().invoke(app, list(map(str, options)), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    entry = json.loads(out.read_text(encoding="utf-8"))[name]
    assert entry["published"] == published
    assert len(entry["stack"]["latents"]) == len(entry["stack"]["widths"]) == layers
    assert entry["steps"] == 2
    assert entry["kl_warmup"] == (0.0 if name == "burda-iwae-2" else 0.2)
    assert entry["reached"]["nll"] < -entry["reached"]["elbo"]


def test_gains_over_epochs_are_recorded_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(PUBLISHED.parent)
    app = Typer()
    app.command()(runpy.run_path(str(PUBLISHED.with_name("stacks.py")))["main"])
    out = tmp_path / "stacks.json"
    sizes = "--train-images", "400", "--test-images", "8", "--seeds", "2", "--out", str(out)
    for epochs in (("--epochs", "1"), ("--epochs", "1", "--epochs", "2")):
        result = CliRunner().invoke(app, [*sizes, *epochs], catch_exceptions=False)
        assert result.exit_code == 0, result.output
    assert result.output.count("1 epochs") == 0, "what is recorded is not run again"
    entries = json.loads(out.read_text(encoding="utf-8"))
    assert list(entries) == [f"{n} epochs, seed {seed}" for n in (1, 2) for seed in (0, 1)]
    for entry in entries.values():
        assert len(entry["models"]) == 4
        assert all(found["elbo"] < found["log_px"] < 0 for found in entry["models"].values())
