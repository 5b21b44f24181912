"""The README's Python runs from top to bottom, on a few images of noise where it names none."""

import pathlib
import re

import numpy as np

README = pathlib.Path(__file__).parents[1] / "README.md"


def test_every_python_block_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", README.read_text(), re.M | re.S)
    assert len(blocks) >= 3
    rng = np.random.default_rng(0)
    names = {}
    for block in blocks:
        if "fit(x," in block:
            # The reader's own images.
            names |= {
                "x": rng.integers(0, 2, (60, 28, 28, 1)).astype("float32"),
                "y": np.arange(60) % 4,
            }
            names |= {"x_test": names["x"][:20], "y_test": names["y"][:20]}
            names |= {"x_new": names["x"][:5], "queries": names["x"][:6]}
            names |= {"examples": names["x"][:8], "labels": names["y"][:8]}
        # One epoch shows that it runs.
        exec(compile(re.sub(r"epochs=\d+", "epochs=1", block), "README.md", "exec"), names)
    assert (tmp_path / "acn.keras").exists()
