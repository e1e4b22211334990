"""`storage.read` of any bytes: what was written, or one ValueError that names the file."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from mutations import mutants
from safetensors.torch import save

from vae_course import storage

TENSORS = {
    "weight": torch.arange(60.0).view(3, 20),
    "half": torch.ones(7, dtype=torch.bfloat16),
    "flags": torch.tensor([True, False]),
    "step": torch.tensor(3),
    "none": torch.zeros(0, 4),
}
SETTINGS = {"model": "VAE", "config": {"image_shape": [1, 8, 8], "names": ["ä", None, 0.5]}}
KINDS = ["F64", "F16", "I8", "U64", "BOOL", "F8_E4M3", "F8_E8M0", "F4", "F6_E2M3", "C64", "X"]


def written(path: Path) -> bytes:
    storage.write(path, TENSORS, SETTINGS)
    return path.read_bytes()


def same_or_named(path: Path, content: bytes) -> bool:
    """Whether it is read; then nothing in it is another thing than what was written."""
    path.write_bytes(content)
    try:
        tensors, settings = storage.read(path)
    except ValueError as error:
        assert str(path) in str(error)
        return False
    assert settings == SETTINGS and tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert tensors[name].dtype == tensor.dtype and torch.equal(tensors[name], tensor)
    return True


@pytest.mark.parametrize("seed", [0, 1])
def test_any_mutant_is_read_as_it_was_or_refused(seed: int, tmp_path: Path) -> None:
    path = tmp_path / "file"
    content = written(path)
    assert same_or_named(path, content)
    head = 8 + int.from_bytes(content[:8], "little")
    read = [same_or_named(path, mutant) for mutant in mutants(content, seed, head=head)]
    assert read.count(False) > len(read) // 2


def with_header(content: bytes, change: Any) -> bytes:
    """Return the file with a header that is still JSON of the right length."""
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    text = json.dumps(change(header) or header).encode()
    return len(text).to_bytes(8, "little") + text + content[8 + size :]


def test_a_header_of_other_names_kinds_shapes_and_places_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    content = written(path)
    changes: list[tuple[str, str, Any]] = [("weight", "dtype", kind) for kind in KINDS]
    shapes: list[Any] = [[20, 3], [60], [2**62, 4], [-3, -20], [], "3", [3.0, 20], None]
    changes += [("weight", "shape", shape) for shape in shapes]
    places: list[Any] = [[0, 2**63], [8, 4], [0], [-1, 3], None, [0, 0]]
    changes += [("weight", "data_offsets", place) for place in places]
    changes += [("__metadata__", "digest", digest) for digest in ("", "0" * 64, "ä")]
    changes += [("__metadata__", "settings", text) for text in ("", "{}", "[" * 10_000, "null")]
    for name, key, value in changes:

        def change(header: dict[str, Any], at: Any = (name, key, value)) -> None:
            header[at[0]][at[1]] = at[2]

        assert not same_or_named(path, with_header(content, change)), (name, key, value)
    assert not same_or_named(path, with_header(content, lambda header: {"a": header}))
    assert not same_or_named(path, with_header(content, lambda header: [1]))
    assert not same_or_named(
        path, with_header(content, lambda header: {k: header[k] for k in TENSORS})
    )


@pytest.mark.parametrize("text", ["", "[1]", "null", "{", "[" * 100_000, '{"a": 1e999', "\0"])
def test_settings_that_are_no_mapping_are_refused_whatever_their_digest(
    text: str, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    digest = storage.digest(TENSORS, text)
    path.write_bytes(save(TENSORS, metadata={"settings": text, "digest": digest}))
    with pytest.raises(ValueError, match=f"{path}.*settings"):
        storage.read(path)


def test_what_is_no_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is a directory"):
        storage.read(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no file .*nothing"):
        storage.read(str(tmp_path / "nothing"))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.int8, torch.complex64])
def test_what_is_written_is_read(dtype: torch.dtype, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    tensors = {"a": torch.ones(2, 3, 4).to(dtype).transpose(0, 2), "b": torch.ones(()).to(dtype)}
    storage.write(str(path), tensors, {})
    found, settings = storage.read(path)
    assert settings == {}
    for name, tensor in tensors.items():
        assert found[name].dtype == dtype and torch.equal(found[name], tensor)
