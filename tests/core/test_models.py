import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch.distributions import Distribution
from torch.testing import assert_close

from vae_course import storage
from vae_course.distributions import DiagonalGaussian
from vae_course.likelihoods import LIKELIHOODS
from vae_course.models import (
    VAE,
    Autoencoder,
    LinearGaussian,
    load_model,
    random_linear_gaussian,
    save_model,
)

SHAPE = (1, 8, 8)


def small_vae(**options: object) -> VAE:
    torch.manual_seed(0)
    return VAE(SHAPE, 3, **{"widths": (6, 4), **options})


@pytest.mark.parametrize("network", ["mlp", "conv"])
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_a_vae_gives_distributions(likelihood: str, network: str) -> None:
    model = small_vae(likelihood=likelihood, network=network)
    x = torch.randint(0, 2, (5, *SHAPE)).float()
    out = model(x, torch.Generator().manual_seed(0))
    prior = model.prior()
    assert isinstance(out.q, DiagonalGaussian) and isinstance(prior, DiagonalGaussian)
    assert isinstance(out.p, Distribution)
    assert (out.q.batch_shape, out.q.event_shape) == ((5,), (3,))
    assert (out.p.batch_shape, out.p.event_shape) == ((5,), SHAPE)
    assert (prior.batch_shape, prior.event_shape) == ((), (3,))
    assert torch.equal(prior.mean, torch.zeros(3)) and torch.equal(prior.stddev, torch.ones(3))
    assert out.z.shape == (5, 3)
    assert out.p.log_prob(x).shape == (5,)


@pytest.mark.parametrize("network", ["mlp", "conv"])
def test_codes_with_leading_sample_dimensions_decode_each_by_itself(network: str) -> None:
    model = small_vae(network=network)
    z = torch.randn(2, 4, 5, 3)
    p = model.decode(z)
    assert p.batch_shape == (2, 4, 5)
    assert_close(p.mean[1, 2], model.decode(z[1, 2]).mean)
    assert model.decode(torch.randn(3)).mean.shape == SHAPE


def test_one_generator_is_all_the_randomness_of_a_pass() -> None:
    model, x = small_vae(), torch.rand(5, *SHAPE)
    one = model(x, torch.Generator().manual_seed(4)).z
    assert torch.equal(one, model(x, torch.Generator().manual_seed(4)).z)
    assert not torch.equal(one, model(x, torch.Generator().manual_seed(5)).z)


@pytest.mark.parametrize("make", [small_vae, lambda: Autoencoder(SHAPE, 3)])
def test_wrong_images_and_codes_are_refused_by_name(make: object) -> None:
    model = make()
    with pytest.raises(ValueError, match=r"\(5, 1, 9, 8\) .*\(batch, 1, 8, 8\)"):
        model.encode(torch.zeros(5, 1, 9, 8))
    with pytest.raises(ValueError, match=r"\(1, 8, 8\) .*\(batch, 1, 8, 8\)"):
        model.encode(torch.zeros(1, 8, 8))
    with pytest.raises(ValueError, match=r"uint8.*to_unit.*binarize"):
        model.encode(torch.zeros(5, *SHAPE, dtype=torch.uint8))
    with pytest.raises(ValueError, match=r"\(5, 4\) .* 3"):
        model.decode(torch.zeros(5, 4))


def test_an_autoencoder_is_its_two_halves_and_linear_without_hidden_layers() -> None:
    torch.manual_seed(0)
    model = Autoencoder(SHAPE, 3, widths=())
    x = torch.rand(5, *SHAPE)
    assert model.encode(x).shape == (5, 3)
    assert torch.equal(model(x), model.decode(model.encode(x)))
    assert model.decode(torch.zeros(2, 5, 3)).shape == (2, 5, *SHAPE)
    assert_close(model(x).mean(0), model(x.mean(0, keepdim=True))[0])


def test_under_autocast_every_output_is_float32() -> None:
    x = torch.rand(5, *SHAPE)
    with torch.autocast("cpu", torch.bfloat16):
        out = small_vae()(x)
        assert {t.dtype for t in (out.q.mean, out.q.log_var, out.z, out.p.log_prob(x))} == {
            torch.float32
        }
        assert Autoencoder(SHAPE, 3)(x).dtype == torch.float32


