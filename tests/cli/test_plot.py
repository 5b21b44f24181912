"""keras-acn plot: which figures, and the curves of several runs in one chart."""

import shutil

import numpy as np
import pytest
from PIL import Image

from keras_acn._base.errors import UserError
from keras_acn.cli import main
from keras_acn.experiment import open_run
from keras_acn.figures import FIGURES, SLOW, compare, daydreams, draw, save
from keras_acn.figures.subject import Subject

TINY = ["--set", "data.limit=60", "--set", "encoder.hidden=[8]", "--set", "decoder.hidden=[8]"]
TINY += ["--batch-size", "20", "--epochs", "3", "-q", "--no-figures"]
PLANE = ["--set", "model.name=VAE", "--set", "model.latent_dim=2"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The folders of an ACN, and of a VAE of two latents with a movie."""
    folder = tmp_path_factory.mktemp("runs")
    acn = ["train", "digits", *TINY, "--set", "prior.hidden=[8]", "--out", str(folder / "acn")]
    assert main(acn) == 0
    assert main(["train", "digits", *TINY, *PLANE, "--movie", "--out", str(folder / "vae")]) == 0
    return folder / "acn", folder / "vae"


def drawn(folder):
    return sorted(path.name for path in folder.iterdir())


def test_only_the_figures_named(runs, tmp_path, capsys):
    acn, _ = runs
    arguments = ["plot", str(acn), "--out", str(tmp_path / "out")]
    assert main([*arguments, "--only", "traversal", "--only", "loss"]) == 0
    assert drawn(tmp_path / "out") == ["loss.png", "traversal.png"]
    capsys.readouterr()
    assert main([*arguments, "--only", "traversl"]) == 2
    assert 'Did you mean "traversal"' in capsys.readouterr().err
    for name in ("latent-grid", "movie", "gradients"):
        assert main([*arguments, "--only", name]) == 2
        assert f"has no figure {name}: {FIGURES[name][1]}" in capsys.readouterr().err
    assert drawn(tmp_path / "out") == ["loss.png", "traversal.png"]


def test_a_plane_of_latents_has_a_grid_and_a_movie(runs, tmp_path):
    _, vae = runs
    save(draw(open_run(vae), leave_out=["samples"]), tmp_path)
    names = ["codes-images.png", "codes.png", "latent-grid.png", "loss-log-log.png", "loss.png"]
    assert drawn(tmp_path) == [*names, "many-from-one-code.png", "movie.gif", "reconstructions.png"]
    with Image.open(tmp_path / "movie.gif") as movie:
        assert movie.n_frames == 1 + 3
    assert Image.open(tmp_path / "latent-grid.png").size[0] > 400


def test_the_latents_to_traverse_are_named_or_those_that_vary_most(runs, tmp_path, capsys):
    acn, _ = runs
    subject = Subject(open_run(acn))
    widest = sorted(np.argsort(subject.codes.std(axis=0))[-2:])
    pictures = {}
    for dims in ([], ["--dims", *map(str, widest)], ["--dims", "1", "0"], ["--dims", "0", "1"]):
        out = tmp_path / "-".join(dims[1:] or ["default"])
        assert main(["plot", str(acn), "--only", "traversal", *dims, "--out", str(out)]) == 0
        pictures[tuple(dims[1:])] = (out / "traversal.png").read_bytes()
    assert pictures[()] == pictures[tuple(map(str, widest))]
    assert pictures["1", "0"] != pictures["0", "1"]
    capsys.readouterr()
    assert main(["plot", str(acn), "--only", "traversal", "--dims", "0", "99"]) == 2
    assert "must be two different latents from 0 to 7" in capsys.readouterr().err


@pytest.mark.slow
def test_a_notebook_draws_what_the_command_draws(runs, tmp_path):
    acn = runs[0]
    names = ["loss", "reconstructions", "samples", "traversal", "neighbors", "daydream-movie"]
    only = [word for name in names for word in ("--only", name)]
    assert main(["plot", str(acn), *only, "--seed", "2", "--out", str(tmp_path / "shell")]) == 0
    run = open_run(acn)
    by_path = save(draw(str(acn), names, seed=2), tmp_path / "path")
    assert [path.stem for path in by_path] == [name for name in FIGURES if name in names]
    for path in by_path:
        assert path.read_bytes() == (tmp_path / "shell" / path.name).read_bytes(), path
    # A model has no folder: the images are given, there is no history but that of a `fit`, and
    # titles have no name of a run.
    of_run = draw(run, names[1:-1], seed=2)
    of_model = draw(run.model, names[1:-1], data=run.data, seed=2)
    assert list(of_model) == list(of_run)
    for name, picture in of_model.items():
        for row, boxes in enumerate(picture.boxes):
            for column in (0, len(boxes) - 1):
                want = of_run[name].cell(row, column)
                np.testing.assert_array_equal(picture.cell(row, column), want, err_msg=name)
    arguments = ["daydream", str(acn), "--steps", "3", "--out", str(tmp_path / "dreams")]
    assert main(arguments) == 0
    for path in save(daydreams(run, steps=3), tmp_path / "mine"):
        assert path.read_bytes() == (tmp_path / "dreams" / path.name).read_bytes()


def test_the_test_split_is_drawn_as_held_out(runs):
    run = open_run(runs[0])
    assert "test_total_nats" in run.history[0]
    parts = draw(run, ["loss"])["loss"].data.groupby("part", observed=True).size()
    assert parts["training"] == parts["held out"] == 3 * 3


def test_the_figures_of_a_model_that_was_just_fitted(runs):
    run = open_run(runs[1])
    images, labels = run.data.test.arrays()
    model = run.model
    assert "loss" not in draw(model, data=images, leave_out=SLOW)
    model.fit(images, batch_size=20, epochs=2, verbose=0)
    assert {"loss", "loss-log-log", "samples", "codes", "latent-grid"} <= set(
        draw(model, data=(images, labels), leave_out=SLOW)
    )
    with pytest.raises(UserError, match="give data=images"):
        draw(model, ["reconstructions"])
    with pytest.raises(UserError, match="The model has no figure movie"):
        draw(model, ["movie"], data=images)


def test_the_curves_of_several_runs_in_one_chart(runs, tmp_path, capsys):
    acn, vae = map(str, runs)
    arguments = ["plot", acn, "--compare", vae, "--out", str(tmp_path / "out")]
    assert main([*arguments, "--metric", "kl_nats", "--metric", "seconds"]) == 0
    names = ["compared-loss.png", "compared-metrics.png", "compared-terms.png"]
    assert drawn(tmp_path / "out") == names
    for name in names:
        assert np.asarray(Image.open(tmp_path / "out" / name).convert("L")).std() > 1
    assert main(["plot", acn, "--metric", "bits_per_dim", "--out", str(tmp_path / "one")]) == 0
    assert drawn(tmp_path / "one") == ["metrics.png"]
    capsys.readouterr()
    assert main(["plot", acn, "--metric", "kl_nat"]) == 2
    assert 'Did you mean "kl_nats"' in capsys.readouterr().err
    assert main(["plot", acn, "--compare", vae, "--only", "loss"]) == 2
    assert "leave out --compare" in capsys.readouterr().err
    lone = tmp_path / "lone"
    lone.mkdir()
    for name in ("config.yaml", "model.keras"):
        shutil.copy(runs[0] / name, lone)
    assert main(["plot", acn, "--compare", str(lone)]) == 2
    assert "lone has no history" in capsys.readouterr().err


def test_runs_of_one_name_are_told_apart_by_their_paths(runs, tmp_path, monkeypatch):
    twin = tmp_path / "other" / "acn"
    shutil.copytree(runs[0], twin)
    from keras_acn import plots

    seen = []
    original = plots.loss_curves
    monkeypatch.setattr(
        plots, "loss_curves", lambda runs, *a, **k: seen.append(list(runs)) or original(runs, *a)
    )
    compare([open_run(runs[0]), open_run(twin)])
    assert seen[0] == [str(runs[0]), str(twin)]
    compare([open_run(runs[0]), open_run(runs[1])])
    assert seen[-1] == ["acn", "vae"]


def test_the_seed_of_figures_is_checked(runs):
    for figures in (draw, daydreams):
        with pytest.raises(UserError, match="The seed must be at least 0"):
            figures(runs[0], seed=-1)


def test_many_from_one_code_are_draws_from_the_posterior(runs, monkeypatch):
    from keras_acn.figures import drawings

    subject, seen = Subject(open_run(runs[1])), []
    monkeypatch.setattr(drawings.plots, "comparison", lambda *images, title: seen.extend(images))
    drawings.many_from_one_code(subject)
    originals, rows = seen
    assert rows.shape == (5, *originals.shape)
    q = subject.model.encode(originals)
    many = np.mean([subject.decode(q.sample(seed=np.array([i, 9], np.int32))) for i in range(200)])
    assert rows.mean() == pytest.approx(many, abs=0.02)
    assert len({row.tobytes() for row in rows}) == 5
