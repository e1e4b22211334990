"""Runs in processes of their own: one that is killed, and two that train together."""

import os
import subprocess
import sys
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch.testing import assert_close

from vae_course import storage
from vae_course.models import VAE, Autoencoder
from vae_course.objectives import ELBOLoss, squared_error_loss
from vae_course.training import fit

KILLED = """
import os, signal, sys
from pathlib import Path
import torch
sys.path.insert(0, sys.argv[2])
import test_training_processes as runs

calls = 0
alive = torch.optim.Adam.step

def step(self, *arguments, **options):
    global calls
    calls += 1
    if calls == 11:  # in the third epoch of four steps each
        os.kill(os.getpid(), signal.SIGKILL)
    return alive(self, *arguments, **options)

torch.optim.Adam.step = step
runs.train_vae(Path(sys.argv[1]))
"""

TWO = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import test_training_processes as runs
from lightning_fabric import Fabric

runs.train_together(Fabric(accelerator="cpu", devices=2, strategy="ddp"), Path(sys.argv[1]))
"""


def binary(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return (torch.rand(x.shape, generator=generator) < x).float()


def rate(step: int) -> float:
    """Halve every eight steps: a plain function, whose address differs from process to process."""
    return float(2e-3 * 0.5 ** (step // 8))


def images() -> torch.Tensor:
    return torch.rand(64, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def train_vae(checkpoint: Path | None) -> VAE:
    torch.manual_seed(0)
    model = VAE((1, 8, 8), 2, network="conv", widths=(4, 8))
    fabric = Fabric(accelerator="cpu", devices=1)
    fit(
        model,
        images(),
        ELBOLoss(),
        epochs=5,
        batch_size=16,
        learning_rate=rate,
        transform=binary,
        fabric=fabric,
        checkpoint=checkpoint,
    )
    return model


def train_together(fabric: Fabric, folder: Path) -> None:
    """Train without noise, so that it does not matter who draws it."""
    fabric.launch()
    torch.manual_seed(fabric.global_rank)  # Weights are those of process 0.
    model = Autoencoder((1, 8, 8), 3, widths=(16,))
    history = fit(
        model,
        images(),
        squared_error_loss,
        epochs=4,
        batch_size=16,
        fabric=fabric,
        validation=images()[:10],
        checkpoint=folder / "run.safetensors",
    )
    rank = fabric.global_rank
    storage.write(folder / f"model-{rank}", model.state_dict(), history.to_json())


def start(script: str, folder: Path, target: Path) -> subprocess.Popen[str]:
    path = folder / "script.py"
    path.write_text(script)
    here = str(Path(__file__).parent)
    command = [sys.executable, str(path), str(target), here]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    )


def test_a_run_killed_in_mid_epoch_resumes_to_the_same_weights_bit_for_bit(tmp_path: Path) -> None:
    checkpoint = tmp_path / "run.safetensors"
    process = start(KILLED, tmp_path, checkpoint)
    whole = train_vae(None)
    output, _ = process.communicate()
    assert process.returncode == -9, output
    _, settings = storage.read(checkpoint)
    assert len(settings["history"]["train"]["loss"]) == 2
    resumed = train_vae(checkpoint)
    for name, weight in whole.state_dict().items():
        assert torch.equal(weight, resumed.state_dict()[name]), name


def test_two_processes_end_in_the_weights_of_one(tmp_path: Path) -> None:
    together, alone = tmp_path / "together", tmp_path / "alone"
    process = start(TWO, tmp_path, together)
    train_together(Fabric(accelerator="cpu", devices=1), alone)
    output, _ = process.communicate()
    assert process.returncode == 0, output
    expected, history = storage.read(alone / "model-0")
    for rank in (0, 1):
        weights, shared = storage.read(together / f"model-{rank}")
        for name, weight in expected.items():
            assert_close(weights[name], weight, rtol=1e-4, atol=1e-6)
        assert_close(shared["train"], history["train"], rtol=1e-4, atol=0)
        assert_close(shared["validation"], history["validation"], rtol=1e-4, atol=0)
        assert shared["images_seen"] == history["images_seen"] == 256
