"""The README's Python, and that of the pages on Python, runs from top to bottom.

Where a page names no images, they are a few of noise.
"""

import pathlib
import re

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).parents[1]


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        *(pytest.param(f"docs/{name}.md", marks=pytest.mark.slow) for name in ("python", "parts")),
    ],
)
def test_every_python_block_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(), re.M | re.S)
    assert blocks
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
        exec(compile(re.sub(r"epochs=\d+", "epochs=1", block), page, "exec"), names)
    assert (tmp_path / "acn.keras").exists()


def test_the_readme_is_two_screens():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 110
