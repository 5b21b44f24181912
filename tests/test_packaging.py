"""What the wheel and the source distribution hold, and what they say of themselves."""

import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile

import pytest
import yaml

import keras_acn

ROOT = pathlib.Path(__file__).parents[1]


def of_git():
    """The files that git knows, as paths from the top."""
    found = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    return sorted(filter(None, found.stdout.split("\0")))


def test_the_version_is_said_alike():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == keras_acn.__version__
    assert citation["license"] == "Apache-2.0" and citation["cff-version"] == "1.2.0"
    assert f"\n## {keras_acn.__version__}\n" in (ROOT / "CHANGELOG.md").read_text()


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A wheel and a source distribution of what git knows."""
    files = of_git()
    if not files:
        pytest.skip("what belongs into a distribution is known in a git checkout only")
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in files:
        target = source / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, target)
    large = source / "saved_models" / "acn-large"
    large.mkdir()
    (large / "config.yaml").touch()
    with open(large / "model.keras", "wb") as file:
        file.truncate(10_000_001)
    command = [sys.executable, "setup.py", "-q", "sdist", "-d", out, "bdist_wheel", "-d", out]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    return out


@pytest.mark.slow
def test_the_source_distribution_has_all_that_git_has(built):
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    assert set(of_git()) - held == {".gitignore"}
    assert not [name for name in held if name.endswith(".pyc")]


@pytest.mark.slow
def test_the_wheel_has_the_package_and_the_models(built):
    (path,) = built.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        held = set(archive.namelist())
        (metadata,) = (name for name in held if name.endswith(".dist-info/METADATA"))
        said = archive.read(metadata).decode()
    expected = {name for name in of_git() if name.startswith("keras_acn/")}
    expected |= {f"keras_acn/{n}" for n in of_git() if re.match(r"saved_models/[\w-]+/[^/]+$", n)}
    photos = "keras_acn/saved_models/acn-photos/model.keras"
    assert expected - held == {photos}
    assert not [name for name in held if name.startswith(("tests", "docs", "saved_models"))]
    # Neither versions for a server, nor weights that are too large, which are only described.
    assert not [name for name in held if re.match(r"keras_acn/saved_models/[\w-]+/\d+/", name)]
    described = "keras_acn/saved_models/acn-large"
    assert f"{described}/config.yaml" in held and f"{described}/model.keras" not in held
    for line in ("License: Apache-2.0", "Requires-Python: >=3.10", "Author: ", "Keywords: "):
        assert f"\n{line}" in said
    # docs/packaging.md states the size.
    page = (ROOT / "docs" / "packaging.md").read_text()
    stated = float(re.search(r"a wheel of ([\d.]+) MB", page)[1])
    assert path.stat().st_size / 1e6 == pytest.approx(stated, abs=0.5)