@pytest.mark.parametrize(
    "model",
    [
        small_vae(network="conv", likelihood="shared-gaussian"),
        small_vae(likelihood="discretized-logistic"),
        Autoencoder(SHAPE, 2, widths=()),
    ],
    ids=["conv", "mlp", "linear"],
)
def test_a_model_comes_back_from_disk_bit_for_bit(model: torch.nn.Module, tmp_path: Path) -> None:
    model.to(memory_format=torch.channels_last)
    save_model(model, tmp_path / "deep" / "model.safetensors")
    again = load_model(tmp_path / "deep" / "model.safetensors")
    assert type(again) is type(model) and again.config == model.config
    for name, tensor in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor)


def test_the_file_is_safetensors_with_json_and_no_pickle(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_model(small_vae(), path)
    with safe_open(path, framework="np") as file:
        assert "encoder.layers.0.weight" in file.keys()  # noqa: SIM118
        assert '"latent_dim": 3' in file.metadata()["settings"]
    content = path.read_bytes()
    header = int.from_bytes(content[:8], "little")
    assert content[8 : 8 + header].lstrip().startswith(b"{")
    assert b"PK\x03\x04" not in content and b"pickle" not in content


@pytest.mark.parametrize("damage", ["cut", "emptied", "header", "foreign"])
def test_a_damaged_file_is_named(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_model(small_vae(), path)
    content = path.read_bytes()
    broken = {
        "cut": content[:-10],
        "emptied": b"",
        "header": b"\xff" * 8 + content[8:],
        "foreign": b"PK\x03\x04 a zip file, a pickle perhaps",
    }
    path.write_bytes(broken[damage])
    with pytest.raises(ValueError, match=r"model\.safetensors is not a whole file"):
        load_model(path)


def test_what_is_not_there_or_not_known_is_named(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    with pytest.raises(FileNotFoundError, match=r"model\.safetensors"):
        load_model(path)
    storage.write(path, {"weight": torch.zeros(2)}, {"model": "Elsewhere", "config": {}})
    with pytest.raises(ValueError, match="'Elsewhere'"):
        load_model(path)


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_files_have_the_permissions_that_the_umask_leaves(umask: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        save_model(small_vae(), tmp_path / "model.safetensors")
    finally:
        os.umask(before)
    mode = stat.S_IMODE((tmp_path / "model.safetensors").stat().st_mode)
    assert mode == 0o666 & ~umask


def test_a_write_that_fails_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.safetensors"
    save_model(small_vae(), path)
    before = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save_model(small_vae(likelihood="gaussian"), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


KILLED_WRITE = """
import os, signal, sys, torch
from pathlib import Path
from vae_course import storage
os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)
storage.write(Path(sys.argv[1]), {"weight": torch.ones(1000)}, {})
"""


def test_a_write_killed_before_it_is_done_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file.safetensors"
    storage.write(path, {"weight": torch.zeros(3)}, {"old": True})
    killed = subprocess.run([sys.executable, "-c", KILLED_WRITE, str(path)], check=False)
    assert killed.returncode == -9
    tensors, settings = storage.read(path)
    assert torch.equal(tensors["weight"], torch.zeros(3)) and settings == {"old": True}


def test_a_linear_gaussian_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match=r"\(4, 2\) and bias \(3,\)"):
        LinearGaussian(torch.zeros(4, 2), torch.zeros(3), 1.0)
    with pytest.raises(ValueError, match="sigma = 0"):
        LinearGaussian(torch.zeros(4, 2), torch.zeros(4), 0)


def test_samples_of_a_linear_gaussian_have_the_marginals_covariance() -> None:
    model = random_linear_gaussian(4, 2, 0.5, torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    x = model.decode(model.prior().sample((200_000,)).double()).sample()
    assert_close(torch.cov(x.T), model.marginal().covariance_matrix, rtol=0, atol=0.03)
    again = random_linear_gaussian(4, 2, 0.5, torch.Generator().manual_seed(0))
    assert torch.equal(model.weight, again.weight)
