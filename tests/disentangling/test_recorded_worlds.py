"""The table of recorded full-world runs in chapter 12 is what the benchmark recorded."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROW = re.compile(
    r"^\| (beta-\w+, β = \d+) \| (\d) \| (\d\.\d\d) \| (\d\.\d\d) \| (\d+\.\d) \|$", re.M
)


def test_the_chapters_table_is_the_record() -> None:
    cells = json.loads((ROOT / "book/12_beta_vae.ipynb").read_text(encoding="utf-8"))["cells"]
    shown = ROW.findall("\n".join("".join(cell["source"]) for cell in cells))
    record = json.loads(
        (ROOT / "results/benchmarks/disentanglement.json").read_text(encoding="utf-8")
    )
    kept = {name: entry["reached"] for name, entry in record.items()}
    assert {f"{name}, 2 passes, seed {seed}" for name, seed, *_ in shown} == kept.keys()
    for name, seed, *numbers in shown:
        found = kept[f"{name}, 2 passes, seed {seed}"]
        wanted = [f"{found['mig']:.2f}", f"{found['dci']:.2f}", f"{found['rate']:.1f}"]
        assert numbers == wanted, (name, seed)
