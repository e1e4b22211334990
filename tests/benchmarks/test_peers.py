"""The side-by-side benchmark: our side runs, and without the peer it says what to install."""

import math
import runpy
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close
from typer import Typer
from typer.testing import CliRunner

SCRIPT = str(Path(__file__).parents[2] / "benchmarks" / "peers.py")
sys.path.append(str(Path(SCRIPT).parent))  # as for a script that is started


def test_stops_by_the_clock_and_measures() -> None:
    script = runpy.run_path(SCRIPT)
    gray = torch.rand(512, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    for name, pair in script["pairs"](len(gray), gray).items():
        x = gray if name.startswith("VQ") else gray.round()
        clocks = {}
        for way in ("our model in that loop", "fit"):
            model, clocks[way] = script["train"](way, pair, x, 128, 0.2)
            assert not model.training
            assert clocks[way].steps >= 1
            assert 0.2 <= clocks[way].elapsed < 5
        found = script["quality"](pair, model, x)
        if name.startswith("VQ"):
            assert 1 <= found["perplexity"] <= found["codes"] <= 256
            assert 0 < found["squared_error"] < 784
        else:
            assert found["test_elbo"] < found["log_likelihood"] < 0
        rows = script["speeds"]({way: [clock, clock] for way, clock in clocks.items()}, 128)
        assert rows[0]["times_pythae"] == 1.0
        assert rows[1]["lowest"] == rows[1]["images_per_second"] > 0


def test_of_equal_loss() -> None:
    """The VQ-VAE's Gaussian costs the squared error that pythae's does, plus a constant."""
    script = runpy.run_path(SCRIPT)
    gray = torch.rand(8, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    pair = script["pairs"](8, gray)["VQ-VAE"]
    model = pair.ours()
    error = (model(gray).p.mean - gray).square().sum((1, 2, 3))
    terms = pair.objective(model, gray, 0)
    constant = 784 / 2 * math.log(math.pi)
    assert_close(terms.reconstruction, error + constant, atol=1e-2, rtol=0)


def test_names_the_missing_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.version", missing)
    app = Typer()
    app.command()(runpy.run_path(SCRIPT)["main"])
    result = CliRunner().invoke(app, ["--out", str(tmp_path / "peers.json")])
    assert result.exit_code == 1
    assert "install this package" in result.output
    assert "pythae==0.1.2" in result.output
    assert not (tmp_path / "peers.json").exists()
