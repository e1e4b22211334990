"""Each benchmark runs end to end, small, and writes what the book reads."""

import json
import runpy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.testing import assert_close
from typer import Typer
from typer.testing import CliRunner

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def beside_one_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)


@pytest.fixture(autouse=True)
def same_threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


MINI = ("--dataset", "fashion-mnist-mini")


def run(script: str, *options: str | Path) -> None:
    """Run a script's command line in this process, which has imported torch already."""
    app = Typer()
    app.command()(runpy.run_path(str(BENCHMARKS / f"{script}.py"))["main"])
    arguments = [*map(str, options)]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def same_machine(entry: dict[str, Any]) -> None:
    assert entry["hardware"]["cores"] >= 1
    assert entry["versions"]["torch"] == torch.__version__.split("+")[0]
    assert entry["date"].startswith("20")


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # the loaders' two workers
def test_throughput(tmp_path: Path) -> None:
    out = tmp_path / "throughput.json"
    sizes = ("--images", "128", "--batch-size", "64", "--rounds", "1", "--threads", "1")
    run("throughput", *sizes, "--no-compiled", *MINI, "--out", out)
    result = read(out)
    same_machine(result)
    loops = {(row["network"], row["loop"]): row for row in result["rows"]}
    assert ("conv", "everyone's loop and network") in loops
    for network in ("mlp", "conv"):
        assert loops[network, "everyone's loop"]["times_everyones"] == 1.0
        for loop in ("fit", "fit, streamed, 2 workers"):
            ours = loops[network, loop]
            assert 0 < ours["lowest"] <= ours["images_per_second"] <= ours["highest"]


def test_precision(tmp_path: Path) -> None:
    out = tmp_path / "precision.json"
    options = ("--images", "1024", "--epochs", "1", "--seeds", "1", "--threads", "1")
    run("throughput", "--quality", *options, *MINI, "--out", out)
    rows = {row["loop"]: row["test_elbo"] for row in read(out)["rows"]}
    assert rows.keys() == {"fit", "fit, float32"}
    assert rows["fit"] == pytest.approx(rows["fit, float32"], abs=20)


def test_published_resumes_and_keeps_other_entries(tmp_path: Path) -> None:
    out, checkpoint = tmp_path / "published.json", tmp_path / "run"
    out.write_text('{"other": {"published": 1}}', encoding="utf-8")
    run(
        "published", "exemplar", "--epochs", "1", "--train-images", "512", "--batch-size", "128",
        "--images", "2", "--samples", "10", "--checkpoint", checkpoint, *MINI, "--out", out,
    )  # fmt: skip
    entry = read(out)["exemplar"]
    same_machine(entry)
    assert read(out)["other"] == {"published": 1}
    assert checkpoint.exists()
    assert entry["published"] == 228.70
    assert entry["train_images"] == 512
    assert entry["reached"]["test_images"] == 2000
    assert entry["reached"]["nll"] < -entry["reached"]["elbo"]


def test_codebook(tmp_path: Path) -> None:
    out = tmp_path / "published.json"
    run(
        "codebooks", "sonnet-vq", "--train-images", "96",
        "--checkpoint", tmp_path / "run", *MINI, "--out", out,
    )  # fmt: skip
    entry = read(out)["sonnet-vq"]
    same_machine(entry)
    assert (entry["published"], entry["published_perplexity"]) == (0.056, [326, 332])
    assert entry["steps"] == 3
    assert 0 < entry["reached"]["error_over_variance_test"] < 10


def test_codebook_on_images_of_cifars_shape(tmp_path: Path) -> None:
    script = runpy.run_path(str(BENCHMARKS / "codebooks.py"))
    sonnet = replace(script["SONNET"], steps=2, train_images=64)
    images = torch.randint(0, 256, (80, 3, 32, 32), dtype=torch.uint8)
    entry = script["run_codebook"](sonnet, images, images[:10], 0, tmp_path / "run")
    assert entry["steps"] == 2
    assert 1 <= entry["reached"]["perplexity_of_training_batches"] <= 512
    # The loss is D times Sonnet's: mean error / variance + 0.25 · mean commitment.
    model = script["build_codebook"](sonnet, images, 0).eval()
    assert_close(model.quantizer.codebook.std(), torch.tensor(1 / 8), rtol=0.05, atol=0)
    x = script["centered"](images[:4], torch.Generator())
    output = model(x)
    error = (output.p.mean - x).square().mean((1, 2, 3)) / images.double().div(255).var().item()
    nearest = model.quantizer.lookup(output.quantization.indices)
    sonnets = error + 0.25 * (output.z_e - nearest).square().mean((1, 2, 3))
    ours = script["vq_loss"](model, x, 0).loss
    assert_close((ours - ours[0]) / 3072, sonnets - sonnets[0], atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("method", ["beta-vae", "beta-tcvae"])
def test_disentanglement_on_a_small_world(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where the checkpoint goes
    size = ("--side", "12", "--widths", "4,8", "--batch-size", "512")
    few = ("--passes", "1", "--points", "200", "--trees", "1", "--seed", "3")
    run("disentanglement", method, *size, *few)
    content = read(tmp_path / "results/benchmarks/disentanglement.json")
    entry = content[f"{method}, β = 4, 1 passes, seed 3"]
    same_machine(entry)
    assert entry["published"]["mig"] == {"beta-vae": 0.21, "beta-tcvae": 0.45}[method]
    reached = entry["reached"]
    for name in ("mig", "sap", "dci", "beta_vae_score", "factor_vae_score"):
        assert 0 <= reached[name] <= 1
    assert len(reached["information"]) == 5
    assert 0 < reached["distortion"] < 144 * 0.7
